/** The timeouts that hit clients. One pass over all of them a few times a second, instead of a timer for each. */
import type { Connection } from '../net/connection.ts';
import { ClientError } from '../protocol/errors.ts';
import { SqlState } from '../protocol/sql-state.ts';
import type { ClientDisconnectReason } from '../observability/reasons.ts';
import type { ClientSession } from './client-session.ts';

interface Expiry {
  readonly error: ClientError;
  readonly reason: ClientDisconnectReason;
}

/** tcp_user_timeout, which Node cannot set on a socket: a peer that takes nothing of what is queued for it for `limit` ms is cut off. */
export function dropStalled(connections: Iterable<Connection>, limit: number): void {
  if (limit === 0) return;
  const now = performance.now();
  for (const connection of connections) {
    const since = connection.stalledSince(now);
    if (since !== undefined && now - since > limit) connection.destroy(new Error('tcp_user_timeout'));
  }
}

export function sweepClients(clients: Iterable<ClientSession>): void {
  const now = performance.now();
  for (const client of clients) {
    const expired = expiry(client, now);
    if (expired !== undefined) client.fail(expired.error, expired.reason);
  }
}

/** What a client's time is up for; undefined: nothing. A client in line has query_wait_timeout, which is the pool's. */
function expiry(
  client: Pick<
    ClientSession,
    'server' | 'waiting' | 'limits' | 'queryStartedAt' | 'transactionStartedAt' | 'activeAt'
  >,
  now: number,
): Expiry | undefined {
  const { limits } = client;
  const over = (limit: number, since: number): boolean => limit > 0 && since > 0 && now - since > limit;
  if (client.server === undefined) {
    if (client.waiting !== undefined) return undefined;
    if (!over(limits.clientIdleTimeout, client.activeAt)) return undefined;
    return expired(
      'client_idle_timeout',
      SqlState.idleSessionTimeout,
      'client_idle_timeout',
      limits.clientIdleTimeout,
    );
  }
  if (over(limits.queryTimeout, client.queryStartedAt)) {
    return expired('query timeout', SqlState.queryCanceled, 'query_timeout', limits.queryTimeout);
  }
  if (over(limits.transactionTimeout, client.transactionStartedAt)) {
    return expired(
      'transaction timeout',
      SqlState.transactionTimeout,
      'transaction_timeout',
      limits.transactionTimeout,
    );
  }
  const idleInTransaction = client.queryStartedAt === 0 && client.transactionStartedAt > 0;
  if (idleInTransaction && over(limits.idleTransactionTimeout, client.activeAt)) {
    return expired(
      'idle transaction timeout',
      SqlState.idleInTransactionSessionTimeout,
      'idle_transaction_timeout',
      limits.idleTransactionTimeout,
    );
  }
  // Session mode: the server stays linked while the client idles.
  if (client.transactionStartedAt === 0 && over(limits.clientIdleTimeout, client.activeAt)) {
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
