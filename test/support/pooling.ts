/** What tests of pooling share: configurations written as values, roles, a daemon per file, and an eye on PostgreSQL's own count. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type Daemon, type LogLine, startDaemon } from './daemon.ts';
import { connect, type EmbeddedPostgres, query, startPostgres, type Target } from './postgres.ts';
import type { EmbeddedPostgresOptions } from '../../src/cli/embedded-postgres.ts';
import { until } from './wait.ts';

export const PASSWORD = 'in the stable, 3 horses';

type Value = string | number | boolean | readonly string[];
type Section = Readonly<Record<string, Value>>;

/** Sections of a configuration. */
export interface Configuration {
  /** On top of what {@link toml} always sets. */
  readonly ostler?: Section;
  /** On top of the server's host and port, by name. */
  readonly databases?: Readonly<Record<string, Section>>;
  /** By name; those without a password have {@link PASSWORD}. */
  readonly users?: Readonly<Record<string, Section>>;
}

/** On a free port of 127.0.0.1 with SCRAM, without HTTP; databases are `postgres` of `server` unless they say otherwise. */
export function toml(server: { host: string; port: number }, configuration: Configuration): string {
  const { ostler = {}, databases = { postgres: {} }, users = { app: {} } } = configuration;
  return [
    section('ostler', { listen_addr: '127.0.0.1', listen_port: 0, http_port: 0, ...ostler }),
    ...Object.entries(databases).map(([name, values]) =>
      section(`databases."${name}"`, {
        host: server.host,
        port: server.port,
        dbname: 'postgres',
        ...values,
      }),
    ),
    ...Object.entries(users).map(([name, values]) =>
      section(`users."${name}"`, { password: PASSWORD, ...values }),
    ),
  ].join('\n');
}

/** TOML's basic strings and arrays of them are written like JSON's. */
function section(name: string, values: Section): string {
  return [
    `[${name}]`,
    ...Object.entries(values).map(([key, setting]) => `${key} = ${JSON.stringify(setting)}`),
    '',
  ].join('\n');
}

export interface YardOptions {
  /** For {@link createRoles}. */
  readonly roles?: Readonly<Record<string, string>>;
  /** Run once, as superuser, before the daemon starts. */
  readonly schema?: string;
  readonly postgres?: EmbeddedPostgresOptions;
  readonly configuration: Configuration;
  readonly files?: Readonly<Record<string, string>>;
  /** Lines of the log that are errors, and meant to be. */
  readonly expectedErrors?: RegExp;
}

export interface Yard {
  readonly postgres: EmbeddedPostgres;
  readonly daemon: Daemon;
  /** Where clients go: through the pooler, as `app` to `postgres` unless told otherwise. */
  through(client?: Partial<Target>): Target;
  /** A connected client, which is gone at the end of the file at the latest. */
  client(client?: Partial<Target>, options?: pg.ClientConfig): Promise<pg.Client>;
  /** Straight to PostgreSQL as superuser, on one connection called `watcher`. */
  sql<Row extends pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

/** Taken apart after the last test of the file, when nothing that happened may have surprised the daemon. */
export function useYard(options: YardOptions): () => Yard {
  let yard: Yard | undefined;
  const cleanups: (() => Promise<unknown>)[] = [];
  before(async () => {
    const postgres = await startPostgres(options.postgres);
    cleanups.unshift(() => postgres.stop());
    await createRoles(postgres, options.roles);
    if (options.schema !== undefined) await query(postgres, options.schema);
    const daemon = await startDaemon({
      config: toml(postgres, options.configuration),
      ...(options.files === undefined ? {} : { files: options.files }),
    });
    cleanups.unshift(() => endsWell(daemon, options.expectedErrors));
    const watcher = await connect(postgres, { application_name: 'watcher' });
    cleanups.unshift(() => watcher.end());
    yard = {
      postgres,
      daemon,
      ...clientsOf(daemon),
      sql: async <Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []) =>
        (await watcher.query<Row>(text, [...values])).rows,
    };
    cleanups.unshift(() => leaveAll());
  });
  after(async () => {
    for (const cleanup of cleanups) await cleanup();
  });
  return () => {
    if (yard === undefined) throw new Error('the yard is there only inside tests and hooks');
    return yard;
  };
}

/** Roles that may log in with {@link PASSWORD}, each with SQL such as `CONNECTION LIMIT 5`. */
export async function createRoles(
  postgres: EmbeddedPostgres,
  roles: Readonly<Record<string, string>> = { app: '' },
): Promise<void> {
  for (const [name, more] of Object.entries(roles)) {
    await query(postgres, `CREATE ROLE "${name}" LOGIN PASSWORD '${PASSWORD}' ${more}`);
  }
}

const open = new Set<pg.Client>();

async function leaveAll(): Promise<void> {
  await Promise.all([...open].map((client) => leave(client)));
}

/** Ends a client's session, even if its connection is gone already. */
export async function leave(client: pg.Client): Promise<void> {
  open.delete(client);
  await client.end().catch(() => undefined);
}

export function clientsOf(daemon: Pick<Daemon, 'port'>): Pick<Yard, 'through' | 'client'> {
  const through = (client: Partial<Target> = {}): Target => ({
    host: '127.0.0.1',
    port: daemon.port,
    user: 'app',
    password: PASSWORD,
    ...client,
  });
  return {
    through,
    client: async (client, options) => {
      const made = await connect(through(client), options);
      open.add(made);
      made.once('end', () => open.delete(made));
      return made;
    },
  };
}

/** Stops it, and asserts that it ended by itself and logged no bug, error or stack trace but those that `expected` matches. */
export async function endsWell(daemon: Daemon, expected?: RegExp): Promise<void> {
  const status = await daemon.stop('SIGTERM');
  assert.deepEqual(surprises(daemon.log, expected), [], 'the daemon was surprised by nothing');
  assert.equal(status, 0, 'the daemon has ended by itself');
}

function surprises(log: readonly LogLine[], expected?: RegExp): string[] {
  return log
    .map((line) => JSON.stringify(line))
    .filter((line) => /\bbug\b|"level":"(error|fatal)"|^\{"text"/.test(line))
    .filter((line) => expected?.test(line) !== true);
}

/** All from 0 to `count` - 1 at once. */
export const each = <T>(count: number, work: (n: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => work(n)));

/** The first column of the first row. */
export async function value(
  client: pg.Client,
  sql: string,
  values: readonly unknown[] = [],
): Promise<unknown> {
  const { rows } = await client.query<unknown[]>({ text: sql, values: [...values], rowMode: 'array' });
  return rows[0]?.[0];
}

export const backendPid = (client: pg.Client): Promise<unknown> => value(client, 'SELECT pg_backend_pid()');

/** How a refused or cut client hears of it. */
export async function refusalOf(work: Promise<unknown>): Promise<pg.DatabaseError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof pg.DatabaseError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

/** What the server ends a client's session with while no query of it runs; ask before it happens. */
export function farewellTo(client: pg.Client): Promise<pg.DatabaseError> {
  return new Promise((resolve, reject) => {
    client.on('error', (error) => {
      if (error instanceof pg.DatabaseError) resolve(error);
    });
    client.once('end', () => reject(new Error('the connection ended without a word')));
  });
}

/** Runs `load` while counting, as fast as PostgreSQL answers, the backends that `condition` (SQL on pg_stat_activity) selects; the most seen. */
export async function peakOf(
  yard: Pick<Yard, 'postgres'>,
  load: () => Promise<unknown>,
  condition = 'true',
): Promise<number> {
  const watcher = await connect(yard.postgres, { application_name: 'watcher' });
  let peak = 0;
  const done = new AbortController();
  const counting = (async () => {
    while (!done.signal.aborted) {
      peak = Math.max(peak, await countServers(watcher, condition));
      await delay(2);
    }
  })();
  try {
    await load();
  } finally {
    done.abort();
    await counting;
    await watcher.end();
  }
  return peak;
}

/** A backend has neither a name nor a database before its login is through, and counts by then. */
async function countServers(watcher: pg.Client, condition: string): Promise<number> {
  const { rows } = await watcher.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND application_name <> 'watcher' AND (datname IS NULL OR ${condition})`,
  );
  return rows[0]?.count ?? 0;
}

/** Waits until PostgreSQL has exactly so many servers of the pooler. */
export async function untilServers(yard: Yard, count: number, condition = 'true'): Promise<void> {
  let seen = -1;
  await until(
    async () => {
      const [row] = await yard.sql<{ count: number }>(
        `SELECT count(*)::int AS count FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND application_name <> 'watcher' AND (datname IS NULL OR ${condition})`,
      );
      seen = row?.count ?? -1;
      return seen === count;
    },
    { what: () => `there are ${String(count)} servers, not ${String(seen)}` },
  );
}
