/**
 * Asking an idle server what its session has: the settings that may have changed, and what pins a client.
 *
 *     BEGIN · [pins] · [locks] · [prepared] · [sweep] · values · [setHere] · [SET SESSION AUTHORIZATION DEFAULT · RESET ALL · values] · ROLLBACK · Sync
 *                                                                            └─ what is usual, for names not asked before ─┘
 *
 * What is usual is seen by resetting everything; the rollback takes that back, as if it had not been. Without that question the transaction can
 * be the implicit one that ends at the Sync.
 */
import { sync } from '../protocol/frontend.ts';
import { arrayLiteral, GuestBatch, type Batch, type Guest, type GuestSet } from './guest-statements.ts';
import type { PinReason } from './pins.ts';
import { toHex } from './replay.ts';

export interface Questions {
  /** Names of settings, in lower case. */
  readonly names: readonly string[];
  /** Ask what is usual for them too. */
  readonly usual: boolean;
  /** Ask of these whether they are set at all. */
  readonly setHere: readonly string[];
  /** Ask for everything that is set. */
  readonly sweep: boolean;
  /** Cursors, channels, temporary objects. */
  readonly pins: boolean;
  readonly locks: boolean;
  readonly prepared: boolean;
}

export interface Probe extends Batch {
  readonly questions: Questions;
}

/**
 * patiently: for the second time, after an error: whatever transaction that left, and whatever the session's statement_timeout is.
 * lightly: without BEGIN and ROLLBACK, so that nothing is left of a failure, and the client's bytes may come right behind; with the
 * isolation of the session, which must not make it wait, and not what is usual.
 */
export type Manner = 'usual' | 'patiently' | 'lightly';

export function probeOf(questions: Questions, prepared: GuestSet, manner: Manner): Probe {
  const patiently = manner === 'patiently';
  const { names, usual, sweep, pins, locks, prepared: statements } = questions;
  const batch = new GuestBatch(prepared);
  if (patiently) batch.run('rollback');
  if (manner !== 'lightly') batch.run('begin');
  // Which is the client's, and not what is found afterwards.
  if (patiently && (sweep || names.length > 0)) batch.run('timeout');
  if (patiently) batch.run('noTimeout');
  if (pins) batch.run('pins');
  if (locks) batch.run('locks');
  if (statements) batch.run('prepared');
  if (sweep) batch.run('sweep');
  const list = arrayLiteral(names);
  if (names.length > 0) batch.run('values', [list]);
  if (questions.setHere.length > 0) batch.run('setHere', [arrayLiteral(questions.setHere)]);
  if (usual) batch.run('identity').run('resetAll').run('values', [list]);
  if (manner !== 'lightly') batch.run('rollback');
  const made = batch.take();
  return { ...made, bytes: Buffer.concat([made.bytes, sync()]), questions };
}

/** The rows that each statement has answered with, in order. */
export type ProbeRows = readonly (readonly (readonly (string | null)[])[])[];

export interface Findings {
  readonly values: ReadonlyMap<string, string | null>;
  /** What is usual, if that was asked. */
  readonly usual: ReadonlyMap<string, string | null>;
  /** What is set, of what that was asked of. */
  readonly setHere: ReadonlySet<string>;
  /** When the server has read its configuration; undefined if no names were asked for. */
  readonly configured: string | undefined;
  /** What pins the client now, of what was asked. */
  readonly pins: readonly PinReason[];
}

/** What each column of an answer, if true, says of the client. */
const pinColumns: ReadonlyMap<Guest, readonly PinReason[]> = new Map([
  ['pins', ['cursor', 'listen', 'temp']],
  ['locks', ['lock']],
  ['prepared', ['prepare']],
]);

export function readProbe({ questions, guests }: Probe, results: ProbeRows): Findings {
  const values = new Map<string, string | null>();
  const usual = new Map<string, string | null>();
  const setHere = new Set<string>();
  const pins: PinReason[] = [];
  let target = values;
  for (const [index, guest] of guests.entries()) {
    const rows = results[index] ?? [];
    const [first = []] = rows;
    if (guest === 'sweep') for (const [name, value] of rows) values.set(name ?? '', value ?? null);
    if (guest === 'values')
      for (const [place, name] of questions.names.entries()) target.set(name, rows[place]?.[0] ?? null);
    if (guest === 'setHere') for (const [name] of rows) setHere.add(name ?? '');
    if (guest === 'resetAll') target = usual;
    pins.push(...(pinColumns.get(guest) ?? []).filter((_, column) => first[column] === 't'));
  }
  const valueOf = (guest: Guest, place: number): string | undefined =>
    results[guests.indexOf(guest)]?.[place]?.[0] ?? undefined;
  const timeout = valueOf('timeout', 0);
  if (timeout !== undefined) values.set('statement_timeout', toHex(timeout));
  const configured = valueOf('values', questions.names.length);
  return { values, usual, setHere, configured, pins };
}
