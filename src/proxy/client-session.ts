/**
 * One client from its greeting on: decides for each of its messages whether it needs a server, and forwards it.
 *
 *     idle ── a message that needs a server ──▶ linked ── nothing owed, no transaction ──▶ idle   (transaction mode)
 *                     └─ none free ─▶ waiting ─▶ linked
 *
 * What arrives while it waits is kept, up to max_waiting_bytes; beyond that the socket is not read.
 */
// As in base/clock.ts: each query asks for the time.
import { performance } from 'node:perf_hooks';
import { ClientError } from '../protocol/errors.ts';
import { errorResponse, noticeResponse } from '../protocol/backend.ts';
import { type ErrorFields, fatalFrom } from '../protocol/error-fields.ts';
import { type FrameVisitor, FrameScanner, Verdict } from '../protocol/frame-scanner.ts';
import { Frontend, HEADER_SIZE } from '../protocol/message-types.ts';
import { SqlState } from '../protocol/sql-state.ts';
import type { Connection, ConnectionOwner } from '../net/connection.ts';
import type { DatabaseStats } from '../observability/counters.ts';
import type { ClientDisconnectReason } from '../observability/reasons.ts';
import type { ClientDescription, Waiting } from '../pool/port.ts';
import type { InternedMap } from '../session/interned-map.ts';
import { mayHideTemporary, type Pin } from '../session/pins.ts';
import type { SessionState } from '../session/replay.ts';
import { changesParsing, parseContextOf } from '../session/parse-context.ts';
import { HintScanner, hintsOfWhole, noHints, opaqueHints } from '../sql/hints.ts';
import { ClientStatements, MAX_NAMES, type Sending } from './client-statements.ts';
import { HeldBytes } from './held-bytes.ts';
import { Outbox } from './outbox.ts';
import { flushBytes } from './own-messages.ts';
import { Owed } from './owed-replies.ts';
import type { ClientLimits } from './pool-rules.ts';
import type { PoolUser } from './pool-user.ts';
import type { SessionPolicy } from './pool-tracking.ts';
import type { ProxyPool } from './proxy-pool.ts';
import { MAX_OWED, type ServerSession } from './server-session.ts';

/** Messages of the extended protocol that are rewritten are held up to this size until they are whole. */
const MAX_GATHERED = 1_048_576;
/** The same for those that are small, or are streamed. It is more than the SQL may have that drops a statement of the client's. */
const MAX_GATHERED_QUERY = 2048;

/** Who hears of a client's end. */
export interface ClientOwner {
  left(client: ClientSession, reason: ClientDisconnectReason, detail: string | undefined): void;
}

export interface ClientSessionOptions {
  readonly id: number;
  readonly connection: Connection;
  readonly owner: ClientOwner;
  readonly pool: ProxyPool;
  readonly user: string;
  readonly limits: () => ClientLimits;
  readonly sessionState: SessionState;
  readonly told: InternedMap;
  readonly maxPacketSize: number;
}

/** Why a client is not read. */
const Pause = { server: 1, waiting: 2, owed: 4 } as const;

export class ClientSession implements ConnectionOwner, FrameVisitor, PoolUser {
  readonly id: number;
  readonly connection: Connection;
  readonly pool: ProxyPool;
  readonly user: string;
  readonly connectedAt = Date.now();
  readonly out: Outbox;
  readonly statements: ClientStatements;
  readonly stats: DatabaseStats;

  // PooledClient: the pool's.
  waiting: Waiting | undefined;
  lastServerId = 0;

  /** What it has brought at login. */
  readonly broughtState: SessionState;
  /** What it has set. */
  sessionState: SessionState;
  /** What keeps it on its server in transaction mode. */
  pin: Pin | undefined;
  /** It relies on currval or lastval from one transaction to another. */
  readsSequences = false;
  /** The reports that it got. */
  told: InternedMap;
  server: ServerSession | undefined;
  /** Monotonic ms; 0 = none running. */
  queryStartedAt = 0;
  transactionStartedAt = 0;
  /** When the last message that needs a server came; monotonic ms. */
  activeAt = performance.now();
  /** When it asked for a server; wall clock, ms. */
  requestedAt = Date.now();
  /** Closes after its transaction: the pooler is being drained. */
  leaving: ClientError | undefined;

  readonly #owner: ClientOwner;
  readonly #limits: () => ClientLimits;
  readonly #scanner: FrameScanner;
  /** Bytes that came and must wait: for a server, or for the end of a replay. */
  readonly #held = new HeldBytes();
  /** A Sync or Query went out behind a replay: nothing may follow before the replay is through. */
  #behindReplay = false;
  /** Reads the text of the Query that is being streamed. */
  #streamedText: HintScanner | undefined;
  /** What came is about statements that earlier batches may yet change: it goes out when those are answered. */
  #behindBatches = false;
  #terminated = false;
  #ended = false;
  #paused = 0;

  constructor(options: ClientSessionOptions) {
    this.id = options.id;
    this.connection = options.connection;
    this.pool = options.pool;
    this.user = options.user;
    this.broughtState = options.sessionState;
    this.sessionState = options.sessionState;
    this.told = options.told;
    this.stats = options.pool.stats;
    this.out = new Outbox(options.connection);
    this.statements = new ClientStatements(this);
    this.#owner = options.owner;
    this.#limits = options.limits;
    this.#scanner = new FrameScanner(this, options.maxPacketSize);
  }

  /** Takes over the connection; `rest` is what came behind the login. */
  begin(rest: Buffer): void {
    this.connection.owner = this;
    this.connection.enterRelay('client');
    if (rest.length > 0) this.received(Buffer.from(rest));
  }

  get applicationName(): string {
    return this.told.get('application_name') ?? '';
  }

  get waitTimeout(): number {
    return this.#limits().queryWaitTimeout;
  }

  get limits(): ClientLimits {
    return this.#limits();
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** In session mode a server is kept until the client leaves, and while something pins it. */
  get releasesAtIdle(): boolean {
    return this.pin === undefined && this.pool.mode === 'transaction';
  }

  /** What becomes of its session state; "off" in session mode, where its server has it. */
  get policy(): SessionPolicy {
    return this.pool.policy;
  }

  /** Its server is asked what it has set. */
  get isTracked(): boolean {
    return this.pool.policy !== 'off';
  }

  /** What counts of its settings when a statement is parsed; undefined while it is not known for sure. */
  get parseContext(): InternedMap | undefined {
    if (this.server !== undefined && changesParsing(this.server.settling.suspicion)) return undefined;
    return parseContextOf(this.sessionState);
  }

  /** It may have objects that nobody else sees, so that what is parsed for it is for nobody else. */
  get privateStatements(): boolean {
    if (this.pin?.reasons.some(mayHideTemporary) === true) return true;
    return this.server?.settling.suspicion.ofPins === true;
  }

  /** Part of a message has gone to the server and the rest has not come. */
  get midMessage(): boolean {
    return this.#scanner.streaming;
  }

  /** Nothing runs, and no transaction is open. */
  get isIdle(): boolean {
    return this.queryStartedAt === 0 && this.transactionStartedAt === 0;
  }

  describe(): ClientDescription {
    return {
      since: this.isIdle ? this.activeAt : this.transactionStartedAt,
      applicationName: this.applicationName,
      pinnedBy: this.pin?.reasons.join(', '),
    };
  }

  // --- ConnectionOwner ---------------------------------------------------------------------------------------------------

  received(chunk: Buffer): boolean {
    // Who does not read what it is told is not asked for more: the answers would have to be kept.
    const unread = this.connection.congested;
    const behind = this.#isBlocked() || this.#isBehindBatches();
    if (unread || this.waiting !== undefined || (behind && this.#held.size > 0)) {
      this.#hold(chunk, 0);
      return true;
    }
    if (this.#held.size === 0) return this.#scan(chunk);
    // The beginning of a message whose names had not all come.
    this.#hold(chunk, 0);
    this.#resumeHeld();
    return true;
  }

  drained(): void {
    this.server?.connection?.resume();
    if (this.waiting === undefined && !this.#isBlocked() && !this.#isBehindBatches()) this.#resumeHeld();
  }

  closed(error: Error | undefined): void {
    if (this.#terminated) this.#end('client_close_request', undefined);
    else if (error === undefined) this.#end('client_unexpected_eof', undefined);
    else this.#end('connection_error', error.message);
  }

  // --- FrameVisitor --------------------------------------------------------------------------------------------------------

  frame(type: number, chunk: Buffer, start: number, end: number): Verdict {
    if (this.#ended) return Verdict.stopAfter;
    switch (type) {
      case Frontend.terminate:
        this.#terminated = true;
        return Verdict.stopAfter;
      case Frontend.copyData:
      case Frontend.copyDone:
      case Frontend.copyFail:
      case Frontend.flush:
        // The server would answer it with an error that answers no message.
        if (type === Frontend.flush && end - start > HEADER_SIZE)
          throw new ClientError('invalid message format');
        if (this.#isBlocked()) return Verdict.stopBefore;
        // Late data of a copy that failed: the server would drop it too.
        if (this.server === undefined) return Verdict.next;
        if (type !== Frontend.copyData && type !== Frontend.flush) this.server.owed.push(Owed.copyEnd);
        this.server.out.forward(chunk, start, end);
        return Verdict.next;
      default:
        break;
    }
    const server = this.#serverFor(type);
    if (server === undefined) return this.#withoutServer();
    switch (type) {
      case Frontend.query:
        if (!this.#query(server, chunk, start, end)) return Verdict.stopBefore;
        break;
      case Frontend.sync:
        server.owed.push(Owed.sync);
        server.out.forward(chunk, start, end);
        break;
      case Frontend.functionCall:
        if (this.isTracked) server.settling.note(opaqueHints);
        server.owed.push(Owed.functionCall);
        server.out.forward(chunk, start, end);
        break;
      case Frontend.execute:
        return this.#sent(this.statements.execute(server, chunk, start, end))
          ? Verdict.next
          : Verdict.stopBefore;
      case Frontend.parse:
        return this.#sent(this.statements.parse(server, chunk, start, end, this.#preparedLimit()))
          ? Verdict.next
          : Verdict.stopBefore;
      default:
        return this.#sent(this.statements.refer(server, type, chunk, start, end, this.#preparedLimit()))
          ? Verdict.next
          : Verdict.stopBefore;
    }
    if (server.replaying) this.#behindReplay = true;
    return Verdict.next;
  }

  gathers(type: number, size: number): boolean {
    switch (type) {
      case Frontend.parse:
      case Frontend.bind:
      case Frontend.describe:
      case Frontend.close:
        return size <= MAX_GATHERED;
      case Frontend.query:
      case Frontend.execute:
      case Frontend.sync:
      case Frontend.terminate:
      case Frontend.flush:
      case Frontend.copyDone:
        return size <= MAX_GATHERED_QUERY;
      default:
        return false;
    }
  }

  head(type: number, size: number, chunk: Buffer, start: number, end: number): Verdict {
    if (type === Frontend.query) return this.#queryHead(chunk, start, end);
    if (type === Frontend.functionCall || type === Frontend.execute || type === Frontend.copyData) {
      return this.frame(type, chunk, start, end);
    }
    if (type === Frontend.copyFail) return this.frame(type, chunk, start, end);
    if (type !== Frontend.parse && type !== Frontend.bind) throw unknownPacket(type);
    // Larger than what is held: forwarded as it comes, so only without a name that would have to be rewritten.
    const server = this.#serverFor(type);
    if (server === undefined) return this.#withoutServer();
    return this.#sent(this.statements.stream(server, type, size, chunk, start, end, this.#preparedLimit()))
      ? Verdict.next
      : Verdict.stopBefore;
  }

  part(chunk: Buffer, start: number, end: number, last: boolean): void {
    const { server } = this;
    if (server === undefined) return;
    this.statements.part(server, chunk, start, end, last);
    if (this.#streamedText === undefined) return;
    this.#streamedText.feed(chunk, start, last ? end - 1 : end);
    if (!last) return;
    server.settling.note(this.#streamedText.finish());
    this.#streamedText = undefined;
  }

  /** Sends a whole Query. False: it stays for later. */
  #query(server: ServerSession, chunk: Buffer, start: number, end: number): boolean {
    const { settling } = server;
    const hints = this.isTracked
      ? hintsOfWhole(chunk, start + HEADER_SIZE, end - 1, settling.lexing(this))
      : noHints;
    if (settling.mustKnowFirst(hints)) return this.#sent('waits');
    settling.prepareFor(this, hints);
    if (!this.#sent(this.statements.query(server, chunk, start, end, hints))) return false;
    settling.note(hints);
    return true;
  }

  /** A Query that is larger than what came of it: read as it passes by. */
  #queryHead(chunk: Buffer, start: number, end: number): Verdict {
    const server = this.#serverFor(Frontend.query);
    if (server === undefined) return this.#withoutServer();
    if (!this.#sent(this.statements.query(server, chunk, start, end, noHints))) return Verdict.stopBefore;
    if (server.replaying) this.#behindReplay = true;
    if (!this.isTracked) return Verdict.next;
    this.#streamedText = new HintScanner(server.settling.lexing(this));
    this.#streamedText.feed(chunk, start + HEADER_SIZE, end);
    return Verdict.next;
  }

  // --- PoolUser --------------------------------------------------------------------------------------------------------------

  granted(server: ServerSession): void {
    this.stats.countAssignment(performance.now() - this.queryStartedAt);
    this.#attach(server);
    this.#resumeHeld();
  }

  refused(error: ClientError): void {
    this.fail(
      error,
      error.sqlState === SqlState.tooManyConnections ? 'query_wait_timeout' : 'server_unavailable',
    );
  }

  waitingLong(): void {
    this.connection.write(
      noticeResponse('No server connection available in postgres backend, client being queued'),
    );
  }

  // --- what its server says ----------------------------------------------------------------------------------------------------

  /** The link is over; the server belongs to the pool again. */
  released(): void {
    this.server = undefined;
    this.#behindReplay = false;
    this.#behindBatches = false;
    this.#resume(Pause.server | Pause.owed);
    if (this.leaving !== undefined) this.fail(this.leaving, 'shutdown');
  }

  /** What it leaves on its server is known, and nothing but its own messages keeps them waiting. */
  settled(): void {
    if (this.#held.size > 0 && !this.connection.congested) this.#resumeHeld();
  }

  /** Replies came and the link goes on. */
  repliesCame(): void {
    const server = this.server;
    if (server === undefined) return;
    if ((this.#paused & Pause.owed) !== 0 && server.owed.size < MAX_OWED / 2) {
      this.#resume(Pause.owed);
      if (!this.connection.congested) this.#resumeHeld();
    }
    if (this.#behindReplay && !server.replaying) {
      this.#behindReplay = false;
      this.#resumeHeld();
    } else if (this.#behindBatches && !this.#isBehindBatches() && !this.connection.congested) {
      this.#resumeHeld();
    }
  }

  serverDrained(): void {
    this.#resume(Pause.server);
  }

  /** All that it asked for has been answered. */
  queryEnded(transactionEnded: boolean): void {
    const now = performance.now();
    if (this.queryStartedAt > 0) this.stats.countQueryEnd(now - this.queryStartedAt);
    this.queryStartedAt = 0;
    this.activeAt = now;
    if (!transactionEnded) return;
    if (this.transactionStartedAt > 0) this.stats.countTransactionEnd(now - this.transactionStartedAt);
    this.transactionStartedAt = 0;
  }

  countSent(bytes: number): void {
    this.stats.bytesSent += bytes;
  }

  replayFailed(fields: ErrorFields): void {
    const cause = fatalFrom(fields);
    this.fail(
      new ClientError(`cannot restore session settings: ${cause.message}`, {
        sqlState: cause.sqlState,
        detail: cause.detail,
        hint: cause.hint,
      }),
      'server_lost',
    );
  }

  /** Its server's connection is gone. */
  serverLost(told: boolean, midReply: boolean): void {
    this.server = undefined;
    this.out.finish();
    if (told || midReply) {
      this.connection.end();
      this.#end('server_lost', undefined);
      return;
    }
    this.fail(
      new ClientError('server conn crashed?', {
        sqlState: SqlState.connectionFailure,
        detail: 'The server closed the connection unexpectedly while it was in use.',
      }),
      'server_lost',
    );
  }

  /** Tells the client why, and ends its session. */
  fail(error: ClientError, reason: ClientDisconnectReason): void {
    if (this.#ended) return;
    this.out.finish();
    if (this.server?.midReply !== true) this.connection.write(errorResponse(error));
    this.connection.end();
    // What is full is made here; other details may be the server's, and hold values.
    this.#end(reason, reason === 'query_wait_timeout' ? error.detail : error.message, error);
  }

  // --- inside --------------------------------------------------------------------------------------------------------------------

  #preparedLimit(): number {
    return this.pool.mode === 'transaction' ? this.#limits().maxPreparedStatements : 0;
  }

  /** What was held for batches before it still has to wait for them. */
  #isBehindBatches(): boolean {
    this.#behindBatches &&= this.server !== undefined && this.statements.stillWaits(this.server);
    return this.#behindBatches;
  }

  /** False: it stays for later. */
  #sent(sending: Sending): boolean {
    this.#behindBatches = sending === 'waits';
    return sending === 'sent';
  }

  #scan(chunk: Buffer): boolean {
    let consumed = 0;
    try {
      consumed = this.#scanner.scan(chunk);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      this.server?.out.finish();
      this.fail(error, 'protocol_violation');
      return true;
    }
    let free = true;
    const server = this.server;
    if (server !== undefined) {
      this.stats.bytesReceived += consumed;
      free = server.out.finish();
      this.out.finish();
      if (server.congested) this.#pause(Pause.server);
    }
    if (this.#terminated) {
      this.connection.end();
      this.#end('client_close_request', undefined);
      return free;
    }
    if (this.#ended) return free;
    if (consumed < chunk.length) this.#hold(chunk, consumed);
    else if (server !== undefined && this.server === server) server.releaseIfDue();
    return free;
  }

  /** The linked server, or one that is free; undefined: nothing may be sent now. */
  #serverFor(type: number): ServerSession | undefined {
    if (!isRequest(type)) throw unknownPacket(type);
    if (this.#isBlocked()) return undefined;
    let server = this.server;
    if (server !== undefined && server.owed.size >= MAX_OWED) {
      this.#pause(Pause.owed);
      // What asks for the answers may be behind this: nothing else would make the server give them.
      server.out.insert(flushBytes);
      return undefined;
    }
    if (server !== undefined) {
      server.restoring.catchUp(this);
      if (this.queryStartedAt === 0) this.#startClocks(performance.now());
    } else {
      const now = performance.now();
      this.requestedAt = Date.now();
      const found = this.pool.acquire(this);
      if (found === undefined) {
        this.#startClocks(now);
        return undefined;
      }
      if (found instanceof ClientError) {
        this.refused(found);
        return undefined;
      }
      this.stats.countAssignment(0);
      this.#attach(found);
      this.#startClocks(now);
      server = found;
    }
    return server;
  }

  /** Statements of ours must be through before anything more goes to the server, or what it owes must be less. */
  #isBlocked(): boolean {
    if (this.#behindReplay || (this.#paused & Pause.owed) !== 0) return true;
    const settling = this.server?.settling;
    return settling?.isAsking === true && !settling.letsPass;
  }

  /** What a message meets that gets no server now: it stays for later, unless the session is over. */
  #withoutServer(): Verdict {
    return this.#ended ? Verdict.stopAfter : Verdict.stopBefore;
  }

  #startClocks(now: number): void {
    if (this.queryStartedAt === 0) {
      this.queryStartedAt = now;
      this.stats.queryCount++;
    }
    if (this.transactionStartedAt === 0) {
      this.transactionStartedAt = now;
      this.stats.xactCount++;
    }
    this.activeAt = now;
  }

  #attach(server: ServerSession): void {
    this.server = server;
    server.link(this);
  }

  #hold(chunk: Buffer, from: number): void {
    this.#held.add(chunk.subarray(from));
    // Names that have not all come wait for nothing but their rest.
    if (this.#held.size > Math.max(this.#limits().maxWaitingBytes, MAX_NAMES)) this.#pause(Pause.waiting);
  }

  #resumeHeld(): void {
    if (this.#held.size === 0) return;
    this.#resume(Pause.waiting);
    this.#scan(this.#held.take());
  }

  #pause(reason: number): void {
    this.#paused |= reason;
    this.connection.pause();
  }

  #resume(reason: number): void {
    if (this.#paused === 0) return;
    this.#paused &= ~reason;
    if (this.#paused === 0) this.connection.resume();
  }

  #end(reason: ClientDisconnectReason, detail: string | undefined, error?: ClientError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#held.take();
    const server = this.server;
    this.server = undefined;
    if (this.waiting !== undefined) this.pool.abandon(this);
    if (server !== undefined) this.pool.clientLeft(server, this, reason);
    this.#owner.left(this, reason, detail ?? error?.message);
  }
}

function isRequest(type: number): boolean {
  switch (type) {
    case Frontend.query:
    case Frontend.parse:
    case Frontend.bind:
    case Frontend.execute:
    case Frontend.describe:
    case Frontend.close:
    case Frontend.sync:
    case Frontend.functionCall:
      return true;
    default:
      return false;
  }
}

const unknownPacket = (type: number): ClientError =>
  new ClientError(`unknown pkt`, { detail: `Message type 0x${type.toString(16).padStart(2, '0')}.` });
