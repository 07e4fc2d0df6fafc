/**
 * Where scripts are played: one PostgreSQL with two equal databases, in which a session through the pooler and its twin on a
 * direct connection never meet; and three servers behind the pooler that are used in turn.
 */
import { existsSync } from 'node:fs';
import { before } from 'node:test';
import { query } from '../support/messages.ts';
import { connect, type Target } from '../support/postgres.ts';
import { RawClient } from '../support/raw-client.ts';
import { type Stage, useStage } from '../support/stage.ts';
import { SCHEMA, TABLES } from './vocabulary.ts';

export interface Server {
  readonly name: string;
  /** Where its programs are; npm's if it is not said. */
  readonly programs?: string;
  /** Why it cannot be used. */
  readonly missing?: string;
}

const FIFTEEN = '/usr/lib/postgresql/15/bin';
export const SERVERS: readonly Server[] = [
  { name: 'the embedded PostgreSQL' },
  {
    name: 'PostgreSQL 15',
    programs: FIFTEEN,
    ...(existsSync(FIFTEEN) ? {} : { missing: `there is no ${FIFTEEN}` }),
  },
];

export interface PlaygroundOptions {
  readonly server: Server;
  /** TOML lines of the pooled database, besides its pool of three. */
  readonly pooling: string;
}

export interface Playground {
  /** Straight to PostgreSQL. */
  readonly direct: Target;
  /** Through the pooler, to a database like the direct one. */
  readonly pooled: Target;
  /** What sessions brought at login comes back after RESET, which it does only where links end with transactions. */
  readonly restores: boolean;
  /** Brings all servers and tables back to what they were at first. No session may be left. */
  makeNew(): Promise<void>;
}

const SERVER_COUNT = 3;
const DIRECT = 'direct';

/** There inside tests and hooks of the calling `describe`. */
export function usePlayground({ server, pooling }: PlaygroundOptions): () => Playground {
  const lasting = pooling.includes('"session"');
  // In session mode every client keeps its server: two sessions, a stranger, one on its way out, and who makes all new.
  const size = lasting ? 8 : SERVER_COUNT;
  const stage = useStage({
    settings: `admin_users = ["boss"]
query_wait_timeout = "5s"
query_wait_notify = 0
server_round_robin = true
[users.boss]
password = "b"`,
    databases: { pooled: `pool_size = ${String(size)}\n${pooling}` },
    schema: `CREATE ROLE alice; CREATE ROLE bob; ${SCHEMA}`,
    postgres: {
      ...(server.programs === undefined ? {} : { programs: server.programs }),
      files: { 'pg_hba.conf': 'host all all 127.0.0.1/32 trust\n' },
    },
  });
  let playground: Playground | undefined;
  before(async () => {
    playground = await prepare(stage(), lasting ? 1 : SERVER_COUNT);
  });
  return () => {
    if (playground === undefined) throw new Error('the playground is there only inside tests and hooks');
    return playground;
  };
}

async function prepare(stage: Stage, crewSize: number): Promise<Playground> {
  const direct = { ...stage.postgres, database: DIRECT };
  const pooled = stage.through('pooled');
  await stage.sql(`CREATE DATABASE ${DIRECT}`);
  const schema = await connect(direct, { application_name: 'watcher' });
  await schema.query(SCHEMA);
  const console = await stage.login('pgbouncer', { user: 'boss' });
  /** As many as there are servers: if all of them have one, every server is new and clean. */
  const crew = await Promise.all(Array.from({ length: crewSize }, () => RawClient.login(pooled)));
  const all = (sql: string): Promise<unknown> => Promise.all(crew.map((each) => each.query(sql)));
  return {
    direct,
    pooled,
    restores: crewSize === SERVER_COUNT,
    makeNew: async () => {
      if (crewSize === SERVER_COUNT) {
        await console.query('RECONNECT pooled');
        await all('BEGIN');
        await all('ROLLBACK');
      }
      await Promise.all([schema.query(TABLES), crew[0]?.ask([query(TABLES)])]);
    },
  };
}
