/**
 * The settings under which a statement's text is parsed, of all that a client has set.
 *
 * PostgreSQL evaluates literals and looks names up when it parses, and again whenever what it has parsed is no longer valid (an ANALYZE is
 * enough). So a prepared statement may be shared only by clients that have the same of these.
 */
import { InternedMap } from './interned-map.ts';
import { countsInParsing, Hint } from '../sql/hints.ts';
import type { SessionState } from './replay.ts';
import type { Suspicion } from './suspicion.ts';

const contexts = new WeakMap<SessionState, InternedMap>();

/** What of a state counts when a statement is parsed. */
export function parseContextOf(state: SessionState): InternedMap {
  let context = contexts.get(state);
  if (context === undefined) {
    context = InternedMap.of([...state].filter(([name]) => countsInParsing(name)));
    contexts.set(state, context);
  }
  return context;
}

/** Whether some of that may have changed, or be about to, if only until the transaction ends. */
export function changesParsing({ bits, names }: Suspicion): boolean {
  if ((bits & (Hint.opaque | Hint.resetAll | Hint.localParsing)) !== 0) return true;
  for (const name of names) if (countsInParsing(name)) return true;
  return false;
}
