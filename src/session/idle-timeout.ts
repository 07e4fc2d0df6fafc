/** idle_session_timeout of a client: not the server's business, which would be closed for idling in its pool, but the pooler's. */
import { fromHex, IDLE_SESSION_TIMEOUT, type SessionState } from './replay.ts';

const MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 };
const known = new WeakMap<SessionState, number>();

/** In ms; 0 = none. */
export function idleSessionTimeout(state: SessionState): number {
  let timeout = known.get(state);
  if (timeout === undefined) {
    const [, number = '0', unit = 'ms'] =
      /^(\d+)([a-z]*)$/.exec(fromHex(state.get(IDLE_SESSION_TIMEOUT) ?? '')) ?? [];
    timeout = Number(number) * (MS[unit] ?? 1);
    known.set(state, timeout);
  }
  return timeout;
}
