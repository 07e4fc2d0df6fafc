/** The console's language: words, quoted names and strings, in sentences that a semicolon ends. */
import { SqlState } from '../protocol/sql-state.ts';
import { commandError } from './command.ts';

export interface Token {
  /** A quoted `name` is never a keyword. */
  readonly kind: 'word' | 'name' | 'string' | 'symbol';
  /** Without its quotes. */
  readonly text: string;
}

export interface Sentence {
  /** As it was written, without the semicolon. */
  readonly text: string;
  /** At least one. */
  readonly tokens: readonly Token[];
}

/**
 * In this order: blanks and comments, a word (dots and single dashes inside, so that most database names need no quotes), a
 * quoted name, a string, anything else.
 */
const tokenPattern =
  /(?:\s+|--[^\n]*|\/\*[^]*?\*\/)|((?:[\w$.]|[^\0-\x7f]|-(?=[\w$]))+)|"((?:[^"]|"")*)"|'((?:[^']|'')*)'|([^])/gy;

/** Empty ones are left out. @throws {ClientError} 42601 for a quote or comment without an end */
export function sentences(sql: string): Sentence[] {
  const found: Sentence[] = [];
  let tokens: Token[] = [];
  let start = 0;
  const finish = (end: number): void => {
    if (tokens.length > 0) found.push({ text: sql.slice(start, end).trim(), tokens });
    tokens = [];
    start = end + 1;
  };
  for (const match of sql.matchAll(tokenPattern)) {
    const [, word, name, string, symbol] = match;
    if (word !== undefined) tokens.push({ kind: 'word', text: word });
    else if (name !== undefined) tokens.push({ kind: 'name', text: name.replaceAll('""', '"') });
    else if (string !== undefined) tokens.push({ kind: 'string', text: string.replaceAll("''", "'") });
    else if (symbol === ';') finish(match.index);
    else if (symbol !== undefined) {
      refuseUnended(sql, match.index, symbol);
      tokens.push({ kind: 'symbol', text: symbol });
    }
  }
  finish(sql.length);
  return found;
}

function refuseUnended(sql: string, at: number, symbol: string): void {
  if (symbol === '"' || symbol === "'") {
    throw commandError(`unterminated quoted ${symbol === '"' ? 'name' : 'string'}`, SqlState.syntaxError);
  }
  if (symbol === '/' && sql[at + 1] === '*') {
    throw commandError('unterminated /* comment', SqlState.syntaxError);
  }
}

/** Whether the token is this keyword, in whatever case. */
export const isWord = (token: Token | undefined, keyword: string): boolean =>
  token?.kind === 'word' && token.text.toUpperCase() === keyword;

const SHOWN = 200;

/** What was typed is not a command. */
export function invalidCommand({ text }: Sentence): Error {
  const shown = text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
  return commandError(`invalid command '${shown}', use SHOW HELP;`, SqlState.syntaxError);
}
