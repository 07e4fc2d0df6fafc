/**
 * What drivers and tools say without being asked, because they take the console for a PostgreSQL: they get a polite answer
 * and go on. Nothing here changes anything.
 */
import type { Cell, Column } from '../protocol/result-set.ts';
import { type ConsoleClient, CONSOLE_NAME } from './rows/source.ts';
import type { Statement } from './command.ts';
import { isWord, type Sentence, type Token } from './grammar.ts';
import { FOLLOWED_VERSION, versionText } from './show/state.ts';

/** Told in the greeting, like a server's own. */
export const reportedSettings: readonly (readonly [string, string])[] = [
  ['server_version', `${FOLLOWED_VERSION}/bouncer`],
  ['client_encoding', 'UTF8'],
  ['server_encoding', 'UTF8'],
  ['DateStyle', 'ISO'],
  ['TimeZone', 'GMT'],
  ['IntervalStyle', 'postgres'],
  ['integer_datetimes', 'on'],
  ['standard_conforming_strings', 'on'],
  ['is_superuser', 'on'],
];

/** Settings of a PostgreSQL session that drivers set or look at. */
const settings: ReadonlyMap<string, string> = new Map([
  ...reportedSettings.map(([name, value]) => [name.toLowerCase(), value] as const),
  ['application_name', ''],
  ['bytea_output', 'hex'],
  ['client_min_messages', 'notice'],
  ['default_transaction_isolation', 'read committed'],
  ['default_transaction_read_only', 'off'],
  ['extra_float_digits', '1'],
  ['idle_in_transaction_session_timeout', '0'],
  ['lock_timeout', '0'],
  ['search_path', ''],
  ['session_authorization', ''],
  ['statement_timeout', '0'],
  ['transaction_isolation', 'read committed'],
  ['transaction_read_only', 'off'],
]);

/** By the first word: the tag to answer. Beginning and ending transactions is fine, there is nothing to begin or end. */
const pleasantries: ReadonlyMap<string, string> = new Map([
  ['BEGIN', 'BEGIN'],
  ['START', 'START TRANSACTION'],
  ['COMMIT', 'COMMIT'],
  ['END', 'COMMIT'],
  ['ROLLBACK', 'ROLLBACK'],
  ['ABORT', 'ROLLBACK'],
  ['SAVEPOINT', 'SAVEPOINT'],
  ['RELEASE', 'RELEASE'],
  ['RESET', 'RESET'],
  ['DISCARD', 'DISCARD ALL'],
  ['DEALLOCATE', 'DEALLOCATE'],
  ['CLOSE', 'CLOSE CURSOR'],
  ['UNLISTEN', 'UNLISTEN'],
]);

export function pleasantry({ tokens: [first] }: Sentence): Statement | undefined {
  const tag = first?.kind === 'word' ? pleasantries.get(first.text.toUpperCase()) : undefined;
  return tag === undefined ? undefined : { right: 'stats', columns: undefined, run: () => ({ tag }) };
}

const one = (
  column: Column,
  tag: string,
  value: (client: ConsoleClient, version: string) => Cell,
): Statement => ({
  right: 'stats',
  columns: [column],
  run: ({ client, host }) => ({ tag, rows: [[value(client, host.version)]] }),
});

/** SHOW of a session's setting. */
export function showSetting(tokens: readonly Token[]): Statement | undefined {
  const name = spelledOut(tokens);
  const value = name === undefined ? undefined : settings.get(name);
  if (name === undefined || value === undefined) return undefined;
  return one({ name, type: 'text' }, 'SHOW', (client) =>
    name === 'application_name' ? client.applicationName : value,
  );
}

function spelledOut(tokens: readonly Token[]): string | undefined {
  if (tokens.some(({ kind }) => kind !== 'word')) return undefined;
  const words = tokens.map(({ text }) => text.toLowerCase()).join(' ');
  if (words === 'transaction isolation level') return 'transaction_isolation';
  return words === 'time zone' ? 'timezone' : words;
}

/** SET of one. `tokens` are those behind SET, SESSION and LOCAL. */
export function ignoresSet(tokens: readonly Token[]): boolean {
  const [first, second] = tokens;
  if (first?.kind !== 'word') return false;
  const name = first.text.toUpperCase();
  if (name === 'NAMES' || name === 'CHARACTERISTICS' || name === 'TRANSACTION') return true;
  if (name === 'TIME') return isWord(second, 'ZONE');
  return settings.has(name.toLowerCase());
}

/** Functions that tools begin with. */
function valueOf(name: string): ((client: ConsoleClient, version: string) => Cell) | undefined {
  switch (name) {
    case 'version':
      return (_, version) => versionText(version);
    case 'current_database':
      return () => CONSOLE_NAME;
    case 'current_user':
    case 'session_user':
      return ({ user }) => user;
    case 'pg_advisory_unlock_all':
      return () => '';
    default:
      return undefined;
  }
}

/** SELECT of a number or of such a function; `tokens` are those behind SELECT. */
export function select(tokens: readonly Token[]): Statement | undefined {
  const [first, ...rest] = tokens;
  if (first?.kind !== 'word') return undefined;
  if (/^\d{1,9}$/.test(first.text) && rest.length === 0) {
    const value = Number(first.text);
    return one({ name: '?column?', type: 'int4' }, 'SELECT 1', () => value);
  }
  const name = first.text.toLowerCase().replace(/^pg_catalog\./, '');
  const value = valueOf(name);
  const brackets = rest.map(({ text }) => text).join('');
  if (value === undefined || (brackets !== '()' && !(brackets === '' && name.endsWith('_user'))))
    return undefined;
  return one({ name, type: 'text' }, 'SELECT 1', value);
}
