/**
 * Puts what a client has set onto its server: in front of the client's next bytes, in the same write, without a Sync of its own.
 *
 *     at a link       all of it, unless the server carries just that
 *     at rest         all of it, where the client has reset what it had brought at login
 *     amid a link     only what has gone back to the server's own default: in a transaction of the client's as a part of it; and where
 *                     no server is asked ("off", session mode), whenever a tag has said RESET or DISCARD ALL
 */
import { TransactionStatus } from '../protocol/message-types.ts';
import { type Batch, GuestBatch, noGuests } from '../session/guest-statements.ts';
import { hasIdentity, homecomingOf, isIdentity, replayOf, type ReplayScope } from '../session/replay.ts';
import { Hint } from '../sql/hints.ts';
import type { ClientSession } from './client-session.ts';
import { pushGuests } from './own-messages.ts';
import type { ServerSession } from './server-session.ts';

/** Marks, among the owed replies, the last of what is being restored. */
export const restored = Symbol('restored');

/**
 * In ms. The server answers what is restored together with what its client has sent behind it, which may run for hours; by then the first has
 * been run.
 */
export const RUN_TIME = 100;

type Stage = 'done' | 'linking' | 'amid a link';

export class Restoring {
  readonly #server: ServerSession;
  #stage: Stage = 'done';
  /** Monotonic ms. */
  #sentAt = 0;
  /** The client has reset what may have to be put back. */
  #resetDue = false;
  /** The linked client was not the one before, and what that has drawn from sequences may still be told. */
  #hasOthersSequences = false;

  constructor(server: ServerSession) {
    this.#server = server;
  }

  /** Its failure ends the client. */
  get isUnderWay(): boolean {
    return this.#stage !== 'done' && this.#server.owed.owes(restored);
  }

  /** No cancel may hit it. */
  get mayRun(): boolean {
    return this.isUnderWay && performance.now() - this.#sentAt < RUN_TIME;
  }

  /** What the server tells unasked may be meant for the client before. */
  get isLinking(): boolean {
    return this.#stage === 'linking' && this.isUnderWay;
  }

  /** Until the client's next message the server has its own defaults in the place of what the client has brought. */
  get isDueAmidTransaction(): boolean {
    return this.#resetDue && this.#server.status === TransactionStatus.inTransaction;
  }

  link(
    client: ClientSession,
    { clean, sequences }: Omit<ReplayScope, 'identity'>,
    isStranger: boolean,
  ): void {
    const server = this.#server;
    this.#resetDue = false;
    this.#hasOthersSequences = isStranger && !clean && !sequences;
    const { any: hasOthersNames } = server.lent;
    if (hasOthersNames) server.lent.takeBack();
    if (clean || sequences || hasOthersNames || server.sessionState !== client.sessionState)
      this.#replay(client, { clean, sequences, identity: clean }, 'linking');
  }

  /** In front of a message that asks for what was drawn from sequences: of others it must not hear, unless it may have drawn itself since. */
  forgetSequences(): void {
    const { owed, settling, status, mayHaveDrawn, guests } = this.#server;
    const mayHave = mayHaveDrawn || (settling.suspicion.bits & (Hint.functions | Hint.opaque)) !== 0;
    if (!this.#hasOthersSequences || mayHave || !owed.runsNothing || status === TransactionStatus.failed)
      return;
    this.#hasOthersSequences = false;
    const batch = new GuestBatch(guests).run('discardSequences').take();
    this.#send(batch, this.isLinking ? 'linking' : 'amid a link');
  }

  /** The client has reset settings, and its server is in a transaction, or nobody asks it what is set. */
  resetSeen(): void {
    this.#resetDue = true;
  }

  /** In front of a message of the linked client: what it has reset has to be what it brought. */
  catchUp(client: ClientSession): void {
    const server = this.#server;
    if (!server.owed.settled || server.owed.doubtful) return;
    const inTransaction = server.status === TransactionStatus.inTransaction;
    if (client.isTracked && !inTransaction) {
      if (server.sessionState !== client.sessionState && server.quiet)
        this.#replay(client, { clean: false, sequences: false, identity: false }, 'amid a link');
    } else if (this.#resetDue && (inTransaction || server.quiet)) {
      this.#bringHome(client, inTransaction);
    }
  }

  /** Names are being lent. */
  lent(): void {
    this.#begins(this.isLinking ? 'linking' : 'amid a link');
  }

  /** The last statement of a batch has been run; another may be on its way. */
  through(): void {
    for (const ref of this.#server.owed.refsBehindHead()) if (ref === restored) return;
    this.#stage = 'done';
  }

  #replay(client: ClientSession, scope: ReplayScope, stage: Stage): void {
    const server = this.#server;
    const { sessionState: state } = client;
    const identity = scope.identity || server.sessionState === undefined || hasIdentity(server.sessionState);
    this.#send(replayOf(state.over(server.base), { ...scope, identity }, server.guests), stage);
    server.sessionState = state;
    server.mayHaveLeftovers &&= !scope.clean;
  }

  #bringHome(client: ClientSession, inTransaction: boolean): void {
    const server = this.#server;
    this.#resetDue = false;
    const { suspicion } = server.settling;
    const home = client.broughtState.over(server.base);
    const reset = [...home].filter(([name]) =>
      client.isTracked ? suspicion.mayHaveResetTo(name) : !isIdentity(name),
    );
    // Nobody has looked yet what became of our statements since the client came.
    if (reset.length > 0) this.#send(homecomingOf(reset, inTransaction, noGuests), 'amid a link');
  }

  #send(batch: Batch, stage: Stage): void {
    const server = this.#server;
    pushGuests(server.owed, batch, restored);
    server.out.insert(batch.bytes);
    server.guests |= batch.prepared;
    this.#begins(stage);
  }

  #begins(stage: Stage): void {
    this.#stage = stage;
    this.#sentAt = performance.now();
  }
}
