/**
 * The settings that PostgreSQL reports to its client by itself (ParameterStatus), and what they say about the session.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC
 *
 * A server reports a change against its own last report, which another client may have got. So ostler keeps, as
 * interned maps, what each server reported and what each client was told, and tells the difference before ReadyForQuery.
 */
import { FrameWriter } from '../protocol/frame-writer.ts';
import { writeParameterStatus } from '../protocol/backend.ts';
import type { InternedMap } from './interned-map.ts';
import { type SessionState, toHex } from './replay.ts';

/** Reported, but nothing that a session could set. */
const readOnly: ReadonlySet<string> = new Set([
  'in_hot_standby',
  'integer_datetimes',
  'is_superuser',
  'server_encoding',
  'server_version',
  'session_authorization',
]);

/** The reports that a client has not got, as messages; empty if there are none. */
export function missingReports(told: InternedMap, reported: InternedMap): Buffer {
  const writer = new FrameWriter();
  for (const [name, value] of reported) {
    if (told.get(name) !== value) writeParameterStatus(writer, name, value);
  }
  return writer.take();
}

/**
 * The state after the server reported `value` for `name`, where a fresh session of the same server has `fresh` reported.
 * Names of settings do not depend on case; a state has them in lower case.
 */
export function stateAfterReport(
  state: SessionState,
  fresh: InternedMap,
  name: string,
  value: string,
): SessionState {
  if (readOnly.has(name)) return state;
  const setting = name.toLowerCase();
  return fresh.get(name) === value ? state.without(setting) : state.with(setting, toHex(value));
}

/** The names of settings whose report is not what a session in `state` has, where a fresh session of the same server reports `fresh`. */
export function unexpectedReports(state: SessionState, fresh: InternedMap, reported: InternedMap): string[] {
  const names: string[] = [];
  for (const [name, value] of reported) {
    if (readOnly.has(name)) continue;
    const setting = name.toLowerCase();
    const hex = state.get(setting);
    if (hex === undefined ? fresh.get(name) !== value : hex !== toHex(value)) names.push(setting);
  }
  return names;
}
