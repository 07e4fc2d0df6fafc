/** What clients play in: a PostgreSQL of their own, the pooler under test in front of it, and an eye on the servers. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { type Pooler, type PoolerKind, type PoolerOptions } from './poolers/pooler.ts';
import { connect, query, startPostgres } from './postgres.ts';
import { until } from './wait.ts';

export const DATABASE = 'app';
export const USER = 'app';
const PASSWORD = 'in the stable, 3 horses';
/** In ms, between two counts of the server connections. */
const SAMPLE_INTERVAL = 5;

export interface ArenaOptions extends Pick<PoolerOptions, 'poolSize' | 'certificate' | 'settings'> {
  readonly pooler: PoolerKind;
  /** PostgreSQL's own settings. */
  readonly postgres?: Readonly<Record<string, string>>;
  /** Run by the superuser in the clients' database before the pooler starts. */
  readonly setup?: string;
  /** Does the pooler serve databases that it has not been told of? Each has servers of its own, so none are limited here. */
  readonly anyDatabase?: boolean;
}

export interface Arena {
  readonly pooler: Pooler;
  /** The PG* variables by which libpq and what resembles it find the pooler. */
  readonly environment: Readonly<Record<string, string>>;
  /** Straight to PostgreSQL, as superuser, in the clients' database. */
  query(sql: string): Promise<Record<string, unknown>[]>;
  /**
   * Runs `load` while counting server connections in pg_stat_activity, and asserts that they never were more than the
   * pool may have. Gives the highest count.
   */
  watching(load: () => Promise<unknown>): Promise<number>;
  /** Hooks run in the order they were written, and the arena's own come first: what uses it is to be closed by this. */
  beforeItEnds(close: () => Promise<unknown>): void;
}

/** Like `usePostgres`: there from before the first test of the calling file until after the last. */
export function useArena(options: ArenaOptions): () => Arena {
  let arena: Arena | undefined;
  const cleanups: (() => Promise<unknown>)[] = [];
  before(async () => {
    const postgres = await startPostgres({ settings: { max_connections: '150', ...options.postgres } });
    cleanups.unshift(() => postgres.stop());
    await query(postgres, `CREATE ROLE ${USER} LOGIN PASSWORD '${PASSWORD}'`);
    await query(postgres, `CREATE DATABASE ${DATABASE} OWNER ${USER}`);
    if (options.setup !== undefined) await query({ ...postgres, database: DATABASE }, options.setup);
    const pooler = await options.pooler.start({
      ...options,
      server: postgres,
      users: { [USER]: PASSWORD },
      databases: options.anyDatabase === true ? [DATABASE, '*'] : [DATABASE],
    });
    cleanups.unshift(() => pooler.stop());
    const watcher = await connect(postgres);
    cleanups.unshift(() => watcher.end());
    const limit = options.pooler.limitsServers && options.anyDatabase !== true ? options.poolSize : Infinity;
    arena = {
      pooler,
      environment: {
        PGHOST: pooler.host,
        PGPORT: String(pooler.port),
        PGUSER: USER,
        PGPASSWORD: PASSWORD,
        PGDATABASE: DATABASE,
        PGCONNECT_TIMEOUT: '30',
      },
      query: (sql) => query({ ...postgres, database: DATABASE }, sql),
      watching: (load) => watch(watcher, limit, load),
      beforeItEnds: (close) => void cleanups.unshift(close),
    };
  });
  after(async () => {
    for (const cleanup of cleanups) await cleanup();
  });
  return () => {
    if (arena === undefined) throw new Error('the arena is there only inside tests and hooks');
    return arena;
  };
}

/** Every backend but the watcher's own is a server of the pooler, from its login (when it has no name yet) to its very end. */
const COUNT_SERVERS = `
  SELECT count(*)::int AS servers FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`;

async function watch(watcher: pg.Client, limit: number, load: () => Promise<unknown>): Promise<number> {
  const count = async (): Promise<number> => {
    const { rows } = await watcher.query<{ servers: number }>(COUNT_SERVERS);
    return rows[0]?.servers ?? 0;
  };
  // A direct connection that has just been closed may still be on its way out.
  await until(async () => (await count()) <= limit, { what: 'no connection of a test is left' });
  let peak = 0;
  const done = new AbortController();
  const counting = (async () => {
    while (!done.signal.aborted) {
      peak = Math.max(peak, await count());
      await delay(SAMPLE_INTERVAL);
    }
  })();
  try {
    await load();
  } finally {
    done.abort();
    await counting;
  }
  assert.ok(peak <= limit, `${String(peak)} servers were seen, and the pool may have ${String(limit)}`);
  assert.ok(peak > 0, 'the load was seen on the server');
  return peak;
}
