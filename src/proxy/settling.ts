/**
 * What a linked client leaves in its session, found out at each point of rest: nothing owed, no transaction.
 *
 *     hints of texts, tags, reports ──▶ suspicion ── none ──▶ settled
 *                                          └─ some ──▶ asking ── answer ──▶ client and server have a state, pins hold or do not ──▶ settled
 *                                                        ├─ with idle_session_timeout ──▶ taken off ──▶ the same
 *                                                        └─ failed ──▶ asked once more, patiently ──▶ failed: pinned, closed afterwards
 *
 * The client does not wait for this. What it sends before the answer has come goes right behind the question, unless that might leave a
 * transaction, or what is sent is about what is being asked.
 */
import type { ErrorFields } from '../protocol/error-fields.ts';
import { type Batch, GuestBatch, type GuestSet, guestSet, noGuests } from '../session/guest-statements.ts';
import { sync } from '../protocol/frontend.ts';
import { SqlState } from '../protocol/sql-state.ts';
import { InternedMap } from '../session/interned-map.ts';
import { hasSameReasons, type PinReason, pinAfter } from '../session/pins.ts';
import {
  type Findings,
  type Manner,
  type Probe,
  probeOf,
  type Questions,
  readProbe,
} from '../session/probe.ts';
import { hasTooMany, isPlainName, onlyResets, questionsOf } from '../session/questions.ts';
import {
  IDLE_SESSION_TIMEOUT,
  isIdentity,
  type SessionState,
  toHex,
  withoutIdleTimeout,
} from '../session/replay.ts';
import { isCustom, settledState } from '../session/settled-state.ts';
import { lexingOf } from '../session/lexing.ts';
import { Suspicion } from '../session/suspicion.ts';
import { Hint, type Lexing, noHints, type StatementHints } from '../sql/hints.ts';
import type { ClientSession } from './client-session.ts';
import { tooLong } from './own-messages.ts';
import type { PoolTracking } from './pool-tracking.ts';
import type { ServerSession } from './server-session.ts';

interface Asked {
  readonly kind: 'asking';
  readonly probe: Probe;
  /** Patiently: it is the second try. Lightly: the client's bytes may come behind it. */
  readonly manner: Manner;
  /** It fails where every statement has been dropped. */
  readonly tellsOfDrops: boolean;
}

type Asking =
  | { readonly kind: 'settled' }
  | Asked
  /** What was found is known, and idle_session_timeout is just being taken off the server. */
  | { readonly kind: 'taking off'; readonly findings: Findings }
  /** Both tries have failed: the transaction of the second is rolled back. */
  | { readonly kind: 'giving up' };

/** What is held of an answer, in characters; more is not followed. */
const MAX_ANSWER = 4_194_304;

const settled: Asking = { kind: 'settled' };

export class Settling {
  /** What has come since the server was asked last. */
  #suspicion = new Suspicion();
  /** What is being asked. */
  #asked = new Suspicion();
  /** The last question has failed: the next one is asked patiently. */
  #hasFailed = false;
  /** The client has gone on behind the last question: it waits for the next one, or others might never have its server. */
  #isPassed = false;
  readonly #server: ServerSession;
  readonly #tracking: PoolTracking;
  #asking: Asking = settled;
  #error: ErrorFields | undefined;
  #results: (readonly (string | null)[])[][] = [];
  #rows: (readonly (string | null)[])[] = [];
  /** Of all rows together. */
  #size = 0;

  constructor(server: ServerSession, tracking: PoolTracking) {
    this.#server = server;
    this.#tracking = tracking;
  }

  get suspicion(): Suspicion {
    return this.#suspicion;
  }

  /** Statements of ours are on their way: what comes is about them. */
  get isAsking(): boolean {
    return this.#asking !== settled;
  }

  /** The client's messages go on meanwhile, but for those whose meaning depends on the answer. */
  get letsPass(): boolean {
    return this.#asking.kind === 'asking' && this.#asking.manner === 'lightly';
  }

  /** What currval and lastval may tell depends on what is being asked. */
  mustKnowFirst({ bits }: StatementHints): boolean {
    return this.isAsking && (bits & Hint.sequences) !== 0;
  }

  /** In front of a statement with these hints: what it must not find is taken away. */
  prepareFor(client: ClientSession, { bits }: StatementHints): void {
    if ((bits & Hint.sequences) !== 0) this.#readsSequence(client);
    if ((bits & Hint.database) !== 0) client.pool.wantDatabasesLeft();
  }

  /** Such a statement is on its way. */
  note(hints: StatementHints): void {
    if (hints === noHints) return;
    if ((hints.bits & Hint.nextval) !== 0) this.#server.noteDrawing();
    this.#suspicion.add(hints);
  }

  /** How the server will read the client's next text. */
  lexing(client: ClientSession): Lexing {
    return lexingOf(client.told, this.#suspicion);
  }

  /** currval or lastval: where an earlier transaction has drawn what it tells, the client keeps its server from now on. */
  #readsSequence(client: ClientSession): void {
    if (!this.#server.mayHaveDrawn) client.readsSequences = true;
    if (this.#tracking.readsSequences) return;
    this.#tracking.readsSequences = true;
    this.#server.restoring.forgetSequences();
  }

  /** At rest. True while an answer is awaited; then the client is told that it is `settled`. */
  begin(client: ClientSession): boolean {
    const { suspicion } = this;
    if (!suspicion.any) {
      suspicion.clear();
      this.#isPassed = false;
      if (client.readsSequences && client.pin?.reasons.includes('sequence') !== true)
        this.#conclude(client, client.pin?.reasons ?? []);
      return false;
    }
    const functionsDue =
      (suspicion.bits & Hint.functions) !== 0 && this.#tracking.functions.isDue(suspicion.functions);
    const questions = questionsOf({
      suspicion,
      state: client.sessionState,
      brought: client.broughtState,
      base: this.#server.base,
      pin: client.pin,
      functionsDue,
      usualMissing: (names) => this.#tracking.usualMissing(names),
    });
    [this.#asked, this.#suspicion] = [suspicion, this.#asked];
    if (questions === undefined) {
      this.#knowReset(client);
      this.#conclude(client, []);
      return false;
    }
    if (this.#hasFailed) this.#askPatiently(client, questions);
    else this.#ask(questions, this.#server.guests, this.#mayPass(questions) ? 'lightly' : 'usual');
    return true;
  }

  /** A client may go on behind the question: nothing is put back in front of its bytes, and no default of its own makes a SELECT wait. */
  #mayPass({ usual }: Questions): boolean {
    const readOnly = this.#server.reports.reported.get('default_transaction_read_only');
    return !usual && !this.#isPassed && !this.#asked.mayHaveReset && readOnly === 'off';
  }

  /** What the client may have left of what only some kinds of cleaning take away: as far as is known, and by what has not been asked yet. */
  leavingsOf({ pin }: ClientSession): readonly PinReason[] {
    const bits = this.#suspicion.bits | this.#asked.bits;
    const reasons = [...(pin?.reasons ?? [])];
    if ((bits & (Hint.prepare | Hint.opaque)) !== 0) reasons.push('prepare');
    return [...reasons, ...lastingReasons(bits)];
  }

  /** The client has gone: what comes is of no interest. */
  abandon(): void {
    this.#asking = settled;
    this.#hasFailed = false;
    this.#isPassed = false;
    this.#suspicion.clear();
    this.#asked.clear();
  }

  row(row: readonly (string | null)[]): void {
    for (const value of row) this.#size += value?.length ?? 0;
    if (this.#size > MAX_ANSWER) this.failed(tooLong);
    else this.#rows.push(row);
  }

  /** A statement of ours has been run. */
  command(): void {
    this.#results.push(this.#rows);
    this.#rows = [];
  }

  failed(error: ErrorFields): void {
    this.#error ??= error;
  }

  /** ReadyForQuery to what was asked. False while it is asked once more. */
  ready(client: ClientSession): boolean {
    const asking = this.#asking;
    const server = this.#server;
    this.#asking = settled;
    // A part of a message that nobody answers may be there, too.
    this.#isPassed = !server.owed.settled || client.midMessage;
    if (asking.kind === 'asking' && this.#error === undefined) {
      return this.#heard(client, asking, readProbe(asking.probe, this.#results));
    }
    if (asking.kind === 'taking off') {
      this.#learn(client, asking.findings);
      if (this.#error !== undefined) [server.guests, server.sessionState] = [noGuests, undefined];
      return true;
    }
    // What of ours is prepared by now is not known; nor what is of others', if it is that what was missing.
    server.guests = noGuests;
    if (this.#error?.sqlState === SqlState.undefinedStatement) server.doubtStatements();
    if (asking.kind === 'asking') {
      this.#hasFailed = true;
      if (this.#isPassed) return this.#askLater();
      if (asking.manner === 'patiently') this.#giveUp();
      else this.#askPatiently(client, asking.probe.questions);
      return false;
    }
    // Whatever it has is the client's: nothing is put in its place as long as that stays, which it does to its end.
    server.sessionState = client.sessionState;
    this.#conclude(client, [...(client.pin?.reasons ?? []), 'unknown']);
    return true;
  }

  /** The client has gone on: what was asked is asked at the next rest, together with what comes until then. */
  #askLater(): boolean {
    this.#suspicion.addAll(this.#asked);
    this.#asked.clear();
    return true;
  }

  /** False while more is asked. */
  #heard(client: ClientSession, { probe, manner, tellsOfDrops }: Asked, findings: Findings): boolean {
    if ((this.#asked.bits & (Hint.functions | Hint.opaque)) !== 0) {
      // Every statement may have been dropped, ours too. Those that have just been run are there.
      if (!tellsOfDrops) this.#server.statements.retireAll();
      this.#server.guests = guestSet(probe.guests);
    }
    const { reports, guests } = this.#server;
    const { configured } = findings;
    const isReconfigured = configured !== undefined && configured !== reports.configured;
    if (this.#isPassed && (isReconfigured || limitsIdling(findings))) {
      return this.#askLater();
    }
    if (isReconfigured) {
      // What is usual may be another one since, here and everywhere.
      reports.configured = configured;
      if (!probe.questions.usual && manner !== 'patiently') {
        this.#ask({ ...probe.questions, usual: true }, guests, 'usual');
        return false;
      }
    }
    if (limitsIdling(findings)) {
      const { bytes, ...batch } = withoutIdleTimeout(guests);
      this.#send({ kind: 'taking off', findings }, { ...batch, bytes: Buffer.concat([bytes, sync()]) });
      return false;
    }
    const before = { state: client.sessionState, carried: this.#server.sessionState, pin: client.pin };
    this.#learn(client, findings);
    const isSame = client.sessionState === before.state && this.#server.sessionState === before.carried;
    if (isSame && hasSameReasons(client.pin, before.pin)) this.#tracking.stats.needlessProbes++;
    return true;
  }

  /** Names may be of settings that this user may not read: everything that it may read is asked for instead. */
  #askPatiently(client: ClientSession, questions: Questions): void {
    const known = (name: string): boolean =>
      isCustom(name) || isIdentity(name) || client.sessionState.get(name) !== undefined;
    const names = questions.names.filter(known);
    const sweep = questions.names.length > 0;
    this.#ask({ ...questions, names, sweep, usual: false }, noGuests, 'patiently');
  }

  #giveUp(): void {
    const { bytes, ...batch } = new GuestBatch(noGuests).run('rollback').take();
    this.#send({ kind: 'giving up' }, { ...batch, bytes: Buffer.concat([bytes, sync()]) });
  }

  #ask(questions: Questions, prepared: GuestSet, manner: Manner): void {
    const probe = probeOf(questions, prepared, manner);
    const tellsOfDrops = (this.#server.guests & guestSet(probe.guests)) !== 0;
    this.#send({ kind: 'asking', probe, manner, tellsOfDrops }, probe);
  }

  #send(asking: Asking, batch: Batch): void {
    this.#asking = asking;
    this.#error = undefined;
    this.#results = [];
    this.#rows = [];
    this.#size = 0;
    this.#tracking.stats.sessionProbes++;
    this.#server.sendGuests(batch);
  }

  #learn(client: ClientSession, { values, usual, setHere, pins: found }: Findings): void {
    const pins = [...found];
    const server = this.#server;
    const suspicion = this.#asked;
    const tracking = this.#tracking;
    tracking.learnUsual(usual);
    for (const [name, hex] of usual) server.reports.learnFresh(name, hex);
    if ((suspicion.bits & Hint.functions) !== 0)
      tracking.functions.learn(suspicion.functions, pins.length === 0);
    if (values.size > 0) {
      const state = settledState({
        values: withIdleTimeout(values, client),
        usual: (name) => tracking.usual(name),
        base: server.base,
        brought: client.broughtState,
        resetAll: (suspicion.bits & Hint.resetAll) !== 0,
        resets: suspicion.resets,
        setHere,
      });
      if (hidesSetting(suspicion, client.sessionState, state.client)) pins.push('unknown_setting');
      client.sessionState = state.client;
      server.sessionState = state.server;
    } else this.#knowReset(client);
    this.#conclude(client, pins);
  }

  /** RESET ALL of a client that has set nothing: nobody asks what is set now, which is less than what connect_query or its login had set. */
  #knowReset(client: ClientSession): void {
    const server = this.#server;
    const { sessionState: state, broughtState: brought } = client;
    if (!onlyResets({ suspicion: this.#asked, state, brought })) return;
    if (server.base.size > 0) server.sessionState = undefined;
    else if (brought.size > 0) server.sessionState = InternedMap.empty;
  }

  /** Everything is known; `found` pins the client now. */
  #conclude(client: ClientSession, found: readonly PinReason[]): void {
    const suspicion = this.#asked;
    this.#hasFailed = false;
    const { bits } = suspicion;
    const reasons = [...found, ...lastingReasons(bits)];
    if (this.#tracking.policy === 'pin') reasons.push('policy');
    if (client.readsSequences) reasons.push('sequence');
    const unasked = hasTooMany({ suspicion, state: client.sessionState });
    if (unasked || [...suspicion.names].some((name) => !isPlainName(name))) reasons.push('unknown_setting');
    if ((bits & (Hint.functions | Hint.opaque)) !== 0) this.#server.mayHaveLeftovers = true;
    suspicion.clear();
    const before = client.pin;
    client.pin = pinAfter(before, reasons, performance.now());
    if (before?.reasons.includes('temp') === true && client.pin?.reasons.includes('temp') !== true)
      client.statements.unpinned(this.#server);
    const added = client.pin?.reasons.filter((reason) => before?.reasons.includes(reason) !== true) ?? [];
    if (added.length > 0) this.#server.owner.pinned(this.#server, client, added);
  }
}

/** What nothing but the end of the session takes back: the server need not be asked. */
function lastingReasons(bits: number): PinReason[] {
  const reasons: PinReason[] = [];
  if ((bits & Hint.permanent) !== 0) reasons.push('permanent');
  if ((bits & Hint.seed) !== 0) reasons.push('seed');
  return reasons;
}

/** The server would be closed for idling in its pool. */
const limitsIdling = ({ values }: Findings): boolean => (values.get(IDLE_SESSION_TIMEOUT) ?? ZERO) !== ZERO;
const ZERO = toHex('0');

/** What was set may have had a name that nobody has seen, and is not what was found: a custom setting, which no list has. */
function hidesSetting(suspicion: Suspicion, before: SessionState, after: SessionState): boolean {
  if ((suspicion.bits & Hint.hiddenNames) !== 0) return true;
  if ((suspicion.bits & Hint.hiddenName) === 0) return false;
  return ![...before, ...after].some(
    ([name]) => before.get(name) !== after.get(name) && !suspicion.isNamed(name),
  );
}

/** The server has none of it, whatever the client has set: unless it was asked for, it is what it was. */
function withIdleTimeout(
  values: ReadonlyMap<string, string | null>,
  client: ClientSession,
): ReadonlyMap<string, string | null> {
  const before = client.sessionState.get(IDLE_SESSION_TIMEOUT);
  if (before === undefined || values.has(IDLE_SESSION_TIMEOUT)) return values;
  return new Map([...values, [IDLE_SESSION_TIMEOUT, before]]);
}
