/**
 * The words that mean something to hints, as one table: word → code.
 *
 *     bits 0–6   which word it is (`Word`), 0 for the many that only are harmless
 *     bit  7     it is a name, not a keyword: it means the same in quotes
 *     bit  8     a keyword that is no function although "(" may follow it
 *     bit  9     a function of pg_catalog
 *     bits 12…   the hints that calling this function gives
 */
import { CATALOG_FUNCTIONS, RESERVED_WORDS } from './catalog-functions.ts';
import { ANYTHING, Hint } from './hint.ts';
import { WordTable } from './word-table.ts';

/** Words that the reader of statements acts on. */
export const Word = {
  set: 1,
  reset: 2,
  discard: 3,
  do: 4,
  call: 5,
  listen: 6,
  unlisten: 7,
  close: 8,
  declare: 9,
  prepare: 10,
  deallocate: 11,
  load: 12,
  create: 13,
  execute: 14,
  explain: 15,
  copy: 16,
  insert: 17,
  merge: 18,
  into: 19,
  temporary: 20,
  with: 21,
  hold: 22,
  or: 23,
  replace: 24,
  /** GLOBAL or LOCAL. */
  scope: 25,
  update: 26,
  recursive: 27,
  as: 28,
  references: 29,
  distinct: 30,
  on: 31,
  true: 32,
  null: 33,
  alter: 34,
  /** Starts a statement that changes definitions or access, or maintains tables; parentheses in it hold no calls that matter. */
  definition: 35,
  /** What an expression that is run may follow in CREATE. */
  expression: 36,
  /** The same in ALTER only. */
  alterExpression: 37,
} as const;

/** Names, in the same range of numbers. */
export const Name = { setConfig: 64, pgCatalog: 65, pgSettings: 66 } as const;

export const CODE_MASK = 0x7f;
export const IS_NAME = 0x80;
export const NO_CALL = 0x100;
export const CATALOG_FUNCTION = 0x200;
export const EFFECT_SHIFT = 12;
/** What is left of a code when the word stands in quotes. */
export const QUOTED_MASK = ~(CODE_MASK | NO_CALL);

/** Codes that stand for several words. */
const groups: readonly (readonly [number, string])[] = [
  [Word.temporary, 'temp temporary'],
  [Word.scope, 'global local'],
  [
    Word.definition,
    'drop grant revoke comment security import vacuum analyze analyse reindex cluster refresh truncate reassign',
  ],
  [Word.expression, 'select values returning where'],
  [Word.alterExpression, 'default using check'],
];

/** Keywords that can be names of functions too, but are nearly always what comes before a parenthesis in the grammar. */
const BEFORE_PARENTHESES =
  'by columns conflict copy cross cube escape explain filter full ilike include inner insert is join key like ' +
  'materialized natural of operator over passing prepare rollup rows set sets similar varying within';

/** Those functions of pg_catalog that leave something in the session, or run what they are given as text. */
const effects: readonly (readonly [number, string])[] = [
  [Hint.seed, 'setseed'],
  [Hint.sequences, 'currval lastval'],
  [Hint.nextval, 'nextval setval'],
  // Those named …_xact_… are not here: such locks end with their transaction.
  [
    Hint.locks,
    'pg_advisory_lock pg_advisory_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared ' +
      'pg_advisory_unlock pg_advisory_unlock_shared pg_advisory_unlock_all',
  ],
  [
    Hint.permanent,
    'dblink_connect dblink_connect_u pg_backup_start pg_start_backup pg_replication_origin_session_setup ' +
      'pg_create_physical_replication_slot pg_create_logical_replication_slot ' +
      'pg_copy_physical_replication_slot pg_copy_logical_replication_slot',
  ],
  [
    ANYTHING,
    'query_to_xml query_to_xmlschema query_to_xml_and_xmlschema cursor_to_xml cursor_to_xmlschema ' +
      'ts_stat ts_rewrite',
  ],
];

const split = (words: string): string[] => words.split(' ');

function allCodes(): Map<string, number> {
  const codes = new Map<string, number>();
  const add = (bits: number, words: string): void => {
    for (const word of split(words)) codes.set(word, (codes.get(word) ?? 0) | bits);
  };
  add(CATALOG_FUNCTION, CATALOG_FUNCTIONS);
  add(NO_CALL, RESERVED_WORDS);
  add(NO_CALL, BEFORE_PARENTHESES);
  for (const [hints, words] of effects) add((hints << EFFECT_SHIFT) | CATALOG_FUNCTION, words);
  const grouped = new Set(groups.map(([code]) => code));
  for (const [word, code] of Object.entries(Word)) if (!grouped.has(code)) add(code, word);
  for (const [code, words] of groups) add(code, words);
  add(Name.setConfig | IS_NAME, 'set_config');
  add(Name.pgCatalog | IS_NAME, 'pg_catalog');
  add(Name.pgSettings | IS_NAME, 'pg_settings');
  return codes;
}

export const words = new WordTable(allCodes());
