/** What a scrape is answered with: the rows of the console. */
import type { MetricsSource } from '../observability/metrics-source.ts';
import { databaseRows } from './rows/databases.ts';
import { lists } from './rows/lists.ts';
import { pinRows } from './rows/pins.ts';
import { poolRows } from './rows/pools.ts';
import { clientState } from './rows/sockets.ts';
import { CONSOLE_NAME, type RowSource } from './rows/source.ts';
import { statsRows } from './rows/stats.ts';
import { versionText } from './show/state.ts';

export interface MetricsSourceOptions {
  readonly source: RowSource;
  /** Ostler's own, as in `0.1.0`. */
  readonly version: string;
  /** Log lines that were not written because nobody took them. */
  readonly droppedLogLines: () => number;
}

export function metricsSource({ source, version, droppedLogLines }: MetricsSourceOptions): MetricsSource {
  const { pooler } = source;
  return {
    version: versionText(version),
    pooler: pooler.stats,
    pools: () => poolRows(source),
    databases: () => databaseRows(source),
    stats: () => statsRows(source),
    lists: () => lists(source),
    *clients() {
      for (const client of pooler.clients.all.values()) {
        const { user, applicationName } = client;
        yield { database: client.pool.database, user, applicationName, state: clientState(client) };
      }
      for (const { user, applicationName } of source.consoles()) {
        yield { database: CONSOLE_NAME, user, applicationName, state: 'active' };
      }
    },
    pins: () => pinRows(source),
    limits: () => {
      const { max_client_conn: maxClientConn, max_user_connections: maxUserConnections } = pooler.settings();
      return { maxClientConn, maxUserConnections };
    },
    droppedLogLines,
  };
}
