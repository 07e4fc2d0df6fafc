/** SHOW POOLS, and what a scrape and /health say of pools: one row for each pair of a database entry and a pool user. */
import type { PoolRow } from '../../observability/metrics-source.ts';
import { ClientSession } from '../../proxy/client-session.ts';
import type { ProxyPool } from '../../proxy/proxy-pool.ts';
import type { ServerOwner } from '../../proxy/server-session.ts';
import { byName, CONSOLE_NAME, type RowSource } from './source.ts';

export interface PoolStatus extends PoolRow {
  readonly poolMode: string;
}

/** Ordered by database and user. */
export function poolRows(source: RowSource): PoolStatus[] {
  const waitingCancels = new Map<ServerOwner, number>();
  for (const { owner } of source.pooler.context.cancels.unsent()) {
    waitingCancels.set(owner, (waitingCancels.get(owner) ?? 0) + 1);
  }
  const rows = Array.from(source.pooler.proxyPools(), (pool) => ({
    ...poolStatus(pool),
    clWaitingCancelReq: waitingCancels.get(pool) ?? 0,
  }));
  rows.push(consolePool(source));
  return rows.toSorted((a, b) => byName(a.database, b.database) || byName(a.user, b.user));
}

export function poolStatus(proxyPool: ProxyPool): Omit<PoolStatus, 'clWaitingCancelReq'> {
  const { pool } = proxyPool;
  const counts = pool.counts();
  // Logins that ask the server something wait in the same line, but are no clients yet.
  const waitingClients = pool.waiters().filter((waiter) => waiter instanceof ClientSession).length;
  let cancels = 0;
  for (const server of pool.servers()) cancels += server.cancels;
  return {
    database: pool.database,
    user: pool.user,
    clActive: pool.clients - waitingClients,
    clWaiting: counts.waiting,
    clActiveCancelReq: cancels,
    svActive: counts.active,
    svActiveCancel: cancels,
    svBeingCanceled: counts.being_canceled,
    svIdle: counts.idle - counts.used,
    svUsed: counts.used,
    svTested: counts.tested,
    svLogin: counts.connecting,
    maxwait: counts.maxWait,
    poolMode: proxyPool.mode,
  };
}

function consolePool(source: RowSource): PoolStatus {
  return {
    database: CONSOLE_NAME,
    user: CONSOLE_NAME,
    clActive: [...source.consoles()].length,
    clWaiting: 0,
    clActiveCancelReq: 0,
    clWaitingCancelReq: 0,
    svActive: 0,
    svActiveCancel: 0,
    svBeingCanceled: 0,
    svIdle: 0,
    svUsed: 0,
    svTested: 0,
    svLogin: 0,
    maxwait: 0,
    poolMode: 'statement',
  };
}
