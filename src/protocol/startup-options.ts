/**
 * The `options` startup parameter: command-line switches for the session's settings.
 * https://www.postgresql.org/docs/current/runtime-config-short.html
 */
import { ClientError } from './errors.ts';
import { SqlState } from './sql-state.ts';

/** Splits as PostgreSQL's pg_split_opts: at blanks, a backslash takes the next character as it is, quotes mean nothing. */
function splitOptions(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (/[ \t\n\r\f\v]/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === '\\') {
      at++;
      word = (word ?? '') + text.charAt(at);
    } else {
      word = (word ?? '') + character;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

const refused = (word: string): ClientError =>
  new ClientError(`unsupported startup parameter in options: ${word}`, {
    sqlState: SqlState.featureNotSupported,
    hint: "Only '-c name=value' and '--name=value' are carried to the server.",
  });

/**
 * Name and value of each setting, in order; a later one of the same name counts. `-` in names means `_`.
 *
 * @throws {ClientError} 0A000 for a switch other than -c and --, 42601 for one without a value
 */
export function parseStartupOptions(text: string): [name: string, value: string][] {
  const settings: [string, string][] = [];
  const words = splitOptions(text);
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    let assignment: string;
    if (word === '-c') assignment = words[++at] ?? '';
    else if (word.startsWith('-c')) assignment = word.slice(2);
    else if (word.startsWith('--') && word.length > 2) assignment = word.slice(2);
    else throw refused(word);
    const equals = assignment.indexOf('=');
    if (equals <= 0) {
      throw new ClientError(`-c ${assignment} requires a value`, { sqlState: SqlState.syntaxError });
    }
    settings.push([assignment.slice(0, equals).replaceAll('-', '_'), assignment.slice(equals + 1)]);
  }
  return settings;
}
