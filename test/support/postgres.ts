/** A real PostgreSQL for a test file, and one-off queries to it or to a pooler in front of it. */
import { after, before } from 'node:test';
import pg from 'pg';
import {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from '../../src/cli/embedded-postgres.ts';

export type { EmbeddedPostgres } from '../../src/cli/embedded-postgres.ts';

/** For speed: nothing in a test outlives a crash of the machine. */
const TEST_SETTINGS = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  autovacuum: 'off',
  shared_buffers: '16MB',
  max_connections: '60',
};

/** What `pg.Client` takes; a running cluster fits as it is (its database is then `postgres`). */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database?: string;
}

export type Row = Record<string, unknown>;

/** A cluster of the caller's own; the caller stops it. When the process dies it stops by itself. */
export function startPostgres(options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ ...options, settings: { ...TEST_SETTINGS, ...options.settings } });
}

/**
 * One cluster for all tests of the calling file (or `describe`): started before the first, stopped after the last.
 * Returns a function, because it is not there yet while tests are being declared.
 */
export function usePostgres(options: EmbeddedPostgresOptions = {}): () => EmbeddedPostgres {
  let running: EmbeddedPostgres | undefined;
  before(async () => {
    running = await startPostgres(options);
  });
  after(async () => {
    await running?.stop();
  });
  return () => {
    if (running === undefined) throw new Error('PostgreSQL runs only inside tests and hooks');
    return running;
  };
}

/** A connected client that the caller ends. Errors outside a query (the server went away) are not thrown. */
export async function connect(target: Target, options: pg.ClientConfig = {}): Promise<pg.Client> {
  const { host, port, user, password, database = 'postgres' } = target;
  const client = new pg.Client({ host, port, user, password, database, ...options });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Runs one statement on a connection of its own. */
export async function query(target: Target, sql: string, values?: readonly unknown[]): Promise<Row[]> {
  const client = await connect(target);
  try {
    const result = await client.query<Row>(sql, values === undefined ? undefined : [...values]);
    return result.rows;
  } finally {
    await client.end();
  }
}
