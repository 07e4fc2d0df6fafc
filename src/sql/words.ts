/** The few words that the reader of statements acts on, as a table: word → code. All other words have code 0. */
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
  /** What an expression that is run may follow in ALTER. */
  expression: 36,
  table: 37,
  ordinality: 38,
  database: 39,
} as const;

/** Names, in the same range of numbers: they mean the same in quotes, which make no keyword of a keyword. */
export const Name = { pgCatalog: 64, pgSettings: 65 } as const;
const FIRST_NAME = Name.pgCatalog;

/** What is left of a code when the word stands in quotes. */
export const inQuotes = (code: number): number => (code < FIRST_NAME ? 0 : code);

/** Codes that stand for several words. */
const groups: readonly (readonly [number, string])[] = [
  [Word.temporary, 'temp temporary'],
  [Word.scope, 'global local'],
  [
    Word.definition,
    'drop grant revoke comment security import vacuum analyze analyse reindex cluster refresh truncate reassign',
  ],
  [Word.expression, 'default using check'],
];

function allCodes(): Map<string, number> {
  const codes = new Map<string, number>([
    ['pg_catalog', Name.pgCatalog],
    ['pg_settings', Name.pgSettings],
  ]);
  const grouped = new Set(groups.map(([code]) => code));
  for (const [word, code] of Object.entries(Word)) if (!grouped.has(code)) codes.set(word, code);
  for (const [code, words] of groups) for (const word of words.split(' ')) codes.set(word, code);
  return codes;
}

export const words = new WordTable(allCodes());
