/**
 * How a client's settings get onto a server: statements of ours, in front of the client's first bytes and in the same write.
 *
 *     BEGIN · RESET ALL · set_config(everything the client has) · COMMIT │ client's bytes …
 *     └─ extended protocol, named statements, no Sync ─────────────────┘
 *
 * Without a Sync of its own it costs no round trip, and it fails closed: after an error in it the server skips what
 * follows, so that nothing of the client runs under settings that are not its own. In a transaction of its own, so that
 * neither an error nor a ROLLBACK of the client takes it back, and statements that refuse a transaction still work.
 *
 * It is absolute, not a difference: whatever the server had before, afterwards it has this. The names are qualified and
 * the isolation level is said, because a session's search_path and defaults apply to our statements too.
 */
import { FrameWriter } from '../protocol/frame-writer.ts';
import { writeBindExecute, writeParse } from '../protocol/frontend.ts';
import type { InternedMap } from './interned-map.ts';

/** Settings as hex of their bytes in the database's encoding: no conversion between client and server can change them. */
export type SessionState = InternedMap;

const BEGIN = 'ostler_begin';
const RESET = 'ostler_reset_all';
const SET = 'ostler_set_config';
const COMMIT = 'ostler_commit';

const beginSql = 'BEGIN ISOLATION LEVEL READ COMMITTED';
const otherStatements: readonly (readonly [name: string, sql: string])[] = [
  [RESET, 'RESET ALL'],
  [
    SET,
    // Two-argument unnest() is syntax, not a function that could be qualified; count() because a value that comes back
    // would be converted to the client's encoding, which may not have it.
    `SELECT pg_catalog.count(pg_catalog.set_config(n, pg_catalog.convert_from(pg_catalog.decode(v, 'hex'),
       pg_catalog.getdatabaseencoding()), false))
     FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS t(n, v)`,
  ],
  [COMMIT, 'COMMIT'],
];

/** What a server will answer to a replay, in order; COMMIT's answer is the last. */
export interface Replay {
  readonly bytes: Buffer;
  /** The number of messages of each kind is what matters to whoever counts replies. */
  readonly messages: readonly ('parse' | 'bind' | 'execute')[];
}

const withHelpers = new WeakMap<SessionState, Replay>();
const firstTime = new WeakMap<SessionState, Replay>();

/** The replay of `state`; `prepared` says that this server got one before and still has the statements. */
export function replayOf(state: SessionState, prepared: boolean): Replay {
  const made = prepared ? withHelpers : firstTime;
  let replay = made.get(state);
  if (replay === undefined) {
    replay = makeReplay(state, prepared);
    made.set(state, replay);
  }
  return replay;
}

function makeReplay(state: SessionState, prepared: boolean): Replay {
  const writer = new FrameWriter();
  const messages: ('parse' | 'bind' | 'execute')[] = [];
  const parse = (name: string, sql: string): void => {
    writeParse(writer, name, sql);
    messages.push('parse');
  };
  const run = (name: string, values: readonly string[] = []): void => {
    writeBindExecute(writer, name, values);
    messages.push('bind', 'execute');
  };
  if (!prepared) parse(BEGIN, beginSql);
  run(BEGIN);
  // Not before BEGIN: to parse a SELECT takes a snapshot, which waits for ever under serializable, deferrable defaults.
  if (!prepared) for (const [name, sql] of otherStatements) parse(name, sql);
  run(RESET);
  if (state.size > 0)
    run(SET, [
      arrayLiteral([...state].map(([name]) => name)),
      arrayLiteral([...state].map(([, value]) => value)),
    ]);
  run(COMMIT);
  return { bytes: writer.take(), messages };
}

/** A text[] in PostgreSQL's array syntax. */
export const arrayLiteral = (items: readonly string[]): string =>
  `{${items.map((item) => `"${item.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`).join(',')}}`;

/** Asks an idle server what is set in its session, as rows of a state: names and texts in hex. */
export const sessionSettingsSql = `SELECT pg_catalog.lower(name), pg_catalog.encode(pg_catalog.convert_to(
    pg_catalog.current_setting(name), pg_catalog.getdatabaseencoding()), 'hex')
  FROM pg_catalog.pg_settings WHERE source OPERATOR(pg_catalog.=) 'session'`;

/** A setting's text as the state carries it. */
export const toHex = (value: string): string => Buffer.from(value, 'utf8').toString('hex');
