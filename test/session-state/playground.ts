/**
 * Where scripts are played: one PostgreSQL with two equal databases, in which a session through the pooler and its twin on a
 * direct connection never meet; and three servers behind the pooler that are used in turn.
 */
import { existsSync } from 'node:fs';
import { delimiter } from 'node:path';
import { after, before } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { metricsAt } from '../support/metrics.ts';
import { freePort } from '../support/ports.ts';
import { query, type Target } from '../support/postgres.ts';
import { RawClient } from '../support/raw-client.ts';
import { startSlowRelay } from '../support/slow-relay.ts';
import { type Stage, useStage } from '../support/stage.ts';
import { NO_TABLES, SCHEMA, TABLES } from './vocabulary.ts';

export interface Server {
  readonly name: string;
  /** Where its programs are; npm's if it is not said. */
  readonly programs?: string;
  /** Why it cannot be used. */
  readonly missing?: string;
}

/** Everything once more takes its time: only where it is asked for, by the folders of other versions' programs. */
const folders = (process.env['OSTLER_OLDER_POSTGRES'] ?? '')
  .split(delimiter)
  .filter((folder) => folder !== '');
const inFolder = (programs: string): Server => {
  const name = `the PostgreSQL in ${programs}`;
  return existsSync(programs) ? { name, programs } : { name, programs, missing: 'there is no such folder' };
};
export const SERVERS: readonly Server[] = [{ name: 'the embedded PostgreSQL' }, ...folders.map(inFolder)];

/** A database of the pooler's. */
export interface Entry {
  readonly name: string;
  /** A client keeps its server until it leaves, or may do so. */
  readonly lasting: boolean;
  /** What sessions brought at login comes back after every kind of RESET; where nobody asks the server, only tags tell that it is due. */
  readonly restores: boolean;
  /** Its clients, and those on direct connections, are no superusers. */
  readonly plain?: boolean;
  /** Its servers are far away: clients go on before what their server is asked is answered. */
  readonly far?: boolean;
  /** TOML lines. */
  readonly pooling: string;
}

export interface Playground {
  /** Straight to PostgreSQL. */
  readonly direct: Target;
  /** Through the pooler, to a database like the direct one. */
  readonly pooled: Target;
  readonly restores: boolean;
  /** Brings all servers and tables back to what they were at first. No session may be left. */
  makeNew(): Promise<void>;
  /** Of all that has been played here. */
  tally(): Promise<Tally>;
}

/** How often sessions were at rest, after how many of these times their server was asked, and how often that was needless. */
export interface Tally {
  readonly rests: number;
  readonly asked: number;
  readonly needless: number;
}

const SERVER_COUNT = 3;
const DIRECT = 'direct';
const PLAIN = 'plain_user';
const httpPort = await freePort();

const relay = await startSlowRelay();
relay.answers = () => delay(2);
after(() => relay.close());

/** One daemon with all of these entries; what is returned works inside tests and hooks of the calling `describe`. */
export function usePlaygrounds(
  server: Server,
  entries: readonly Entry[],
): (entry: Entry) => Promise<Playground> {
  const stage = useStage({
    settings: `admin_users = ["boss"]
query_wait_timeout = "5s"
query_wait_notify = 0
server_round_robin = true
[users.boss]
password = "b"
[users.${PLAIN}]
password = "p"`,
    databases: Object.fromEntries(entries.map((entry) => [entry.name, databaseOf(entry)])),
    env: { OSTLER__OSTLER__HTTP_PORT: String(httpPort) },
    schema: `CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE ${PLAIN} LOGIN IN ROLE alice, bob; ${SCHEMA}`,
    postgres: {
      ...(server.programs === undefined ? {} : { programs: server.programs }),
      files: { 'pg_hba.conf': 'host all all 127.0.0.1/32 trust\n' },
    },
  });
  before(async () => {
    relay.target = () => stage().postgres;
    await stage().sql(`CREATE DATABASE ${DIRECT}`);
    await query(directTo(stage()), SCHEMA);
  });
  return (entry) => prepare(stage(), entry);
}

const databaseOf = (entry: Entry): string => {
  const port = entry.far === true ? `port = ${String(relay.port)}` : '';
  return `pool_size = ${String(sizeOf(entry))}\n${port}\n${entry.pooling}`;
};

/** Where every client keeps one, or may: two sessions, a stranger, one on its way out, and who makes all new. */
const sizeOf = ({ lasting }: Entry): number => (lasting ? 8 : SERVER_COUNT);
const directTo = ({ postgres }: Stage): Target => ({ ...postgres, database: DIRECT });

async function prepare(stage: Stage, { name, lasting, restores, plain = false }: Entry): Promise<Playground> {
  const user = plain ? PLAIN : stage.postgres.user;
  const direct = { ...directTo(stage), user };
  const pooled = { ...stage.through(name), user };
  // They may be somebody else's.
  for (const database of [stage.postgres, directTo(stage)]) await query(database, NO_TABLES);
  const begun = await tally(name);
  const straight = await RawClient.login(direct, { application_name: 'watcher' });
  const console = await stage.login('pgbouncer', { user: 'boss' });
  /** As many as there are servers: if all of them have one, every server is new and clean. */
  const crew = await Promise.all(
    Array.from({ length: lasting ? 1 : SERVER_COUNT }, () => RawClient.login(pooled)),
  );
  const all = (sql: string): Promise<unknown> => Promise.all(crew.map((each) => each.query(sql)));
  return {
    direct,
    pooled,
    restores,
    makeNew: async () => {
      if (!lasting) {
        await console.query(`RECONNECT ${name}`);
        await all('BEGIN');
        await all('ROLLBACK');
      }
      await Promise.all([straight.query(TABLES), crew[0]?.query(TABLES)]);
    },
    tally: async () => {
      const now = await tally(name);
      return {
        rests: now.rests - begun.rests,
        asked: now.asked - begun.asked,
        needless: now.needless - begun.needless,
      };
    },
  };
}

/** Questions are counted for all databases together, of which one at a time is played in. */
async function tally(database: string): Promise<Tally> {
  const metric = await metricsAt(httpPort);
  return {
    rests: metric('pgbouncer_stats_totals_sql_transactions_pooled_total', `database="${database}"`),
    asked: metric('ostler_session_probes_total'),
    needless: metric('ostler_session_probes_needless_total'),
  };
}
