/** From what may have changed to what is asked: which questions a probe has, or that none is needed. */
import { Hint } from '../sql/hints.ts';
import type { Pin, PinReason } from './pins.ts';
import type { Questions } from './probe.ts';
import { IDLE_SESSION_TIMEOUT, identityNames, type SessionState } from './replay.ts';
import { isCustom } from './settled-state.ts';
import type { Suspicion } from './suspicion.ts';

/** A client with more settings keeps its server: to ask for all of them at each change would cost more than that. */
const MAX_SETTINGS = 400;

export interface Asker {
  readonly suspicion: Suspicion;
  readonly state: SessionState;
  readonly brought: SessionState;
  /** What connect_query has set on this server. */
  readonly base: SessionState;
  readonly pin: Pin | undefined;
  /** Functions were called that are to be asked about. */
  readonly functionsDue: boolean;
  /** What is usual is not known of some of these names. */
  readonly usualMissing: (names: readonly string[]) => boolean;
}

const settingBits = Hint.settings | Hint.opaque | Hint.resetAll;

/** undefined: nothing has to be asked. */
export function questionsOf(asker: Asker): Questions | undefined {
  const { suspicion, pin, functionsDue } = asker;
  const { bits } = suspicion;
  const pinnedBy = (...reasons: readonly PinReason[]): boolean =>
    pin?.reasons.some((reason) => reasons.includes(reason)) ?? false;
  const opaque = (bits & Hint.opaque) !== 0;
  const anything = opaque || functionsDue;
  const asksNone = (bits & settingBits) === 0 || onlyResets(asker) || hasTooMany(asker);
  const names = asksNone ? [] : namesToAsk(asker);
  const pins = anything || (bits & Hint.pins) !== 0 || pinnedBy('cursor', 'listen', 'temp');
  const locks = anything || (bits & Hint.locks) !== 0 || pinnedBy('lock');
  const prepared = opaque || (bits & Hint.prepare) !== 0 || pinnedBy('prepare');
  if (names.length === 0 && !pins && !locks && !prepared) return undefined;
  const usual = suspicion.reported || asker.usualMissing(names);
  return {
    names,
    usual: names.length > 0 && usual,
    setHere: names.length === 0 ? [] : perhapsReset(asker),
    sweep: opaque && !hasTooMany(asker),
    pins,
    locks,
    prepared,
  };
}

/** Brought at login, and since then reset, or set to what is usual: by its value that cannot be told. */
const perhapsReset = ({ suspicion: { bits, names, resets }, brought }: Asker): string[] =>
  [...((bits & Hint.resetAll) === 0 ? resets : names)].filter(
    (name) => brought.get(name) !== undefined && !isCustom(name),
  );

export const hasTooMany = ({ suspicion, state }: Pick<Asker, 'suspicion' | 'state'>): boolean =>
  state.size + suspicion.names.size > MAX_SETTINGS;

/** RESET ALL and DISCARD ALL of a client that has set nothing: what is set afterwards is known. */
export function onlyResets({
  suspicion: { bits },
  state,
  brought,
}: Pick<Asker, 'suspicion' | 'state' | 'brought'>): boolean {
  return (bits & settingBits) === Hint.resetAll && state === brought;
}

function namesToAsk({ suspicion, state, brought, base }: Asker): string[] {
  const names = new Set<string>(identityNames);
  for (const known of [state, brought, base]) for (const [name] of known) names.add(name);
  // The server never got the client's: asked for it says nothing, but that it has been set or reset since.
  if ((suspicion.bits & Hint.resetAll) === 0) names.delete(IDLE_SESSION_TIMEOUT);
  for (const name of suspicion.names) if (canBeAsked(name)) names.add(name);
  return [...names];
}

/** Read-only ones, those of one transaction, and one that does not tell its value. */
const notAsked =
  /^(?:transaction_.*|seed|is_superuser|in_hot_standby|server_.*|integer_datetimes|lc_collate|lc_ctype)$/;

/** Names that mean the same in every encoding, of settings that a session can have. */
const canBeAsked = (name: string): boolean => isPlainName(name) && !notAsked.test(name);
export const isPlainName = (name: string): boolean => /^[\w.$-]+$/.test(name);
