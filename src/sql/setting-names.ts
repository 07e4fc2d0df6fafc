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

/** Only A–Z, as PostgreSQL folds identifiers: other bytes are no letters of one character set. */
export const fold = (identifier: string): string =>
  /[A-Z]/.test(identifier)
    ? identifier.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
    : identifier;
