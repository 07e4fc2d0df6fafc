/** The daemon in front of a real PostgreSQL, for the tests of one file, and what must be true of it at their end. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before } from 'node:test';
import type pg from 'pg';
import { type Daemon, type DaemonOptions, startDaemon } from './daemon.ts';
import { connect, type EmbeddedPostgres, query, type Row, startPostgres, type Target } from './postgres.ts';
import type { EmbeddedPostgresOptions } from '../../src/cli/embedded-postgres.ts';
import { type Parameters, RawClient } from './raw-client.ts';
import { until } from './wait.ts';

export interface StageOptions extends Pick<DaemonOptions, 'files' | 'env' | 'nodeOptions'> {
  /** How clients log in; `trust` unless it is said. */
  readonly authType?: string;
  /** TOML lines of the [ostler] section, behind what every stage has. */
  readonly settings?: string;
  /** TOML lines by database, besides its host. `port` and `dbname` are PostgreSQL's and `postgres` unless they say otherwise. */
  readonly databases: Readonly<Record<string, string>>;
  /** SQL for PostgreSQL before the daemon starts. */
  readonly schema?: string;
  readonly postgres?: EmbeddedPostgresOptions;
  /** Lines of the log that would be a surprise otherwise. */
  readonly expectedErrors?: RegExp;
}

export interface Stage {
  readonly postgres: EmbeddedPostgres;
  readonly daemon: Daemon;
  /** Where clients of this database go: through the pooler. */
  through(database: string): Target;
  /** A raw client, logged in through the pooler. */
  login(database: string, parameters?: Parameters): Promise<RawClient>;
  /** A raw client, logged in to PostgreSQL itself. */
  direct(parameters?: Parameters): Promise<RawClient>;
  /** On a connection of the test's own, straight to PostgreSQL. */
  sql(text: string): Promise<Row[]>;
  /** Server connections of the pooler, by pid, oldest first. */
  servers(): Promise<number[]>;
  /** Waits until nothing runs and no transaction is open on any server. */
  idleServers(): Promise<number[]>;
  /** The daemon's resident memory in MB. */
  memory(): Promise<number>;
}

/** One stage for all tests of the calling file: built before the first, and taken apart, with a last look at it, after the last. */
export function useStage(options: StageOptions): () => Stage {
  let stage: Stage | undefined;
  const cleanups: (() => Promise<unknown>)[] = [];
  before(async () => {
    const postgres = await startPostgres(options.postgres);
    cleanups.unshift(() => postgres.stop());
    if (options.schema !== undefined) await query(postgres, options.schema);
    const daemon = await startDaemon({ ...options, config: toml(options, postgres) });
    cleanups.unshift(() => endsWell(daemon, options.expectedErrors));
    const watcher = await connect(postgres, { application_name: 'watcher' });
    cleanups.unshift(() => watcher.end());
    stage = onStage(postgres, daemon, watcher);
  });
  after(async () => {
    for (const cleanup of cleanups) await cleanup();
  });
  return () => {
    if (stage === undefined) throw new Error('the stage is there only inside tests and hooks');
    return stage;
  };
}

/** It stops when it is told to, and nothing of what happened was a surprise to it. */
async function endsWell(daemon: Daemon, expected?: RegExp): Promise<void> {
  const status = await daemon.stop('SIGTERM');
  const bugs = daemon.log
    .map((line) => JSON.stringify(line))
    .filter((line) => /bug:|"level":"?(error|fatal|50|60)|"text"/.test(line))
    .filter((line) => expected?.test(line) !== true);
  assert.deepEqual(bugs, [], 'the daemon has logged no bug, no error and no stack trace');
  assert.equal(status, 0, 'the daemon has ended by itself');
}

function toml(options: StageOptions, postgres: EmbeddedPostgres): string {
  const databases = Object.entries(options.databases).map(
    ([name, lines]) => `[databases.${name}]
host = "${postgres.host}"
${/^port =/m.test(lines) ? '' : `port = ${String(postgres.port)}`}
${lines.includes('dbname') ? '' : 'dbname = "postgres"'}
${lines}`,
  );
  return `[ostler]
listen_addr = "127.0.0.1"
listen_port = 0
http_port = 0
auth_type = "${options.authType ?? 'trust'}"
${options.settings ?? ''}
${databases.join('\n')}
[users.${postgres.user}]
password = ${JSON.stringify(postgres.password)}
`;
}

function onStage(postgres: EmbeddedPostgres, daemon: Daemon, watcher: pg.Client): Stage {
  const { user, password } = postgres;
  const through = (database: string): Target => ({
    host: '127.0.0.1',
    port: daemon.port,
    user,
    password,
    database,
  });
  const servers = async (): Promise<{ pid: number; state: string | null }[]> => {
    const { rows } = await watcher.query<{ pid: number; state: string | null }>(
      `SELECT pid, state FROM pg_stat_activity
       WHERE backend_type = 'client backend' AND application_name NOT IN ('watcher', 'direct') ORDER BY backend_start`,
    );
    return rows;
  };
  return {
    postgres,
    daemon,
    through,
    login: (database, parameters) => RawClient.login(through(database), parameters),
    direct: (parameters) => RawClient.login(postgres, { application_name: 'direct', ...parameters }),
    sql: async (text) => (await watcher.query<Row>(text)).rows,
    servers: async () => (await servers()).map(({ pid }) => pid),
    idleServers: () =>
      until(
        async () => {
          const all = await servers();
          return all.every(({ state }) => state === 'idle') && all.map(({ pid }) => pid);
        },
        { what: 'all servers are idle' },
      ),
    memory: async () => {
      const status = await readFile(`/proc/${String(daemon.pid)}/status`, 'utf8');
      return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
    },
  };
}
