/**
 * Whether PostgreSQL has room for what the pools may open. Each server host is asked once in a while how many connections it takes; the
 * operator is warned when the configuration promises more, and again when the connections that are really open reach it.
 */
import type { Config, DatabaseEntry } from '../config/config.ts';
import type { Logger } from '../observability/logger.ts';
import { poolSettings } from './pool-rules.ts';
import type { ServerSession } from './server-session.ts';

const capacitySql = `SELECT pg_catalog.current_setting('max_connections')::int
  - pg_catalog.current_setting('superuser_reserved_connections')::int
  - coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::int`;

/** How long an answer counts, ms: max_connections changes with a restart only, but a host may become another machine. */
const MAX_AGE = 600_000;

interface Capacity {
  readonly connections: number;
  readonly askedAt: number;
  full: boolean;
}

export class ServerCapacity {
  readonly #logger: Logger;
  readonly #hosts = new Map<string, Capacity>();
  readonly #asking = new Set<string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Asks a server that has just logged in, if its host has not been asked lately; then `done`. */
  ask(server: ServerSession, entry: DatabaseEntry, config: Config, done: () => void): void {
    const host = hostOf(entry);
    const known = this.#hosts.get(host);
    const now = performance.now();
    if (this.#asking.has(host) || (known !== undefined && now - known.askedAt < MAX_AGE)) {
      done();
      return;
    }
    this.#asking.add(host);
    server.whenLost = () => this.#asking.delete(host);
    server.askQuery(capacitySql, ({ rows }) => {
      server.whenLost = undefined;
      this.#asking.delete(host);
      const connections = Number(rows[0]?.[0] ?? NaN);
      if (Number.isInteger(connections)) {
        this.#hosts.set(host, { connections, askedAt: now, full: false });
        this.compare(config);
      }
      done();
    });
  }

  /** Warns for each host whose databases may together open more than it takes; to be called after RELOAD too. */
  compare(config: Config): void {
    for (const [host, { connections }] of this.#hosts) {
      const planned = plannedConnections(config, host);
      if (planned <= connections) continue;
      this.#logger.warn(
        { host, planned, available: connections },
        `the databases on ${host} may open ${planned} server connections, but it takes ${connections} ` +
          '(max_connections less the reserved ones); lower pool_size or max_db_connections, or raise max_connections',
      );
    }
  }

  /** Warns when what is open at a host reaches what it takes. `open`: server connections by host, see {@link hostOf}. */
  watch(open: ReadonlyMap<string, number>): void {
    for (const [host, capacity] of this.#hosts) {
      const count = open.get(host) ?? 0;
      const full = count >= capacity.connections;
      if (full && !capacity.full) {
        this.#logger.warn(
          { host, open: count, available: capacity.connections },
          `${count} server connections to ${host} are open, all that it takes; others will be refused there`,
        );
      }
      capacity.full = full;
    }
  }
}

/** Server connections when every database is busy for one user; for who has to have room for them without knowing who will come. */
export function expectedServers(config: Config): number {
  const { databases, fallback, settings } = config;
  let expected = 0;
  for (const entry of [...databases.values(), ...(fallback === undefined ? [] : [fallback])]) {
    const limit = entry.max_db_connections ?? settings.max_db_connections;
    const { poolSize, reservePoolSize } = poolSettings(config, entry.name, entry.user ?? '');
    expected += limit > 0 ? limit : poolSize + reservePoolSize;
  }
  return expected;
}

export const hostOf = ({ host, port }: DatabaseEntry): string => `${host}:${port}`;

/** What the pools of all databases on a host may open together: max_db_connections, else pool_size for each user. */
export function plannedConnections(config: Config, host: string): number {
  let planned = 0;
  for (const [name, entry] of config.databases) {
    if (hostOf(entry) !== host) continue;
    const limit = entry.max_db_connections ?? config.settings.max_db_connections;
    const users = entry.user === undefined ? [...config.users.keys()] : [entry.user];
    let sum = 0;
    for (const user of users) {
      const { poolSize, reservePoolSize } = poolSettings(config, name, user);
      sum += poolSize + reservePoolSize;
    }
    planned += limit > 0 ? Math.min(limit, sum) : sum;
  }
  return planned;
}
