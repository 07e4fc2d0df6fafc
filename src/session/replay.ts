/**
 * How a client's settings get onto a server: statements of ours, in front of the client's first bytes and in the same write.
 *
 *     BEGIN · [clean] · [SET SESSION AUTHORIZATION DEFAULT] · RESET ALL · set_config(all that the client has) · COMMIT │ client's bytes …
 *     └─ extended protocol, named statements, no Sync ────────────────────────────────────────────────────────────────┘
 *
 * Without a Sync of its own it costs no round trip, and it fails closed: after an error in it the server skips what
 * follows, so that nothing of the client runs under settings that are not its own. In a transaction of its own, so that
 * neither an error nor a ROLLBACK of the client takes it back, and statements that refuse a transaction still work.
 *
 * It is absolute, not a difference: whatever the server had before, afterwards it has this.
 */
import { arrayLiteral, type Batch, GuestBatch, type GuestSet } from './guest-statements.ts';
import type { InternedMap } from './interned-map.ts';

/** Settings as hex of their bytes in the database's encoding: no conversion between client and server can change them. */
export type SessionState = InternedMap;

/** What a replay does besides setting the settings. */
export interface ReplayScope {
  /** The server has, or may have, another role or session user than its own. */
  readonly identity: boolean;
  /** Cursors, channels, locks, temporary objects of somebody else may be left. */
  readonly clean: boolean;
  /** Nobody else's currval and lastval. */
  readonly sequences: boolean;
}

/** Names that say as whom the session runs: set last, because settings may need the rights of the session's own user. */
export const identityNames = ['session_authorization', 'role'] as const;

export const hasIdentity = (state: SessionState): boolean =>
  identityNames.some((name) => state.get(name) !== undefined);

const made = new WeakMap<SessionState, Map<number, Batch>>();

/** The replay of `state` on a server that has `prepared` of our statements. */
export function replayOf(state: SessionState, scope: ReplayScope, prepared: GuestSet): Batch {
  const variants = made.get(state) ?? new Map<number, Batch>();
  made.set(state, variants);
  const key = prepared * 8 + (scope.identity ? 1 : 0) + (scope.clean ? 2 : 0) + (scope.sequences ? 4 : 0);
  let replay = variants.get(key);
  if (replay === undefined) {
    replay = makeReplay(state, scope, prepared);
    variants.set(key, replay);
  }
  return replay;
}

function makeReplay(state: SessionState, scope: ReplayScope, prepared: GuestSet): Batch {
  // BEGIN before anything is prepared: to parse a SELECT takes a snapshot, which waits for ever under serializable, deferrable defaults.
  const batch = new GuestBatch(prepared).run('begin');
  if (scope.clean) batch.run('closeAll').run('unlisten').run('unlock');
  if (scope.clean || scope.sequences) batch.run('discardSequences');
  if (scope.clean) batch.run('discardTemp');
  if (scope.clean || scope.identity || hasIdentity(state)) batch.run('identity');
  batch.run('resetAll');
  if (state.size > 0) batch.run('set', arraysOf(state));
  return batch.run('commit').take();
}

/**
 * What RESET would have gone back to on a connection of the client's own: set where the server has gone back to its own default.
 * Inside the client's transaction it is a part of that; outside it has one of its own.
 */
export function homecomingOf(
  values: Iterable<readonly [string, string]>,
  inTransaction: boolean,
  prepared: GuestSet,
): Batch {
  const batch = new GuestBatch(prepared);
  if (inTransaction) return batch.run('setWhereReset', arraysOf(values)).take();
  return batch.run('begin').run('setWhereReset', arraysOf(values)).run('commit').take();
}

/** Names and values for one statement, in the order in which they can be set. */
function arraysOf(values: Iterable<readonly [string, string]>): [names: string, values: string] {
  const all = [...values];
  const entries = all.filter(([name]) => !isIdentity(name));
  for (const name of identityNames) entries.push(...all.filter(([other]) => other === name));
  return [
    arrayLiteral(entries.map(([name]) => name)),
    arrayLiteral(entries.map(([name, value]) => (name === IDLE_SESSION_TIMEOUT ? toHex('0') : value))),
  ];
}

export const isIdentity = (name: string): boolean => identityNames.some((other) => other === name);

/** Never left on a server, which would be closed for idling in its pool: the pooler applies it to the client. */
export const IDLE_SESSION_TIMEOUT = 'idle_session_timeout';

/** Takes it off a server that has it. */
export const withoutIdleTimeout = (prepared: GuestSet): Batch =>
  new GuestBatch(prepared)
    .run('begin')
    .run('set', arraysOf([[IDLE_SESSION_TIMEOUT, '']]))
    .run('commit')
    .take();

/** A setting's text as the state carries it. */
export const toHex = (value: string): string => Buffer.from(value, 'utf8').toString('hex');
export const fromHex = (hex: string): string => Buffer.from(hex, 'hex').toString('utf8');
