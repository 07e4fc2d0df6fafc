/** Where rows come from: the pooler, and the console's own sessions, which are clients too. */
import type { Connection } from '../../net/connection.ts';
import type { ClientDisconnectReason } from '../../observability/reasons.ts';
import type { ClientError } from '../../protocol/errors.ts';
import type { Pooler } from '../../proxy/pooler.ts';

/** Somebody on the console. */
export interface ConsoleClient {
  readonly id: number;
  readonly user: string;
  readonly applicationName: string;
  readonly connection: Connection;
  /** Wall clock, ms. */
  readonly connectedAt: number;
  readonly requestedAt: number;
  /** Monotonic ms; 0 = it runs nothing. */
  readonly queryStartedAt: number;
  /** Ends its session. */
  fail(error: ClientError, reason: ClientDisconnectReason): void;
}

export interface RowSource {
  readonly pooler: Pooler;
  consoles(): Iterable<ConsoleClient>;
}

/** The console's database and its only user, as they appear among the others. */
export const CONSOLE_NAME = 'pgbouncer';

export const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
