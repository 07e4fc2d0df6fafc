/** How a server will read a client's text: what the client was told last, unless that may be about to change. */
import { Hint, type Lexing } from '../sql/hints.ts';
import type { InternedMap } from './interned-map.ts';
import type { Suspicion } from './suspicion.ts';

const unknown: Lexing = { standardConformingStrings: undefined, encoding: undefined };
const known = new WeakMap<InternedMap, Lexing>();

/** `told`: the reports that the client got. */
export function lexingOf(told: InternedMap, suspicion: Suspicion): Lexing {
  if (mayChange(suspicion)) return unknown;
  let lexing = known.get(told);
  if (lexing === undefined) {
    lexing = {
      standardConformingStrings: told.get('standard_conforming_strings') !== 'off',
      encoding: told.get('client_encoding'),
    };
    known.set(told, lexing);
  }
  return lexing;
}

const mayChange = ({ bits, names }: Suspicion): boolean =>
  (bits & (Hint.opaque | Hint.resetAll)) !== 0 ||
  (names.size > 0 && (names.has('standard_conforming_strings') || names.has('client_encoding')));
