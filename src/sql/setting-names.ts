/** Names of settings: what setting them really touches. */

/** Old names that PostgreSQL still takes. */
const aliases = new Map([
  ['sort_mem', 'work_mem'],
  ['vacuum_mem', 'maintenance_work_mem'],
]);

/** They hold for a transaction, however they are set. */
const ofTransactions = new Set(['transaction_isolation', 'transaction_read_only', 'transaction_deferrable']);

/** `SET seed` is setseed(): nothing that could be read and set again. */
export const SEED = 'seed';

/** PostgreSQL cuts identifiers to this many bytes. */
export const MAX_IDENTIFIER = 63;

/** The settings that lastingly change when `name` is set, in lower case; undefined for a name that is not plain ASCII. */
export function settingsTouched(name: string): readonly string[] | undefined {
  if (!/^[ -~]+$/.test(name)) return undefined;
  const lower = name.toLowerCase();
  if (ofTransactions.has(lower) || lower === SEED) return [];
  if (lower === 'session_authorization') return ['session_authorization', 'role'];
  return [aliases.get(lower) ?? lower];
}

/** A statement means what it does by these, from when it is parsed on: its literals are evaluated then, and its names looked up. */
const ofParsing: ReadonlySet<string> = new Set([
  'search_path',
  'timezone',
  'datestyle',
  'intervalstyle',
  'standard_conforming_strings',
  'backslash_quote',
  'array_nulls',
  'transform_null_equals',
  'xmloption',
  'bytea_output',
  'extra_float_digits',
  'lc_monetary',
  'client_encoding',
]);

/** Whether statements are parsed differently where `name` (in lower case) is another one. */
export const countsInParsing = (name: string): boolean => ofParsing.has(name);

/** Only A–Z, as PostgreSQL folds identifiers: other bytes are no letters of one character set. */
export const fold = (identifier: string): string =>
  /[A-Z]/.test(identifier)
    ? identifier.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
    : identifier;
