/**
 * Our own statements in a client's session, and how a batch of them is put together.
 *
 * They are guests there: named, because a simple Query or an unnamed Parse would destroy the client's unnamed statement; every name and
 * operator qualified, because the session's search_path applies to them too; values as hex of the database's encoding, because text
 * would be converted to the client's encoding, which may not have it; in a transaction with its own isolation level, because the
 * session's defaults may make even a SELECT wait.
 */
import { FrameWriter } from '../protocol/frame-writer.ts';
import { writeBindExecute, writeClose, writeParse } from '../protocol/frontend.ts';

const hexOf = (text: string): string =>
  `pg_catalog.encode(pg_catalog.convert_to(${text}, pg_catalog.getdatabaseencoding()), 'hex')`;

/** Two-argument unnest() is syntax, not a function that could be qualified; count(), so that no value comes back. */
const setAll = `SELECT pg_catalog.count(pg_catalog.set_config(n, pg_catalog.convert_from(pg_catalog.decode(v, 'hex'),
      pg_catalog.getdatabaseencoding()), false))
    FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS t(n, v)`;

const guests = {
  begin: 'BEGIN ISOLATION LEVEL READ COMMITTED',
  commit: 'COMMIT',
  rollback: 'ROLLBACK',
  /** Resets the role too. */
  identity: 'SET SESSION AUTHORIZATION DEFAULT',
  resetAll: 'RESET ALL',
  set: setAll,
  /** The same, of those that nobody has set: of custom settings and the role, which are in no list, those without a value. */
  setWhereReset: `${setAll}
    WHERE coalesce(
      (SELECT source OPERATOR(pg_catalog.<>) 'session' FROM pg_catalog.pg_show_all_settings() AS s
        WHERE pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) n),
      coalesce(pg_catalog.current_setting(n, true), '') OPERATOR(pg_catalog.=) ANY ('{"",none}'::pg_catalog.text[]))`,
  timeout: 'SHOW statement_timeout',
  noTimeout: 'SET LOCAL statement_timeout = 0',
  closeAll: 'CLOSE ALL',
  unlisten: 'UNLISTEN *',
  unlock: 'SELECT pg_catalog.pg_advisory_unlock_all()',
  discardSequences: 'DISCARD SEQUENCES',
  discardTemp: 'DISCARD TEMP',
  /** The values of the settings that are named, in that order; then when the server has read its configuration, in a form that no setting changes. */
  values: `SELECT ${hexOf('pg_catalog.current_setting(n, true)')} FROM pg_catalog.unnest($1::pg_catalog.text[]) AS n
    UNION ALL SELECT pg_catalog.encode(pg_catalog.timestamptz_send(pg_catalog.pg_conf_load_time()), 'hex')`,
  /** Everything that is set in the session. Neither custom settings nor the role are among it; our own BEGIN sets the first of those left out. */
  sweep: `SELECT pg_catalog.lower(name), ${hexOf('pg_catalog.current_setting(name)')}
    FROM pg_catalog.pg_show_all_settings()
    WHERE source OPERATOR(pg_catalog.=) 'session' AND (setting OPERATOR(pg_catalog.=) reset_val) IS NOT TRUE
      AND name OPERATOR(pg_catalog.<>) ALL ('{transaction_isolation,transaction_read_only,transaction_deferrable,seed}'::pg_catalog.text[])`,
  /** Which of the settings that are named somebody has set, be it to what they would be anyway. */
  setHere: `SELECT pg_catalog.lower(name) FROM pg_catalog.pg_show_all_settings()
    WHERE source OPERATOR(pg_catalog.=) 'session' AND pg_catalog.lower(name) OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[])`,
  /** Holdable cursors, channels, objects in the temporary schema. */
  pins: `SELECT EXISTS (SELECT FROM pg_catalog.pg_cursor() WHERE is_holdable),
      EXISTS (SELECT FROM pg_catalog.pg_listening_channels()),
      pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0 AND EXISTS (SELECT FROM pg_catalog.pg_depend
        WHERE refclassid OPERATOR(pg_catalog.=) 2615 AND refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())`,
  /** Outside the client's transactions only session-level locks are left. */
  locks: `SELECT EXISTS (SELECT FROM pg_catalog.pg_lock_status()
    WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())`,
  /** Statements that SQL's PREPARE has made. */
  prepared: 'SELECT EXISTS (SELECT FROM pg_catalog.pg_prepared_statement() WHERE from_sql)',
} as const;

/** For a server that no client has: everything that is set in its session, names and values; what is not in the list of settings, by `names`. */
export const sweepSql = (names: readonly string[]): string =>
  `${guests.sweep} UNION ALL SELECT n, ${hexOf('pg_catalog.current_setting(n, true)')}
    FROM pg_catalog.unnest('${arrayLiteral(names)}'::pg_catalog.text[]) AS n`;

export type Guest = keyof typeof guests;

const bitOf = new Map(Object.keys(guests).map((name, index) => [name, 1 << index]));

/** Which of them a server has prepared. */
export type GuestSet = number;
export const noGuests: GuestSet = 0;
export const guestSet = (names: readonly Guest[]): GuestSet =>
  names.reduce((set, name) => set | (bitOf.get(name) ?? 0), noGuests);

export type GuestMessage = 'parse' | 'bind' | 'execute' | 'close';

/** Bytes without a Sync, and what the server will answer to them. */
export interface Batch {
  readonly bytes: Buffer;
  readonly messages: readonly GuestMessage[];
  /** What is run, in order. */
  readonly guests: readonly Guest[];
  /** What the server has prepared afterwards. */
  readonly prepared: GuestSet;
}

export class GuestBatch {
  readonly #writer = new FrameWriter();
  readonly #messages: GuestMessage[] = [];
  readonly #guests: Guest[] = [];
  #prepared: GuestSet;

  /** `prepared`: what the server has already. The rest is prepared right before it runs. */
  constructor(prepared: GuestSet) {
    this.#prepared = prepared;
  }

  run(guest: Guest, values: readonly string[] = []): this {
    const name = `ostler_${guest}`;
    const bit = bitOf.get(guest) ?? 0;
    if ((this.#prepared & bit) === 0) {
      this.#prepared |= bit;
      // It may be there after all, where something had failed.
      writeClose(this.#writer, 'S', name);
      writeParse(this.#writer, name, guests[guest]);
      this.#messages.push('close', 'parse');
    }
    writeBindExecute(this.#writer, name, values);
    this.#messages.push('bind', 'execute');
    this.#guests.push(guest);
    return this;
  }

  take(): Batch {
    return {
      bytes: this.#writer.take(),
      messages: this.#messages,
      guests: this.#guests,
      prepared: this.#prepared,
    };
  }
}

/** A text[] in PostgreSQL's array syntax. */
export const arrayLiteral = (items: readonly string[]): string =>
  `{${items.map((item) => `"${item.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`).join(',')}}`;
