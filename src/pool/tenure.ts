/** How long a pool keeps a server: what it remembers of each, and when its time has come. */
import type { PoolSettings } from './pool-settings.ts';
import type { ServerState } from './server-state.ts';

/** Each server lives up to this much shorter than server_lifetime, so that those opened together do not go together. */
export const LIFETIME_SPREAD = 0.15;

export interface Tenure<Server> {
  readonly server: Server;
  /** When its login began. */
  readonly connectedAt: number;
  /** Its own share of server_lifetime, 1 − LIFETIME_SPREAD to 1. */
  readonly spread: number;
  /** The pool's generation when it was opened; 0 = close_needed, whatever the pool's generation. */
  generation: number;
}

/** Its lifetime is over. With server_lifetime = 0 that is when it has served a client. */
export function isWornOut(
  tenure: Tenure<unknown>,
  state: ServerState<unknown>,
  { serverLifetime }: PoolSettings,
  now: number,
): boolean {
  if (serverLifetime === 0) return hasServed(state);
  return now - tenure.connectedAt >= serverLifetime * tenure.spread;
}

/** It comes from a client, as far as its state tells: a server that lives for one client is never idle after it. */
function hasServed(state: ServerState<unknown>): boolean {
  if (state.kind === 'tested') return state.purpose === 'reset' || state.purpose === 'clean';
  return state.kind === 'active' || state.kind === 'being_canceled';
}

/** Why an idle server is closed; undefined = it stays. `live` counts the servers of its pool that are not closing. */
export function idleCloseReason(
  tenure: Tenure<unknown>,
  state: ServerState<unknown>,
  settings: PoolSettings,
  live: number,
  now: number,
): string | undefined {
  if (state.kind !== 'idle') return undefined;
  if (isWornOut(tenure, state, settings, now)) return 'server lifetime over';
  const idleFor = now - state.since;
  const { poolSize, reservePoolSize, reservePoolTimeout, serverIdleTimeout, minPoolSize } = settings;
  if (poolSize > 0 && live > poolSize + reservePoolSize) return 'too many servers in the pool';
  // The reserve is given back once it has been idle for as long as somebody had to wait for it.
  if (poolSize > 0 && live > poolSize && idleFor >= reservePoolTimeout) return 'too many servers in the pool';
  if (serverIdleTimeout > 0 && idleFor >= serverIdleTimeout && live > minPoolSize)
    return 'server idle timeout';
  return undefined;
}
