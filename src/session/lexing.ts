/** How a server will read a client's text: what the client was told last, unless that may be about to change. */
import { Hint, type Lexing } from '../sql/hints.ts';
import type { InternedMap } from './interned-map.ts';
import type { Suspicion } from './suspicion.ts';

const unknown: Lexing = { standardConformingStrings: undefined, encoding: undefined };
/** One for each way, so that equal is identical. There are some forty encodings. */
const ways = new Map<string, Lexing>();
const known = new WeakMap<InternedMap, Lexing>();

/** `told`: the reports that the client got. */
export function lexingOf(told: InternedMap, suspicion: Suspicion): Lexing {
  if (mayChange(suspicion)) return unknown;
  let lexing = known.get(told);
  if (lexing === undefined) {
    const standardConformingStrings = told.get('standard_conforming_strings') !== 'off';
    const encoding = told.get('client_encoding');
    const key = `${String(standardConformingStrings)} ${encoding ?? ''}`;
    lexing = ways.get(key) ?? { standardConformingStrings, encoding };
    ways.set(key, lexing);
    known.set(told, lexing);
  }
  return lexing;
}

const mayChange = ({ bits, names }: Suspicion): boolean =>
  (bits & (Hint.opaque | Hint.resetAll)) !== 0 ||
  (names.size > 0 && (names.has('standard_conforming_strings') || names.has('client_encoding')));
