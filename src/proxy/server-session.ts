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
import { missingReports, stateAfterReport } from '../session/parameter-status.ts';
import { type Change, ServerStatements } from '../session/prepared-statements.ts';
import { replayOf, type SessionState } from '../session/replay.ts';
import { closeComplete, parseComplete } from '../protocol/backend.ts';
import { BodyReader } from '../protocol/body-reader.ts';
import { type ErrorFields, parseErrorFields } from '../protocol/error-fields.ts';
import { type FrameVisitor, FrameScanner, Verdict } from '../protocol/frame-scanner.ts';
import { FrameWriter } from '../protocol/frame-writer.ts';
import * as frontend from '../protocol/frontend.ts';
import { Backend, HEADER_SIZE, TransactionStatus } from '../protocol/message-types.ts';
import type { Connection, ConnectionOwner } from '../net/connection.ts';
import type { Destination } from '../net/dial.ts';
import type { ServerTls } from '../net/tls.ts';
import type { PooledServer } from '../pool/port.ts';
import type { ServerState } from '../pool/server-state.ts';
import type { ClientSession } from './client-session.ts';
import { withNameRestored } from './client-statements.ts';
import { Outbox } from './outbox.ts';
import { Owed, OwedReplies, OWN } from './owed-replies.ts';
import type { PoolUser } from './pool-user.ts';

/** Frames up to this size are held until they are whole; larger ones are never of a kind that must be understood. */
const MAX_GATHERED = 16_384;
/** A client that has sent this many messages ahead of their answers is not read until half of them came. */
export const MAX_OWED = 10_000;

/** By its key, the name that a client has used for the statement of a message. */
type StatementName = string;
/** Marks, among the owed replies, the COMMIT that ends a replay. */
const replayEnd = Symbol('replay end');
type OwedRef = Change | StatementName | typeof replayEnd;

/** What a statement of ours brought. */
export interface Answer {
  readonly error: ErrorFields | undefined;
  readonly rows: readonly (readonly (string | null)[])[];
}

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
  /** Its socket is closed. */
  gone(server: ServerSession, error: Error | undefined): void;
}

const fenceBytes = (): Buffer => {
  const writer = new FrameWriter();
  frontend.writeClose(writer, 'P', 'ostler_fence');
  return Buffer.concat([writer.take(), frontend.sync()]);
};
const fence = fenceBytes();

const replayEntries = {
  parse: Owed.parse | OWN,
  bind: Owed.bind | OWN,
  execute: Owed.execute | OWN,
} as const;

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
  /** The last client's request, for SHOW SERVERS. */
  requestedAt = Date.now();

  /** What was reported at login: what a fresh session of this server has. */
  fresh = InternedMap.empty;
  reported = InternedMap.empty;
  /** What connect_query has set here, which every client finds unless it sets something else. */
  base: SessionState = InternedMap.empty;
  /** What a client has set here, on top of `base`; undefined = unknown. */
  sessionState: SessionState | undefined = InternedMap.empty;
  readonly statements = new ServerStatements();
  /** Hears that the connection was lost while an errand had it. */
  whenLost: (() => void) | undefined;
  /** Whose Parse made the unnamed statement. */
  unnamedOwner: ClientSession | undefined;
  /** A message on its way that makes the unnamed statement its client's; while it has not, it is nobody's. */
  readonly unnamedChange: Change = {
    apply: () => {
      this.unnamedOwner = this.client;
    },
    undo: () => {
      this.unnamedOwner = undefined;
    },
  };
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
  #replaying = false;
  #replayPrepared = false;
  /** The frame that is being streamed is not the client's. */
  #swallowing = false;
  #answerError: ErrorFields | undefined;
  /** What an error that is being read takes back, last first. */
  #failed: Change[] | undefined;
  /** It has said that it is about to go, right behind the last answer to its client. */
  #lastWords: string | undefined;
  #answerRows: (string | null)[][] = [];
  #settled: ((answer: Answer) => void) | undefined;
  /** The linked client has reset settings since the last ReadyForQuery. */
  #resetSeen = false;
  /** A FATAL of the server has gone to the client. */
  #fatalSeen = false;

  constructor(id: number, now: number, owner: ServerOwner) {
    this.id = id;
    this.state = { kind: 'connecting', since: now };
    this.owner = owner;
    this.#scanner = new FrameScanner(this);
    this.owed = new OwedReplies((_, ref) => {
      if (typeof ref !== 'object') return;
      // Outside of an error, what is dropped came behind one.
      if (this.#failed === undefined) ref.undo(false);
      else this.#failed.push(ref);
    });
  }

  /** The login is through; `reported` is what the server told of itself. */
  connected(connection: Connection, reported: InternedMap): void {
    this.#connection = connection;
    this.#out = new Outbox(connection);
    this.fresh = reported;
    this.reported = reported;
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

  /** A replay is under way: its failure ends the client, and no cancel may hit it. */
  get replaying(): boolean {
    return this.#replaying;
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
    this.requestedAt = Date.now();
    if (this.sessionState !== client.sessionState) this.#replay(client.sessionState);
  }

  unlink(): void {
    this.client = undefined;
    this.#connection?.resume();
  }

  #replay(state: SessionState): void {
    const replay = replayOf(state.over(this.base), this.#replayPrepared);
    const last = replay.messages.length - 1;
    for (const [index, message] of replay.messages.entries()) {
      this.owed.push(replayEntries[message], index === last ? replayEnd : undefined);
    }
    this.out.insert(replay.bytes);
    this.sessionState = state;
    this.#replaying = true;
    this.#replayPrepared = true;
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

  /** The same for one simple query. */
  askQuery(sql: string, done: (answer: Answer) => void): void {
    this.ask(frontend.query(sql), [Owed.query], done);
  }

  /** Calls once nothing is owed any more, with what our own message brought. */
  whenSettled(done: (answer: Answer) => void): void {
    this.#answerError = undefined;
    this.#answerRows = [];
    this.#settled = done;
  }

  /** Everything prepared here is gone (DISCARD ALL). */
  forgetStatements(): void {
    this.#replayPrepared = false;
    this.unnamedOwner = undefined;
    this.statements.clear();
  }

  /** What it reports and carries now is how it starts out: a query of the operator's has set it up. */
  adoptAsFresh(base: SessionState): void {
    this.fresh = this.reported;
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
        if (this.client === undefined) this.#collectRow(type, chunk, start, end);
        else if (!this.owed.headIsOwn) this.client.out.forward(chunk, start, end);
        return Verdict.next;
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
      case Backend.notificationResponse:
        if (!this.owed.headIsOwn) this.client?.out.forward(chunk, start, end);
        return Verdict.next;
      default:
        this.#reply(type, chunk, start, end);
        this.#inject();
        return Verdict.next;
    }
  }

  gathers(type: number, size: number): boolean {
    if (type === Backend.dataRow || type === Backend.copyData)
      return this.client === undefined && size <= MAX_GATHERED;
    return size <= MAX_GATHERED;
  }

  head(type: number, _size: number, chunk: Buffer, start: number, end: number): Verdict {
    let own = this.owed.headIsOwn;
    if (type === Backend.errorResponse) {
      own = this.#errorOwed() && this.client === undefined;
    } else if (!isAsynchronous(type) && type !== Backend.dataRow && type !== Backend.copyData)
      own = this.owed.reply(type);
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
    if (this.#replaying && type === Backend.commandComplete && this.owed.headRef === replayEnd)
      this.#replaying = false;
    if (type === Backend.commandComplete && !this.owed.headIsOwn) this.#noteCommand(chunk, start, end);
    if (!this.owed.reply(type)) this.client?.out.forward(chunk, start, end);
  }

  /** DISCARD ALL and DEALLOCATE ALL drop every statement, ours too; RESET and DISCARD ALL drop settings. */
  #noteCommand(chunk: Buffer, start: number, end: number): void {
    const tagAt = start + HEADER_SIZE;
    // Told apart from the common tags by their first and third letters.
    if (chunk[tagAt] === 0x52 && chunk[tagAt + 2] === 0x53) this.#resetSeen = true;
    if (chunk[tagAt] !== 0x44) return;
    const tag = chunk.toString('latin1', tagAt, end - 1);
    if (tag === 'DISCARD ALL') this.#resetSeen = true;
    else if (tag !== 'DEALLOCATE ALL') return;
    this.forgetStatements();
    this.client?.statements.forget();
    // What came behind it in the pipeline is prepared after it.
    for (const ref of this.owed.refsBehindHead()) if (typeof ref === 'object') ref.apply();
  }

  #inject(): void {
    for (let kind = this.owed.takeInjection(); kind !== 0; kind = this.owed.takeInjection()) {
      this.client?.out.insert(kind === Owed.injectedParse ? parseComplete : closeComplete);
    }
  }

  #readyForQuery(chunk: Buffer, start: number, end: number): void {
    this.status = chunk.readUInt8(start + HEADER_SIZE);
    const own = this.owed.ready();
    if (this.owed.settled) this.statements.settled();
    const client = this.client;
    if (client === undefined) return;
    if (own) {
      this.#inject();
      return;
    }
    if (client.told !== this.reported) {
      client.out.insert(missingReports(client.told, this.reported));
      client.told = this.reported;
      this.#learnSettings(client);
    }
    if (this.#resetSeen) this.#settingsReset(client);
    client.out.forward(chunk, start, end);
    this.#inject();
    if (this.owed.settled) client.queryEnded(this.status === TransactionStatus.idle);
  }

  #errorResponse(chunk: Buffer, start: number, end: number): void {
    if (this.#isDue) {
      // The client has got all that it asked for: what the server says now is about itself.
      this.#lastWords = parseErrorFields(chunk, start + HEADER_SIZE, end).message;
      return;
    }
    const replayFailed = this.#replaying && this.owed.headIsOwn;
    const { headRef } = this.owed;
    const own = this.#errorOwed();
    const fields = parseErrorFields(chunk, start + HEADER_SIZE, end);
    if (replayFailed) {
      this.#replaying = false;
      this.client?.replayFailed(fields);
      this.owner.doubted(this, `session state could not be restored: ${fields.message}`);
      return;
    }
    if (this.client === undefined) this.#answerError ??= fields;
    // A statement that was prepared again for the client fails in the client's name.
    if (own && this.client === undefined) return;
    if (fields.severity === 'FATAL' || fields.severity === 'PANIC') this.#fatalSeen = true;
    const renamed =
      typeof headRef === 'string' ? withNameRestored(chunk, start, end, fields, headRef) : undefined;
    if (renamed === undefined) this.client?.out.forward(chunk, start, end);
    else this.client?.out.insert(renamed);
    this.#inject();
  }

  /** Takes back what the failed messages would have changed, from under what those behind them change. True as `OwedReplies.error`. */
  #errorOwed(): boolean {
    const failed: Change[] = (this.#failed = []);
    const { headRef } = this.owed;
    const own = this.owed.error();
    this.#failed = undefined;
    if (failed.length === 0) return own;
    const later: Change[] = [];
    for (const ref of this.owed.refsBehindHead()) if (typeof ref === 'object') later.push(ref);
    for (const change of later.toReversed()) change.undo(false);
    for (const change of failed) change.undo(change === headRef);
    for (const change of later) change.apply();
    return own;
  }

  #parameterStatus(chunk: Buffer, start: number, end: number): void {
    const reader = new BodyReader(chunk, start + HEADER_SIZE, end);
    const name = reader.cstring();
    const value = reader.cstring();
    this.reported = this.reported.with(name, value);
  }

  /**
   * What the client has set, by all that is reported: a server reports a change against its own last report, so that setting what another
   * client had set here before is not reported at all.
   */
  #learnSettings(client: ClientSession): void {
    let state = client.sessionState;
    for (const [name, value] of this.reported) state = stateAfterReport(state, this.fresh, name, value);
    client.sessionState = state;
    if (this.sessionState !== undefined) this.sessionState = state;
  }

  /** The server knows only its own defaults: what the client brought at login is put there again, in front of its next transaction. */
  #settingsReset(client: ClientSession): void {
    this.#resetSeen = false;
    client.sessionState = client.sessionState.over(client.broughtState);
    this.sessionState = undefined;
  }

  #collectRow(type: number, chunk: Buffer, start: number, end: number): void {
    if (type !== Backend.dataRow || !this.owed.headIsOwn) return;
    const reader = new BodyReader(chunk, start + HEADER_SIZE, end);
    const row: (string | null)[] = [];
    for (let left = reader.int16(); left > 0; left--) {
      const length = reader.int32();
      row.push(length < 0 ? null : reader.bytes(length).toString('utf8'));
    }
    if (this.#answerRows.length < 100) this.#answerRows.push(row);
  }

  // --- after a chunk -------------------------------------------------------------------------------------------------------

  #afterReplies(client: ClientSession): void {
    if (this.client !== client) return;
    // First what was held behind a replay: it came before its client could know that this is the end.
    client.repliesCame();
    if (this.client === client) this.releaseIfDue();
  }

  /** Ends the link of a client in transaction mode as soon as nothing is owed to it. */
  releaseIfDue(): void {
    const client = this.client;
    if (client === undefined || !this.#isDue) return;
    if (this.#lastWords !== undefined) {
      this.unlink();
      client.released();
      this.owner.doubted(this, `idle server: ${this.#lastWords}`);
    } else if (this.owed.doubtful) this.#sendFence();
    else this.owner.finished(this);
  }

  get #isDue(): boolean {
    if (!this.owed.settled || this.status !== TransactionStatus.idle) return false;
    return this.client?.releasesAtIdle === true && !this.client.midMessage;
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
      if (this.#answerError !== undefined)
        this.owner.doubted(this, `idle server: ${this.#answerError.message}`);
      else if (this.owed.doubtful) this.owner.doubted(this, 'idle server got dirty');
      return;
    }
    if (this.#settled === undefined || !this.owed.settled) return;
    if (this.owed.doubtful) {
      this.#sendFence();
      return;
    }
    const done = this.#settled;
    this.#settled = undefined;
    done({ error: this.#answerError, rows: this.#answerRows });
  }
}

const isAsynchronous = (type: number): boolean =>
  type === Backend.noticeResponse ||
  type === Backend.notificationResponse ||
  type === Backend.parameterStatus;
