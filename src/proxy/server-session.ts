/**
 * One connection to a server, from its login on: reads what the server answers and knows what it still owes.
 *
 *     linked      replies go to the client, those to our own messages are swallowed; ReadyForQuery `I` with nothing
 *                 owed ends the link (transaction mode)
 *     errand      no client: the replies belong to a statement of ours, or are thrown away
 *     idle        nothing is expected; whatever comes but a report closes it
 *
 * Hot: nothing here allocates per message, except for errors and reports.
 */
import { InternedMap } from '../session/interned-map.ts';
import { type Batch, type GuestSet, noGuests } from '../session/guest-statements.ts';
import type { PinReason } from '../session/pins.ts';
import type { SharedStatements } from '../session/prepared-statements.ts';
import type { SessionState } from '../session/replay.ts';
import { changesSchema } from '../session/schema.ts';
import { ServerReports } from '../session/server-reports.ts';
import { ServerStatements } from '../session/server-statements.ts';
import {
  type Change,
  Deallocations,
  ForgetAll,
  NamedStatement,
  type UnnamedStatement,
} from '../session/statement-changes.ts';
import { noteDescription } from '../session/statement-description.ts';
import { isQuietTag, mayDraw } from '../session/suspicion.ts';
import { BodyReader } from '../protocol/body-reader.ts';
import { parseErrorFields } from '../protocol/error-fields.ts';
import { type FrameVisitor, FrameScanner, Verdict } from '../protocol/frame-scanner.ts';
import * as frontend from '../protocol/frontend.ts';
import {
  Backend,
  describes,
  HEADER_SIZE,
  isAsynchronous,
  TransactionStatus,
} from '../protocol/message-types.ts';
import type { Connection, ConnectionOwner } from '../net/connection.ts';
import type { Destination } from '../net/dial.ts';
import type { ServerTls } from '../net/tls.ts';
import type { PooledServer } from '../pool/port.ts';
import type { ServerState } from '../pool/server-state.ts';
import type { ClientSession } from './client-session.ts';
import { LentNames } from './lent-names.ts';
import { Outbox } from './outbox.ts';
import { type Answer, OwnAnswer } from './own-answer.ts';
import { fence, injectedReply, pushGuests, tooLong } from './own-messages.ts';
import { Owed, OwedReplies, OWN } from './owed-replies.ts';
import type { PoolTracking } from './pool-tracking.ts';
import type { PoolUser } from './pool-user.ts';
import { Reporting } from './reporting.ts';
import { restored, Restoring } from './restoring.ts';
import { Settling } from './settling.ts';
import { errorAbout } from './statement-messages.ts';

/** Frames up to this size are held until they are whole; larger ones are never of a kind that must be understood. */
const MAX_GATHERED = 16_384;
/** The same for what a server tells of its session; a setting beyond that is not followed. */
const MAX_OF_SESSION = 2_097_152;
/**
 * A client that has sent this many messages ahead of their answers sends no more until half of them came: an error takes back what
 * all the messages behind it were to change.
 */
export const MAX_OWED = 1000;

type OwedRef = Change | typeof restored;

/** How a server was reached: kept, because the configuration may name another one by now, or none. */
export interface ServerRoute {
  readonly destination: Destination;
  /** As the configuration called it. */
  readonly host: string;
  readonly tls: ServerTls | undefined;
}

/** What the session asks of whoever manages it. */
export interface ServerOwner {
  /** Nothing is owed and no transaction is open: it can go to somebody else. */
  finished(server: ServerSession): void;
  /** It must not be used any more; the reason is for the log. */
  doubted(server: ServerSession, reason: string): void;
  /** The client keeps the server from now on, or for further reasons. */
  pinned(server: ServerSession, client: ClientSession, reasons: readonly PinReason[]): void;
  /** Its socket is closed. */
  gone(server: ServerSession, error: Error | undefined): void;
  readonly tracking: PoolTracking;
}

export class ServerSession implements PooledServer<PoolUser>, ConnectionOwner, FrameVisitor {
  readonly id: number;
  /** Written by `ServerRoster.move` only. */
  state: ServerState<PoolUser>;
  readonly owner: ServerOwner;
  readonly connectedAt = Date.now();
  /** The linked client, if any. */
  client: ClientSession | undefined;
  /** Grows with each link, so that a late cancel can tell that it is too late. */
  linkNumber = 0;
  /** When its last client asked for a server; wall clock, ms. */
  requestedAt = Date.now();

  readonly reports = new ServerReports();
  /** What connect_query has set here, which every client finds unless it sets something else. */
  base: SessionState = InternedMap.empty;
  /** What a client has set here, on top of `base`; undefined = unknown. */
  sessionState: SessionState | undefined = InternedMap.empty;
  /** Whose link was the last one: his are the leftovers. */
  lastClientId = 0;
  /** Cursors, locks and the like may be left that nobody has looked for. */
  mayHaveLeftovers = false;
  /** When its session was compared with what it is known to carry: after which link, and at what time (monotonic ms). */
  audited = { link: 0, at: 0 };
  /** The linked client has run something that may have drawn from a sequence. */
  mayHaveDrawn = false;
  /** Which of our own statements are prepared. */
  guests: GuestSet = noGuests;
  readonly settling: Settling;
  readonly restoring = new Restoring(this);
  readonly #reporting = new Reporting(this);
  readonly statements = new ServerStatements();
  readonly lent = new LentNames(this);
  /** Those of its pool. */
  readonly shared: SharedStatements;
  /** Hears that the connection was lost while an errand had it. */
  whenLost: (() => void) | undefined;
  /** The unnamed statement that is there; undefined: nobody knows. */
  unnamed: UnnamedStatement | undefined;
  /** Transaction status of the last ReadyForQuery. */
  status: number = TransactionStatus.idle;
  readonly owed: OwedReplies<OwedRef>;
  /** For cancel requests. */
  route: ServerRoute | undefined;
  processId = 0;
  secret: Buffer = Buffer.alloc(0);
  /** Cancel requests that have been sent and not been closed by the server yet. */
  cancels = 0;
  /** A cancel request was given up on the way: whom it will hit, if it comes, nobody knows. */
  cancelIsLate = false;
  /** Hears that no cancel request is under way any more. */
  whenNotCanceled: (() => void) | undefined;
  bytesReceived = 0;

  #connection: Connection | undefined;
  #out: Outbox | undefined;
  readonly #scanner: FrameScanner;
  /** The frame that is being streamed is not the client's. */
  #swallowing = false;
  readonly #answer = new OwnAnswer();
  /** What an error that is being read takes back, last first. */
  #failed: Change[] | undefined;
  /** It has said that it is about to go, right behind the last answer to its client. */
  #lastWords: string | undefined;
  /** A statement of the linked client has changed the schema, and its transaction has not ended. */
  #schemaChanging = false;
  /** What the client leaves here has become known while this chunk was read. */
  #hasSettled = false;
  /** Somebody has drawn from a sequence here, and that has not been forgotten. */
  #wasDrawn = false;
  /** A FATAL of the server has gone to the client. */
  #fatalSeen = false;

  constructor(id: number, now: number, owner: ServerOwner, shared: SharedStatements) {
    this.id = id;
    this.shared = shared;
    this.state = { kind: 'connecting', since: now };
    this.owner = owner;
    this.settling = new Settling(this, owner.tracking);
    this.#scanner = new FrameScanner(this);
    this.owed = new OwedReplies((_, ref) => {
      if (typeof ref !== 'object') return;
      if (this.#failed === undefined) ref.undo(false);
      else this.#failed.push(ref);
    });
  }

  /** The login is through; `reported` is what the server told of itself. */
  connected(connection: Connection, reported: InternedMap): void {
    this.#connection = connection;
    this.#out = new Outbox(connection);
    this.reports.adopt(reported);
    connection.owner = this;
    connection.enterRelay('server');
  }

  get connection(): Connection | undefined {
    return this.#connection;
  }

  /** Where bytes for the server go; whoever writes calls `finish` at the end. */
  get out(): Outbox {
    if (this.#out === undefined) throw new Error('bug: a server without connection has no outbox');
    return this.#out;
  }

  /** A replay is under way: its failure ends the client. */
  get replaying(): boolean {
    return this.restoring.isUnderWay;
  }

  get congested(): boolean {
    return this.#connection?.congested ?? false;
  }

  /** The server owes nothing and has no transaction open. */
  get quiet(): boolean {
    return this.owed.settled && !this.owed.doubtful && this.status === TransactionStatus.idle;
  }

  /** The client has been told by the server itself that the session is over. */
  get saidGoodbye(): boolean {
    return this.#fatalSeen;
  }

  /** A reply has been forwarded in part: nothing else may be said to that client. */
  get midReply(): boolean {
    return this.#scanner.streaming && !this.#swallowing;
  }

  // --- links -------------------------------------------------------------------------------------------------------

  /** Joins a client: what it set is replayed in front of what it sends next, unless the server carries just that. */
  link(client: ClientSession): void {
    this.client = client;
    this.linkNumber++;
    this.requestedAt = client.requestedAt;
    const isStranger = this.lastClientId !== client.id;
    this.lastClientId = client.id;
    // What others have drawn from sequences here, currval and lastval must not tell.
    const sequences = isStranger && (this.#wasDrawn || this.owner.tracking.readsSequences);
    if (isStranger) this.#wasDrawn = false;
    this.mayHaveDrawn = false;
    this.#hasSettled = false;
    const clean = isStranger && (this.mayHaveLeftovers || client.policy === 'strict');
    this.restoring.link(client, { clean, sequences }, isStranger);
  }

  unlink(): void {
    this.client = undefined;
    this.settling.abandon();
    this.#connection?.resume();
  }

  // --- statements of our own -----------------------------------------------------------------------------------------

  /**
   * Runs a message of ours that ends in ReadyForQuery; `owed` are its entries. No client may be linked. `done` hears
   * nothing if the connection is lost.
   */
  ask(bytes: Buffer, owed: readonly number[], done: (answer: Answer) => void): void {
    for (const entry of owed) this.owed.push(entry | OWN);
    this.whenSettled(done);
    this.out.insert(bytes);
    this.out.finish();
  }

  /** Sends statements of ours that end in a Sync, whoever hears of the answer. */
  sendGuests(batch: Batch): void {
    pushGuests(this.owed, batch, undefined);
    this.owed.push(Owed.sync | OWN);
    this.guests = batch.prepared;
    this.out.insert(batch.bytes);
    this.out.finish();
  }

  /** The same for one simple query, which ends the unnamed statement. */
  askQuery(sql: string, done: (answer: Answer) => void): void {
    this.unnamed = undefined;
    this.ask(frontend.query(sql), [Owed.query], done);
  }

  /** Calls once nothing is owed any more, with what our own message brought. */
  whenSettled(done: (answer: Answer) => void): void {
    this.#answer.await(done);
  }

  /** Everything prepared here under a name is gone (DISCARD ALL). */
  forgetStatements(): void {
    this.guests = noGuests;
    this.statements.clear();
    this.lent.clear();
  }

  /** Some of them may be gone, or be somebody's own: each is prepared anew before it is used again. */
  doubtStatements(): void {
    this.guests = noGuests;
    this.statements.retireAll();
  }

  /** What it reports and carries now is how it starts out: a query of the operator's has set it up. */
  adoptAsFresh(base: SessionState): void {
    this.reports.adopt(this.reports.reported);
    this.base = base;
  }

  terminate(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    connection.write(frontend.terminate());
    connection.end();
  }

  destroy(): void {
    this.#connection?.destroy();
  }

  // --- ConnectionOwner -------------------------------------------------------------------------------------------------

  received(chunk: Buffer): boolean {
    const client = this.client;
    this.bytesReceived += chunk.length;
    try {
      this.#scanner.scan(chunk);
    } catch (error) {
      client?.out.finish();
      this.owner.doubted(this, error instanceof Error ? error.message : String(error));
      return false;
    }
    if (this.owed.lost) {
      client?.out.finish();
      this.owner.doubted(this, 'server replies cannot be told apart any more');
      return false;
    }
    if (client === undefined) {
      this.#afterErrand();
      return true;
    }
    const free = client.out.finish();
    client.countSent(chunk.length);
    if (client.connection.congested && this.client === client) this.#connection?.pause();
    this.#afterReplies(client);
    return free;
  }

  drained(): void {
    this.client?.serverDrained();
  }

  closed(error: Error | undefined): void {
    const client = this.client;
    this.client = undefined;
    client?.serverLost(this.#fatalSeen, this.midReply);
    this.whenLost?.();
    this.owner.gone(this, error);
  }

  // --- FrameVisitor ------------------------------------------------------------------------------------------------------

  frame(type: number, chunk: Buffer, start: number, end: number): Verdict {
    switch (type) {
      case Backend.dataRow:
      case Backend.copyData:
        if (this.client === undefined || this.owed.headIsOwn) return this.#ownRow(type, chunk, start, end);
        this.client.out.forward(chunk, start, end);
        return Verdict.joinAlike;
      case Backend.readyForQuery:
        this.#readyForQuery(chunk, start, end);
        return Verdict.next;
      case Backend.errorResponse:
        this.#errorResponse(chunk, start, end);
        return Verdict.next;
      case Backend.parameterStatus:
        this.#parameterStatus(chunk, start, end);
        return Verdict.next;
      case Backend.noticeResponse:
        if (!this.owed.headIsOwn) this.client?.out.forward(chunk, start, end);
        return Verdict.next;
      case Backend.notificationResponse:
        // A client that listens has them while it is asked what it has left; what comes before a replay is through was another's.
        if (!this.restoring.isLinking) this.client?.out.forward(chunk, start, end);
        return Verdict.next;
      default:
        this.#reply(type, chunk, start, end);
        this.#inject();
        return Verdict.next;
    }
  }

  gathers(type: number, size: number): boolean {
    // Settings may be long, and so may be what is said against them.
    const isOwn = this.owed.headIsOwn && (this.settling.isAsking || type === Backend.errorResponse);
    if (isOwn || type === Backend.parameterStatus) return size <= MAX_OF_SESSION;
    if (type !== Backend.dataRow && type !== Backend.copyData) return size <= MAX_GATHERED;
    return this.client === undefined && size <= MAX_GATHERED;
  }

  head(type: number, _size: number, chunk: Buffer, start: number, end: number): Verdict {
    let own = this.owed.headIsOwn;
    if (type === Backend.errorResponse && own && (this.replaying || this.settling.isAsking)) {
      this.#errorResponse(chunk, start, end);
    } else if (type === Backend.errorResponse) {
      own = this.#errorOwed() && this.client === undefined;
    } else if (!isAsynchronous(type) && type !== Backend.dataRow && type !== Backend.copyData) {
      if (describes(type)) this.#noteDescription(type, undefined);
      own = this.owed.reply(type);
    }
    if (own && type === Backend.dataRow && this.settling.isAsking) this.settling.failed(tooLong);
    this.#swallowing = own || this.client === undefined;
    if (!this.#swallowing) this.client?.out.forward(chunk, start, end);
    return Verdict.next;
  }

  part(chunk: Buffer, start: number, end: number, last: boolean): void {
    if (!this.#swallowing) this.client?.out.forward(chunk, start, end);
    if (last) this.#inject();
  }

  // --- what the frames mean ----------------------------------------------------------------------------------------------

  #reply(type: number, chunk: Buffer, start: number, end: number): void {
    if (this.owed.headRef === restored) this.restoring.through();
    if (type === Backend.commandComplete) {
      if (!this.owed.headIsOwn) this.#noteCommand(chunk, start, end);
      else if (this.settling.isAsking) this.settling.command();
    } else if (describes(type)) this.#noteDescription(type, new BodyReader(chunk, start + HEADER_SIZE, end));
    if (!this.owed.reply(type)) this.client?.out.forward(chunk, start, end);
  }

  #noteDescription(type: number, body: BodyReader | undefined): void {
    const { headRef } = this.owed;
    if (!(headRef instanceof NamedStatement)) return;
    // Who has had it asked for goes on now, however long that has taken.
    if (this.owed.headIsOwn) this.statements.known(headRef.statement, performance.now());
    if (noteDescription(headRef.statement, type, body)) return;
    // The schema has changed, and no tag has shown it.
    this.shared.schema.changed();
    this.statements.retire(headRef.statement);
  }

  /** A statement of the client's has been run: what its tag tells of the session. */
  #noteCommand(chunk: Buffer, start: number, end: number): void {
    const tagAt = start + HEADER_SIZE;
    if (mayDraw(chunk, tagAt)) this.noteDrawing();
    if (isQuietTag(chunk, tagAt)) return;
    const tag = chunk.toString('latin1', tagAt, end - 1);
    if (tag === 'RESET' || tag === 'DISCARD ALL') this.#reporting.resetSeen();
    const isTemporary = this.settling.suspicion.takeTemporary(tag);
    if ((changesSchema(chunk, tagAt) && !isTemporary) || this.settling.suspicion.definesIn(tag)) {
      this.#schemaChanging = true;
      this.shared.schema.changed();
    }
    if (this.client?.isTracked === true) this.settling.suspicion.addTag(tag);
    if (tag === 'DEALLOCATE' && !this.#hasDeallocated()) this.doubtStatements();
    if (tag !== 'DISCARD ALL' && tag !== 'DEALLOCATE ALL') return;
    this.guests = noGuests;
    // It counts since it was sent, where its text has said so.
    if (this.owed.headRef instanceof ForgetAll) return;
    // They drop every statement, ours too; what came behind in the pipeline is prepared after it.
    this.#beneathLater(() => {
      this.forgetStatements();
      this.client?.statements.forget();
    });
  }

  /** What a DEALLOCATE has dropped was its client's own. */
  #hasDeallocated(): boolean {
    const { headRef } = this.owed;
    return headRef instanceof Deallocations && headRef.run();
  }

  /** The linked client may have drawn from a sequence. */
  noteDrawing(): void {
    this.mayHaveDrawn = true;
    this.#wasDrawn ||= this.client?.isTracked === true;
  }

  #inject(): void {
    for (let kind = this.owed.takeInjection(); kind !== 0; kind = this.owed.takeInjection()) {
      this.client?.out.insert(injectedReply(kind));
    }
  }

  #readyForQuery(chunk: Buffer, start: number, end: number): void {
    this.status = chunk.readUInt8(start + HEADER_SIZE);
    const own = this.owed.ready();
    if (this.owed.settled) this.statements.settled();
    if (this.#schemaChanging && this.status === TransactionStatus.idle) {
      // Now others see it too.
      this.#schemaChanging = false;
      this.shared.schema.changed();
    }
    const client = this.client;
    if (client === undefined) return;
    if (own) {
      if (this.settling.isAsking) this.#hasSettled = this.settling.ready(client);
      this.#inject();
      return;
    }
    this.#reporting.beforeReady(client);
    client.out.forward(chunk, start, end);
    this.#inject();
    if (this.owed.settled) client.queryEnded(this.status === TransactionStatus.idle);
  }

  #errorResponse(chunk: Buffer, start: number, end: number): void {
    if (this.client?.releasesAtIdle === true && this.#isAtRest(this.client) && !this.settling.suspicion.any) {
      // The client has got all that it asked for, and leaves nothing: what the server says now is about itself.
      this.#lastWords = parseErrorFields(chunk, start + HEADER_SIZE, end).message;
      return;
    }
    const replayFailed = this.replaying && this.owed.headIsOwn;
    const askingFailed = this.settling.isAsking && this.owed.headIsOwn;
    const { headRef } = this.owed;
    const own = this.#errorOwed();
    const fields = parseErrorFields(chunk, start + HEADER_SIZE, end);
    if (askingFailed && fields.severity === 'ERROR') {
      this.settling.failed(fields);
      return;
    }
    if (replayFailed) {
      this.restoring.through();
      this.client?.replayFailed(fields);
      this.owner.doubted(this, `session state could not be restored: ${fields.message}`);
      return;
    }
    if (this.client === undefined) {
      // What was to be prepared behind it has not been.
      this.guests = noGuests;
      this.#answer.failed(fields);
    }
    // A statement that was prepared again for the client fails in the client's name.
    if (own && this.client === undefined) return;
    if (fields.severity === 'FATAL' || fields.severity === 'PANIC') this.#fatalSeen = true;
    const about =
      headRef instanceof NamedStatement ? errorAbout(headRef, this, chunk, start, end, fields) : undefined;
    if (about === undefined) this.client?.out.forward(chunk, start, end);
    else this.client?.out.insert(about);
    this.#inject();
  }

  /** Takes back what the failed messages would have changed. True as `OwedReplies.error`. */
  #errorOwed(): boolean {
    const failed: Change[] = (this.#failed = []);
    const { headRef } = this.owed;
    const own = this.owed.error();
    this.#failed = undefined;
    if (failed.length === 0) return own;
    this.#beneathLater(() => {
      for (const change of failed) change.undo(change === headRef);
    });
    return own;
  }

  /** Changes what there is, from under what messages on their way change later. */
  #beneathLater(happens: () => void): void {
    const later: Change[] = [];
    for (const ref of this.owed.refsBehindHead()) if (typeof ref === 'object') later.push(ref);
    for (const change of later.toReversed()) change.undo(false);
    happens();
    for (const change of later) change.apply();
  }

  #parameterStatus(chunk: Buffer, start: number, end: number): void {
    const reader = new BodyReader(chunk, start + HEADER_SIZE, end);
    const name = reader.cstring();
    const value = reader.cstring();
    this.reports.add(name, value);
  }

  #ownRow(type: number, chunk: Buffer, start: number, end: number): Verdict {
    if (type !== Backend.dataRow || !this.owed.headIsOwn) return Verdict.next;
    const row = new BodyReader(chunk, start + HEADER_SIZE, end).textRow();
    (this.settling.isAsking ? this.settling : this.#answer).row(row);
    return Verdict.next;
  }

  // --- after a chunk -------------------------------------------------------------------------------------------------------

  #afterReplies(client: ClientSession): void {
    if (this.client !== client) return;
    if (this.#hasSettled) {
      this.#hasSettled = false;
      this.releaseIfDue();
      if (this.client === client) client.settled();
      if (this.client !== client) return;
    }
    // First what was held behind a replay: it came before its client could know that this is the end.
    client.repliesCame();
    if (this.client === client) this.releaseIfDue();
  }

  /** At a point of rest, looks after what the client leaves here; then ends the link of one in transaction mode that leaves nothing. */
  releaseIfDue(): void {
    const client = this.client;
    if (client === undefined || !this.#isAtRest(client)) return;
    if (this.#lastWords !== undefined) {
      this.unlink();
      client.released();
      this.owner.doubted(this, `idle server: ${this.#lastWords}`);
    } else if (this.owed.doubtful) this.#sendFence();
    else if (client.isTracked && this.settling.begin(client)) return;
    else if (client.releasesAtIdle) this.owner.finished(this);
  }

  /** Nothing is owed to a client in transaction mode, and it has no transaction. */
  #isAtRest(client: ClientSession): boolean {
    if (!this.owed.settled || this.status !== TransactionStatus.idle) return false;
    return client.pool.mode === 'transaction' && !client.midMessage;
  }

  /** Tells the client right away what no server has to be asked for, if its turn has come. */
  injectDue(): void {
    this.#inject();
  }

  /** Asks for proof that nothing is owed: what is answered before the fence's answer was owed, behind it is nothing. */
  #sendFence(): void {
    this.owed.push(Owed.fence | OWN);
    this.owed.push(Owed.sync | OWN);
    this.out.insert(fence);
    this.out.finish();
  }

  #afterErrand(): void {
    if (this.state.kind === 'idle') {
      const { error } = this.#answer;
      if (error !== undefined) this.owner.doubted(this, `idle server: ${error.message}`);
      else if (this.owed.doubtful) this.owner.doubted(this, 'idle server got dirty');
      return;
    }
    if (!this.#answer.isAwaited || !this.owed.settled) return;
    if (this.owed.doubtful) {
      this.#sendFence();
      return;
    }
    this.#answer.deliver();
  }
}
