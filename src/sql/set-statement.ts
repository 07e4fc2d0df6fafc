/** Reads the first tokens of SET, RESET, DISCARD and DEALLOCATE. What is no valid statement does not matter: it changes nothing. */
import { Hint } from './hint.ts';
import { countsInParsing, MAX_IDENTIFIER, SEED, settingsTouched } from './setting-names.ts';
import type { Token } from './statement-head.ts';

export interface SettingsChange {
  readonly bits: number;
  readonly names: readonly string[];
  /** The names go back to their default. */
  readonly resets: boolean;
}

const NOTHING: SettingsChange = { bits: 0, names: [], resets: false };
const CHARACTERISTICS = [
  'default_transaction_isolation',
  'default_transaction_read_only',
  'default_transaction_deferrable',
];

/** undefined: not understood, anything may be set. */
export function readSetStatement(tokens: readonly Token[]): SettingsChange | undefined {
  if (isWord(tokens[0], 'set')) return readSet(tokens);
  return isWord(tokens[0], 'reset') ? readReset(tokens) : readDiscard(tokens);
}

const isWord = (token: Token | undefined, text: string): boolean =>
  token?.type === 'word' && token.text === text;
const isSymbol = (token: Token | undefined, text: string): boolean =>
  token?.type === 'symbol' && token.text === text;
const isName = (token: Token | undefined): token is Token =>
  token?.type === 'word' || token?.type === 'quoted';

function change(name: string, resets: boolean): SettingsChange | undefined {
  const names = settingsTouched(name);
  // Settings that PostgreSQL lists have other names.
  if (names === undefined && name.includes('.')) return { ...NOTHING, bits: Hint.opaque | Hint.hiddenNames };
  if (names === undefined) return undefined;
  const seeds = name.toLowerCase() === SEED;
  return { bits: (names.length > 0 ? Hint.settings : 0) | (seeds ? Hint.seed : 0), names, resets };
}

/** What is undone at the end of the transaction. */
const changeLocally = (names: readonly string[]): SettingsChange =>
  names.some(countsInParsing) ? { ...NOTHING, bits: Hint.localParsing } : NOTHING;

function readSet(tokens: readonly Token[]): SettingsChange | undefined {
  let at = 1;
  let local = false;
  // Every keyword of SET may also be the name of a setting, or begin one (`local.x`).
  if (!namesSetting(tokens, at)) {
    local = isWord(tokens[at], 'local');
    const session = isWord(tokens[at], 'session');
    if (local || (session && !startsSessionForm(tokens, at))) at++;
  }
  const found = namesSetting(tokens, at) ? readAssignment(tokens, at) : readKeywordForm(tokens, at);
  return local && found !== undefined ? changeLocally(found.names) : found;
}

const namesSetting = (tokens: readonly Token[], at: number): boolean =>
  isName(tokens[at]) &&
  (isSymbol(tokens[at + 1], '.') ||
    isSymbol(tokens[at + 1], '=') ||
    isWord(tokens[at + 1], 'to') ||
    isWord(tokens[at + 1], 'from'));

const startsSessionForm = (tokens: readonly Token[], at: number): boolean =>
  isWord(tokens[at], 'session') &&
  (isWord(tokens[at + 1], 'authorization') || isWord(tokens[at + 1], 'characteristics')) &&
  !namesSetting(tokens, at + 1);

/** `a.b.c`, with how many tokens that is. */
function readName(tokens: readonly Token[], at: number): { name: string; next: number } | undefined {
  const parts: string[] = [];
  for (;;) {
    const token = tokens[at];
    if (!isName(token)) return undefined;
    parts.push(token.text.slice(0, MAX_IDENTIFIER));
    at++;
    if (!isSymbol(tokens[at], '.')) return { name: parts.join('.'), next: at };
    at++;
  }
}

function readAssignment(tokens: readonly Token[], at: number): SettingsChange | undefined {
  const found = readName(tokens, at);
  if (found === undefined || found.next + 1 >= tokens.length) return undefined;
  return change(found.name, isWord(tokens[found.next + 1], 'default'));
}

function readKeywordForm(tokens: readonly Token[], at: number): SettingsChange | undefined {
  const first = tokens[at];
  const second = tokens[at + 1];
  if (first?.type !== 'word') return undefined;
  switch (first.text) {
    case 'transaction':
    case 'constraints':
      return NOTHING;
    case 'session':
      return isWord(second, 'characteristics')
        ? { bits: Hint.settings, names: CHARACTERISTICS, resets: false }
        : change('session_authorization', isWord(tokens[at + 2], 'default'));
    case 'time': {
      const value = tokens[at + 2];
      return change('timezone', isWord(value, 'default') || isWord(value, 'local'));
    }
    case 'role':
      return change('role', false);
    case 'names':
      return change('client_encoding', second === undefined || isWord(second, 'default'));
    case 'schema':
      return change('search_path', false);
    case 'xml':
      return change('xmloption', false);
    default:
      return undefined;
  }
}

function readReset(tokens: readonly Token[]): SettingsChange | undefined {
  const first = tokens[1];
  if (isSymbol(tokens[2], '.') || first?.type !== 'word') return readResetName(tokens);
  switch (first.text) {
    case 'all':
      return { bits: Hint.resetAll, names: [], resets: false };
    case 'transaction':
      return NOTHING;
    case 'time':
      return change('timezone', true);
    case 'session':
      return change('session_authorization', true);
    default:
      return readResetName(tokens);
  }
}

function readResetName(tokens: readonly Token[]): SettingsChange | undefined {
  const found = readName(tokens, 1);
  return found === undefined ? undefined : change(found.name, true);
}

function readDiscard(tokens: readonly Token[]): SettingsChange | undefined {
  const what = tokens[1];
  if (what?.type !== 'word') return undefined;
  switch (what.text) {
    case 'all':
      return {
        bits: Hint.resetAll | Hint.removes,
        names: ['session_authorization', 'role'],
        resets: true,
      };
    case 'temp':
    case 'temporary':
      return { ...NOTHING, bits: Hint.removes };
    case 'plans':
    case 'sequences':
      return NOTHING;
    default:
      return undefined;
  }
}

/** What DEALLOCATE [PREPARE] names: undefined if that cannot be told, null for ALL. */
export function readDeallocate(tokens: readonly Token[]): string | undefined | null {
  const named = tokens.length === 3 && isWord(tokens[1], 'prepare') ? tokens[2] : tokens[1];
  if (isWord(named, 'all')) return null;
  if (tokens.length > (named === tokens[2] ? 3 : 2) || !isName(named)) return undefined;
  return statementName(named);
}

/** What PREPARE names; undefined if that cannot be told. */
export const readPrepare = (tokens: readonly Token[]): string | undefined =>
  isName(tokens[1]) ? statementName(tokens[1]) : undefined;

/** Where a long name is cut depends on its characters. */
const statementName = ({ text }: Token): string | undefined =>
  text.length > MAX_IDENTIFIER && /[^ -~]/.test(text) ? undefined : text;
