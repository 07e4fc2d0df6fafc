/**
 * Counters by reason. What can be a label is settled here and nowhere else: a Prometheus series lives for ever, so no text
 * that comes from the network may become one.
 */

/** Why a client's connection ended. */
export const CLIENT_DISCONNECT_REASONS = [
  'client_close_request',
  'client_unexpected_eof',
  'connection_error',
  'refused',
  'login_failed',
  'client_login_timeout',
  'client_idle_timeout',
  'idle_transaction_timeout',
  'idle_session_timeout',
  'pin_timeout',
  'max_pinned_share',
  'transaction_timeout',
  'query_timeout',
  'query_wait_timeout',
  'tcp_user_timeout',
  'protocol_violation',
  'server_unavailable',
  'server_lost',
  'buffer_limit',
  'killed',
  'shutdown',
  'internal_error',
  'other',
] as const;
export type ClientDisconnectReason = (typeof CLIENT_DISCONNECT_REASONS)[number];

/** Why a connection to a server ended. */
export const SERVER_CLOSE_REASONS = [
  'server_lifetime',
  'server_idle_timeout',
  'connect_failed',
  'connect_timeout',
  'login_failed',
  'server_closed',
  'connection_error',
  'protocol_violation',
  'client_disconnect',
  'query_timeout',
  'idle_transaction_timeout',
  'transaction_timeout',
  'cancel_wait_timeout',
  'tcp_user_timeout',
  'reset_failed',
  'check_failed',
  'dirty',
  'evicted',
  'reconnect',
  'config_changed',
  'pause',
  'killed',
  'shutdown',
  'internal_error',
  'other',
] as const;
export type ServerCloseReason = (typeof SERVER_CLOSE_REASONS)[number];

/** What became of a cancel request: delivered to a server, aimed at nobody we know, at a client with no query, or not delivered. */
export const CANCEL_OUTCOMES = [
  'forwarded',
  'unknown_key',
  'nothing_to_cancel',
  'failed',
  'timeout',
  'over_limit',
] as const;
export type CancelOutcome = (typeof CANCEL_OUTCOMES)[number];

/** What keeps a client on its server in transaction mode, as SHOW PINS calls it. */
export const PIN_REASONS = [
  'cursor',
  'listen',
  'temp',
  'lock',
  'prepare',
  'sequence',
  'seed',
  'permanent',
  'unknown_setting',
  'unknown',
  'policy',
] as const;

/** Why a connection was turned away before it was a client. */
export const REFUSAL_REASONS = [
  'max_client_conn',
  'max_db_client_connections',
  'max_user_client_connections',
  'unknown_database',
  'database_disabled',
  'tls_required',
  'shutdown',
  'other',
] as const;

/** One number per reason; every reason is there from the start, at zero, so that rates and alarms see the first one. */
export class ReasonCounter<Reason extends string> {
  readonly #counts: Map<Reason, number>;

  constructor(reasons: readonly Reason[]) {
    this.#counts = new Map(reasons.map((reason) => [reason, 0]));
  }

  add(reason: Reason): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
  }

  get(reason: Reason): number {
    return this.#counts.get(reason) ?? 0;
  }

  entries(): readonly (readonly [reason: string, count: number])[] {
    return [...this.#counts];
  }
}

/** PostgreSQL knows some 260 codes and extensions may raise any; what a real installation meets are a few dozen. */
const MAX_SQL_STATES = 128;
const SQL_STATE = /^[0-9A-Z]{5}$/;

/** Counts by SQLSTATE. Codes may come from servers, so they are checked and bounded; the rest counts as `other`. */
export class SqlStateCounter {
  readonly #counts = new Map<string, number>();

  add(sqlState: string): void {
    const known = this.#counts.get(sqlState);
    if (known !== undefined) this.#counts.set(sqlState, known + 1);
    else if (this.#counts.size < MAX_SQL_STATES && SQL_STATE.test(sqlState)) this.#counts.set(sqlState, 1);
    else this.#counts.set('other', (this.#counts.get('other') ?? 0) + 1);
  }

  get(sqlState: string): number {
    return this.#counts.get(sqlState) ?? 0;
  }

  entries(): readonly (readonly [sqlState: string, count: number])[] {
    return [...this.#counts];
  }
}
