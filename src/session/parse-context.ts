/**
 * The settings under which a statement's text is parsed, of all that a client has set.
 *
 * PostgreSQL evaluates literals and looks names up when it parses, and again whenever what it has parsed is no longer valid (an ANALYZE is
 * enough). So a prepared statement may be shared only by clients that have the same of these.
 */
import { InternedMap } from './interned-map.ts';
import type { SessionState } from './replay.ts';

const parseTimeSettings: ReadonlySet<string> = new Set([
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

const contexts = new WeakMap<SessionState, InternedMap>();

/** What of a state counts when a statement is parsed. */
export function parseContextOf(state: SessionState): InternedMap {
  let context = contexts.get(state);
  if (context === undefined) {
    context = InternedMap.of([...state].filter(([name]) => parseTimeSettings.has(name)));
    contexts.set(state, context);
  }
  return context;
}
