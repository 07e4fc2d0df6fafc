/** What the text of statements says about the session state they may leave behind. */

/** Bits of `StatementHints.bits`. A hint is a suspicion: a statement may fail, be rolled back or never run. */
export const Hint = {
  /** A named setting, role or session authorization may change: see `names`. */
  settings: 1,
  /** Some settings may change and the text does not say which: an unreadable set_config, pg_settings written, DO, … */
  opaque: 2,
  /** What cannot move to another server may have come: holdable cursors, LISTEN, temporary objects (also by a SELECT … INTO). */
  pins: 4,
  /** A function that takes session-level advisory locks. */
  locks: 8,
  /** A function that is not among the harmless ones of pg_catalog: see `functions`. */
  functions: 16,
  /** SQL PREPARE. */
  prepare: 32,
  /** What nothing cleans: LOAD, dblink connections, backups, temporary replication slots, replication origins. */
  permanent: 64,
  /** The seed of random() is set. */
  seed: 128,
  /** currval or lastval is read. */
  sequences: 256,
  /** RESET ALL or DISCARD ALL. */
  resetAll: 512,
  /** nextval or setval, by name in the text. */
  nextval: 1024,
  /** Every CREATE of the text says TEMP, and it has no other DDL: their tags mean nothing to other sessions. */
  temporaryDdl: 2048,
  /** A setting under which statements are parsed changes, or may, but for its transaction only. */
  localParsing: 4096,
  /** CREATE, ALTER or DROP DATABASE: it may want a database to which nobody is connected. */
  database: 8192,
  /** CLOSE, UNLISTEN, DEALLOCATE, DISCARD, functions that free locks: who has nothing of the kind has nothing afterwards either. */
  removes: 16_384,
  /** set_config with a name that the text does not show: of one setting. */
  hiddenName: 32_768,
  /** A string says CREATE, ALTER or DROP, and may be run: the tag of a DO does not tell what it has changed. */
  innerDefinition: 65_536,
  /** The same of several settings, or perhaps; and SET of a custom one whose name is no plain ASCII. */
  hiddenNames: 131_072,
} as const;

export interface StatementHints {
  readonly bits: number;
  /**
   * The settings named, in lower case, each once; `role` and `session_authorization` (which sets both) included. What lasts
   * no longer than its transaction (SET LOCAL, transaction_isolation, …) is not among them.
   */
  readonly names: readonly string[];
  /** Those of `names` that may have gone back to their default: RESET, SET … TO DEFAULT, set_config with what may be NULL. */
  readonly resets: readonly string[];
  /** Unknown functions, when the bit is set: lower case unless quoted, without their schema, each once. */
  readonly functions: readonly string[];
  /** How many SET, RESET and DISCARD statements were understood, those included that leave nothing. */
  readonly setStatements: number;
  /**
   * The name in each DEALLOCATE [PREPARE] name, as PostgreSQL reads it (one character a byte): unquoted, folded, not yet cut to 63 bytes;
   * undefined where that cannot be told. None of a text that has too many, or cannot be read for sure.
   */
  readonly deallocated: readonly (string | undefined)[];
  /** The name in each PREPARE, likewise. */
  readonly prepared: readonly (string | undefined)[];
  /** The text is one statement. */
  readonly isSingle: boolean;
}

const nothing: StatementHints = {
  bits: 0,
  names: [],
  resets: [],
  functions: [],
  setStatements: 0,
  deallocated: [],
  prepared: [],
  isSingle: false,
};

/** The text leaves nothing: nearly every text. */
export const noHints: StatementHints = Object.freeze(nothing);

/** The text may run anything: what anybody's code does, or a text that cannot be read for sure. */
export const ANYTHING = Hint.opaque | Hint.pins | Hint.locks;

/** For what ends a cursor and has no text. */
export const pinHints: StatementHints = Object.freeze({ ...nothing, bits: Hint.pins });

/** For what has no text, or none that can be read. */
export const opaqueHints: StatementHints = Object.freeze({ ...nothing, bits: ANYTHING });
