/** What a client is told when something is refused or ends. */
import { SqlState } from './sql-state.ts';

export interface ClientErrorOptions {
  /** Any five-character SQLSTATE: ours, or one handed on from a server. */
  readonly sqlState?: string;
  /** FATAL ends the session; ERROR ends the query and leaves the session usable. */
  readonly severity?: 'ERROR' | 'FATAL';
  /** What would help the person reading it: which limit, which pool, who holds it. */
  readonly detail?: string | undefined;
  /** What to do about it. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/**
 * An ErrorResponse in the making. Bad input from the network and full pools become one of these; a bug of ours never does.
 * https://www.postgresql.org/docs/current/protocol-error-fields.html
 */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly sqlState: string;
  readonly severity: 'ERROR' | 'FATAL';
  readonly detail: string | undefined;
  readonly hint: string | undefined;

  constructor(message: string, options: ClientErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.sqlState = options.sqlState ?? SqlState.protocolViolation;
    this.severity = options.severity ?? 'FATAL';
    this.detail = options.detail;
    this.hint = options.hint;
  }
}
