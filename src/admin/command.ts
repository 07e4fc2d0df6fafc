/** What a console command is made of. */
import type { Column, Row } from '../protocol/result-set.ts';
import { ClientError } from '../protocol/errors.ts';
import { SqlState } from '../protocol/sql-state.ts';
import type { ConsoleHost } from './console-host.ts';
import type { ConsoleClient, RowSource } from './rows/source.ts';

/** A user of stats_users may look; one of admin_users may do everything. */
export type Right = 'stats' | 'admin';

/** What a command runs with. */
export interface CommandContext {
  readonly host: ConsoleHost;
  readonly source: RowSource;
  readonly client: ConsoleClient;
  /** Aborted when the console went away, or somebody cancelled the command with `cancelled` as the reason. */
  readonly signal: AbortSignal;
}

/** The reason of a signal that was aborted by a cancel request. */
export const cancelled = Symbol('cancelled');

export interface Notice {
  readonly message: string;
  readonly detail?: string;
}

export interface Reply {
  readonly tag: string;
  readonly rows?: readonly Row[];
  readonly notice?: Notice;
}

/** One statement, understood and ready to run. */
export interface Statement {
  readonly right: Right;
  /** Of its rows; undefined for a statement without any. */
  readonly columns: readonly Column[] | undefined;
  /** @throws {ClientError} of severity ERROR, when it cannot be done */
  run(context: CommandContext): Reply | Promise<Reply>;
}

/** A command is refused, and the session goes on. */
export function commandError(
  message: string,
  sqlState: string,
  more: { readonly detail?: string | undefined; readonly hint?: string | undefined } = {},
): ClientError {
  return new ClientError(message, { severity: 'ERROR', sqlState, ...more });
}

export const canceledByUser = (): ClientError =>
  commandError('canceling statement due to user request', SqlState.queryCanceled);
