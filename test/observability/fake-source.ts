/** A daemon with one database and one pool, for tests of what reads it. */
import { DatabaseStats, PoolerStats } from '../../src/observability/counters.ts';
import type { ClientRow, MetricsSource, PoolRow } from '../../src/observability/metrics-source.ts';

export const appPool: PoolRow = {
  database: 'app',
  user: 'web',
  clActive: 7,
  clWaiting: 3,
  clActiveCancelReq: 0,
  clWaitingCancelReq: 0,
  svActive: 5,
  svActiveCancel: 0,
  svBeingCanceled: 0,
  svIdle: 2,
  svUsed: 1,
  svTested: 0,
  svLogin: 4,
  maxwait: 1500,
};

export interface FakeSource extends MetricsSource {
  readonly app: DatabaseStats;
  poolRows: PoolRow[];
  clientRows: ClientRow[];
}

export function fakeSource(): FakeSource {
  const app = new DatabaseStats();
  return {
    app,
    poolRows: [appPool],
    clientRows: [],
    version: 'ostler 0.1.0',
    pooler: new PoolerStats(),
    pools() {
      return this.poolRows;
    },
    databases: () => [
      {
        name: 'app',
        host: 'db.internal',
        port: 5432,
        database: 'app_production',
        forceUser: undefined,
        poolMode: 'session',
        poolSize: 20,
        reservePoolSize: 5,
        maxConnections: 50,
        currentConnections: 12,
        paused: false,
        disabled: true,
      },
    ],
    stats: () => [['app', app]],
    lists: () => ({
      databases: 1,
      users: 2,
      pools: 3,
      freeClients: 4,
      usedClients: 5,
      loginClients: 6,
      freeServers: 7,
      usedServers: 8,
      dnsNames: 9,
      dnsZones: 10,
      dnsQueries: 11,
    }),
    clients() {
      return this.clientRows;
    },
    pins: () => [{ database: 'app', user: 'web', reasons: ['cursor', 'lock'] }],
    limits: () => ({ maxClientConn: 2000, maxUserConnections: 0 }),
    droppedLogLines: () => 0,
  };
}
