/**
 * Timeouts among what a client has set: idle_session_timeout is not the server's business, which would be closed for idling in its pool,
 * but the pooler's; and one that is very short may hit our own statements, also those for the next client.
 */
import { fromHex, IDLE_SESSION_TIMEOUT, type SessionState } from './replay.ts';

/** Our own statements take nothing like it on a server that is not in trouble; ms. */
const SHORT = 100;

const MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 };
const known = new WeakMap<SessionState, number>();

/** In ms; 0 = none. */
export function idleSessionTimeout(state: SessionState): number {
  let timeout = known.get(state);
  if (timeout === undefined) {
    timeout = timeoutIn(state, IDLE_SESSION_TIMEOUT);
    known.set(state, timeout);
  }
  return timeout;
}

/** Whether a server in `state` may cancel statements of ours. */
export function cutsShort(state: SessionState): boolean {
  if (state.size === 0) return false;
  return limiting.some((name) => {
    const timeout = timeoutIn(state, name);
    return timeout > 0 && timeout < SHORT;
  });
}
const limiting = ['statement_timeout', 'transaction_timeout'] as const;

function timeoutIn(state: SessionState, name: string): number {
  const hex = state.get(name);
  if (hex === undefined) return 0;
  const [, number = '0', unit = 'ms'] = /^(\d+)([a-z]*)$/.exec(fromHex(hex)) ?? [];
  return Number(number) * (MS[unit] ?? 1);
}
