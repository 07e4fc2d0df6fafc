/** The timeouts that hit clients. One pass over all of them a few times a second, instead of a timer for each. */
import type { Connection } from '../net/connection.ts';
import { ClientError } from '../protocol/errors.ts';
import { SqlState } from '../protocol/sql-state.ts';
import type { ClientDisconnectReason } from '../observability/reasons.ts';
import { idleSessionTimeout } from '../session/timeouts.ts';
import type { ClientSession } from './client-session.ts';

interface Expiry {
  readonly error: ClientError;
  readonly reason: ClientDisconnectReason;
}

/** tcp_user_timeout, which Node cannot set on a socket: a peer that takes nothing of what is queued for it for `limit` ms is cut off. */
export function dropStalled(
  connections: Iterable<Pick<Connection, 'stalledSince' | 'destroy'>>,
  limit: number,
): void {
  if (limit === 0) return;
  const now = performance.now();
  for (const connection of connections) {
    const since = connection.stalledSince(now);
    if (since !== undefined && now - since > limit) connection.destroy(new Error('tcp_user_timeout'));
  }
}

/** `now`: monotonic ms. */
export function sweepClients(clients: Iterable<Sweepable>, now = performance.now()): void {
  for (const client of clients) {
    const expired = expiry(client, now);
    if (expired !== undefined) client.fail(expired.error, expired.reason);
  }
}

export type Sweepable = Timed & Pick<ClientSession, 'fail'>;

type Timed = Pick<
  ClientSession,
  | 'server'
  | 'waiting'
  | 'limits'
  | 'queryStartedAt'
  | 'transactionStartedAt'
  | 'activeAt'
  | 'isIdle'
  | 'pin'
  | 'sessionState'
>;

/** What a client's time is up for; undefined: nothing. A client in line has query_wait_timeout, which is the pool's. */
function expiry(client: Timed, now: number): Expiry | undefined {
  if (client.server === undefined && client.waiting !== undefined) return undefined;
  return client.isIdle ? idleExpiry(client, now) : busyExpiry(client, now);
}

const isOver = (limit: number, since: number, now: number): boolean =>
  limit > 0 && since > 0 && now - since > limit;

function busyExpiry(client: Timed, now: number): Expiry | undefined {
  const { limits, queryStartedAt, transactionStartedAt, activeAt } = client;
  if (isOver(limits.queryTimeout, queryStartedAt, now)) {
    return expired('query timeout', SqlState.queryCanceled, 'query_timeout', limits.queryTimeout);
  }
  if (isOver(limits.transactionTimeout, transactionStartedAt, now)) {
    return expired(
      'transaction timeout',
      SqlState.transactionTimeout,
      'transaction_timeout',
      limits.transactionTimeout,
    );
  }
  if (queryStartedAt === 0 && isOver(limits.idleTransactionTimeout, activeAt, now)) {
    return expired(
      'idle transaction timeout',
      SqlState.idleInTransactionSessionTimeout,
      'idle_transaction_timeout',
      limits.idleTransactionTimeout,
    );
  }
  return undefined;
}

/** With or without a server: one in session mode keeps it, and so does one that is pinned. */
function idleExpiry({ limits, activeAt, pin, sessionState }: Timed, now: number): Expiry | undefined {
  const ownLimit = idleSessionTimeout(sessionState);
  if (isOver(ownLimit, activeAt, now)) {
    return expired(
      'terminating connection due to idle-session timeout',
      SqlState.idleSessionTimeout,
      'idle_session_timeout',
      ownLimit,
    );
  }
  if (pin !== undefined && isOver(limits.pinTimeout, activeAt, now)) {
    return expired(
      `pin timeout: the session keeps its server connection (${pin.reasons.join(', ')})`,
      SqlState.idleSessionTimeout,
      'pin_timeout',
      limits.pinTimeout,
    );
  }
  if (isOver(limits.clientIdleTimeout, activeAt, now)) {
    return expired(
      'client_idle_timeout',
      SqlState.idleSessionTimeout,
      'client_idle_timeout',
      limits.clientIdleTimeout,
    );
  }
  return undefined;
}

const expired = (
  message: string,
  sqlState: SqlState,
  reason: ClientDisconnectReason,
  limit: number,
): Expiry => ({
  error: new ClientError(message, { sqlState, detail: `The limit is ${limit / 1000} s.` }),
  reason,
});
