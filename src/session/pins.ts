/** What keeps a client on its server in transaction mode: session state that cannot be put onto another one. */

export const PIN_REASONS = [
  /** A cursor WITH HOLD. */
  'cursor',
  /** LISTEN. */
  'listen',
  /** An object in the temporary schema. */
  'temp',
  /** A session-level advisory lock. */
  'lock',
  /** A statement of SQL's PREPARE. */
  'prepare',
  /** The client reads currval or lastval of earlier transactions: what draws for them may be a trigger or a function that nobody sees. */
  'sequence',
  /** setseed. */
  'seed',
  /** A loaded library, a connection of dblink, a temporary replication slot, a backup: nothing takes it back. */
  'permanent',
  /** A setting was made whose name the text does not show, or cannot be asked for. */
  'unknown_setting',
  /** The server did not say what is left. */
  'unknown',
  /** session_state is "pin", and the client has changed something. */
  'policy',
] as const;

export type PinReason = (typeof PIN_REASONS)[number];

/** These last as long as the session does; the server is closed after it, or cleaned by DISCARD ALL. */
const lasting: ReadonlySet<PinReason> = new Set([
  'sequence',
  'seed',
  'permanent',
  'unknown_setting',
  'unknown',
  'policy',
]);
/** No statement cleans up after these. */
const uncleanable: ReadonlySet<PinReason> = new Set(['seed', 'permanent', 'unknown']);

/** The server has such objects, or was not asked. */
export const mayHideTemporary = (reason: PinReason): boolean =>
  reason === 'temp' || reason === 'unknown' || reason === 'policy';

/** Why a client is pinned, and since when (monotonic ms). */
export interface Pin {
  readonly reasons: readonly PinReason[];
  readonly since: number;
}

/** The pin after the server has been asked: `found` holds now, of the rest what lasts is kept. */
export function pinAfter(before: Pin | undefined, found: readonly PinReason[], now: number): Pin | undefined {
  const reasons = new Set([...(before?.reasons.filter((reason) => lasting.has(reason)) ?? []), ...found]);
  if (reasons.size === 0) return undefined;
  return { reasons: PIN_REASONS.filter((reason) => reasons.has(reason)), since: before?.since ?? now };
}

export const hasSameReasons = (one: Pin | undefined, other: Pin | undefined): boolean =>
  one?.reasons.join() === other?.reasons.join();

/** How a server is cleaned of what a client may have left there; "nothing" but closing it helps, "all" of its prepared statements go too. */
export function cleaningOf(reasons: readonly PinReason[]): 'sweep' | 'all' | 'nothing' {
  if (reasons.some((reason) => uncleanable.has(reason))) return 'nothing';
  return reasons.some((reason) => reason === 'prepare' || reason === 'policy') ? 'all' : 'sweep';
}
