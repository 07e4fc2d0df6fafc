/**
 * One console: reads its messages one after another, and answers each before it looks at the next.
 *
 * While a command waits (PAUSE), or the client does not take its answers, what it sends is held back, up to a limit; that it
 * leaves is noticed at once.
 */
import type { Connection, ConnectionOwner } from '../net/connection.ts';
import type { DatabaseStats } from '../observability/counters.ts';
import type { ClientDisconnectReason } from '../observability/reasons.ts';
import {
  emptyQueryResponse,
  errorResponse,
  noticeResponse,
  readyForQuery,
  writeCommandComplete,
} from '../protocol/backend.ts';
import { BodyReader } from '../protocol/body-reader.ts';
import { ClientError } from '../protocol/errors.ts';
import { FrameScanner, type FrameVisitor, Verdict } from '../protocol/frame-scanner.ts';
import { FrameWriter } from '../protocol/frame-writer.ts';
import { Backend, Frontend, HEADER_SIZE, TransactionStatus } from '../protocol/message-types.ts';
import { type Format, writeDataRow, writeRowDescription } from '../protocol/result-set.ts';
import { SqlState } from '../protocol/sql-state.ts';
import { cancelled, canceledByUser, commandError, type Reply, type Statement } from './command.ts';
import { understand } from './commands.ts';
import { ExtendedQuery } from './extended-query.ts';
import { sentences } from './grammar.ts';
import type { ConsoleClient } from './rows/source.ts';

/** No command is nearly as long. */
const MAX_MESSAGE = 65_536;
/** What may come while a command runs; beyond it the client is not read. */
const MAX_HELD = 2 * MAX_MESSAGE;
/** Commands in one Query. */
const MAX_SENTENCES = 100;

const ready = readyForQuery(TransactionStatus.idle);
const nothing: Buffer = Buffer.alloc(0);

/** What a session asks of the console. */
export interface SessionOwner {
  readonly stats: DatabaseStats;
  /** @throws {ClientError} of severity ERROR, when it may not or cannot be done */
  run(statement: Statement, client: ConsoleClient, signal: AbortSignal): Reply | Promise<Reply>;
  /** An error has been sent. */
  failed(error: ClientError): void;
  /** Something broke that should not; the client is told no more than that. */
  broken(error: unknown, client: ConsoleClient): void;
  left(client: ConsoleSession, reason: ClientDisconnectReason, detail: string | undefined): void;
}

export interface ConsoleSessionOptions {
  readonly id: number;
  readonly connection: Connection;
  readonly owner: SessionOwner;
  readonly user: string;
  readonly applicationName: string;
}

export class ConsoleSession implements ConsoleClient, ConnectionOwner, FrameVisitor {
  readonly id: number;
  readonly connection: Connection;
  readonly user: string;
  readonly applicationName: string;
  readonly connectedAt = Date.now();
  requestedAt = Date.now();
  queryStartedAt = 0;

  readonly #owner: SessionOwner;
  readonly #scanner = new FrameScanner(this);
  readonly #extended = new ExtendedQuery();
  #held = nothing;
  #scanning = false;
  /** Of the command that is running. */
  #running: AbortController | undefined;
  /** An extended query has failed: everything up to Sync is dropped. */
  #skipping = false;
  /** Continues what waits for the client to take its answers. */
  #whenDrained: (() => void) | undefined;
  #ended = false;

  constructor(options: ConsoleSessionOptions) {
    this.id = options.id;
    this.connection = options.connection;
    this.user = options.user;
    this.applicationName = options.applicationName;
    this.#owner = options.owner;
  }

  /** Takes over the connection; `rest` is what came behind the login. */
  begin(rest: Buffer): void {
    this.connection.owner = this;
    if (rest.length > 0) this.received(rest);
  }

  /** Ends what it waits for, as a cancel request asks. */
  cancel(): boolean {
    if (this.#running === undefined) return false;
    this.#running.abort(cancelled);
    return true;
  }

  fail(error: ClientError, reason: ClientDisconnectReason): void {
    if (this.#ended) return;
    this.connection.write(errorResponse(error));
    this.#owner.failed(error);
    this.connection.end();
    this.#end(reason, error.message);
  }

  // --- ConnectionOwner -------------------------------------------------------------------------------------------------

  received(chunk: Buffer): boolean {
    this.#owner.stats.bytesReceived += chunk.length;
    this.#held = this.#held.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#held, chunk]);
    this.#scan();
    return true;
  }

  drained(): void {
    this.#whenDrained?.();
    this.#scan();
  }

  closed(error: Error | undefined): void {
    if (error === undefined) this.#end('client_unexpected_eof', undefined);
    else this.#end('connection_error', error.message);
  }

  // --- FrameVisitor ----------------------------------------------------------------------------------------------------

  frame(type: number, chunk: Buffer, start: number, end: number): Verdict {
    if (this.#ended) return Verdict.stopAfter;
    if (type === Frontend.terminate) {
      this.connection.end();
      this.#end('client_close_request', undefined);
      return Verdict.stopAfter;
    }
    if (this.#isBusy) return Verdict.stopBefore;
    if (end - start > MAX_MESSAGE) this.#refuse(type, tooLong());
    else this.#take(type, new BodyReader(chunk, start + HEADER_SIZE, end));
    return Verdict.next;
  }

  gathers(_type: number, size: number): boolean {
    return size <= MAX_MESSAGE;
  }

  /** Only of what is too long: it is dropped as it comes. */
  head(type: number): Verdict {
    if (this.#isBusy) return Verdict.stopBefore;
    this.#refuse(type, tooLong());
    return Verdict.next;
  }

  part(): void {
    // Dropped.
  }

  // --- inside ----------------------------------------------------------------------------------------------------------

  get #isBusy(): boolean {
    return this.#running !== undefined || this.connection.congested;
  }

  #scan(): void {
    if (this.#scanning || this.#ended) return;
    this.#scanning = true;
    try {
      const consumed = this.#scanner.scan(this.#held);
      this.#held = consumed < this.#held.length ? this.#held.subarray(consumed) : nothing;
    } catch (error) {
      this.#giveUp(error);
      return;
    } finally {
      this.#scanning = false;
    }
    if (this.#held.length > MAX_HELD) this.connection.pause();
    else this.connection.resume();
  }

  #take(type: number, reader: BodyReader): void {
    if (type === Frontend.sync) {
      this.#skipping = false;
      this.#extended.sync();
      this.connection.write(ready);
      return;
    }
    if (this.#skipping || type === Frontend.flush) return;
    switch (type) {
      case Frontend.query:
        this.#work((signal) => this.#query(reader.cstring(), signal), true);
        break;
      case Frontend.execute:
        this.#work((signal) => this.#execute(reader, signal), false);
        break;
      case Frontend.parse:
      case Frontend.bind:
      case Frontend.describe:
      case Frontend.close:
        this.#prepare(type, reader);
        break;
      default:
        this.#refuse(
          type,
          commandError(`unsupported packet type for admin console: ${type}`, SqlState.protocolViolation),
        );
    }
  }

  /** The error to a message that is not carried out. */
  #refuse(type: number, error: ClientError): void {
    this.#tell(error);
    if (isExtended(type)) this.#skipping = true;
    else this.connection.write(ready);
  }

  #prepare(type: number, reader: BodyReader): void {
    try {
      this.connection.write(this.#extended.answer(type, reader));
    } catch (error) {
      // A message that is malformed is FATAL; a command that is none is not.
      if (!(error instanceof ClientError) || error.severity === 'FATAL') throw error;
      this.#refuse(type, error);
    }
  }

  /** Runs something during which no further message is looked at. */
  #work(job: (signal: AbortSignal) => Promise<void>, simple: boolean): void {
    const running = new AbortController();
    this.#running = running;
    this.requestedAt = Date.now();
    this.queryStartedAt = performance.now();
    // To PgBouncer each is a transaction of its own.
    this.#owner.stats.queryCount++;
    this.#owner.stats.xactCount++;
    // Every outcome is told to the client.
    void this.#carryOut(job(running.signal), simple);
  }

  async #carryOut(job: Promise<void>, simple: boolean): Promise<void> {
    let failure: unknown;
    try {
      await job;
    } catch (error) {
      failure = error;
    }
    this.#running = undefined;
    this.queryStartedAt = 0;
    if (this.#ended) return;
    if (failure instanceof ClientError && failure.severity === 'ERROR') {
      this.#tell(failure);
      this.#skipping = !simple;
    } else if (failure !== undefined) {
      this.#giveUp(failure);
      return;
    }
    if (simple) this.connection.write(ready);
    this.#scan();
  }

  async #query(sql: string, signal: AbortSignal): Promise<void> {
    const found = sentences(sql);
    if (found.length === 0) this.connection.write(emptyQueryResponse);
    if (found.length > MAX_SENTENCES) {
      throw commandError('too many commands at once', SqlState.programLimitExceeded);
    }
    for (const sentence of found) {
      const statement = understand(sentence);
      const reply = await this.#owner.run(statement, this, signal);
      const writer = new FrameWriter();
      if (statement.columns !== undefined) writeRowDescription(writer, statement.columns);
      this.#writeRows(writer, statement, reply, []);
      writeCommandComplete(writer, reply.tag);
      this.#send(reply, writer);
      await this.#taken(signal);
    }
  }

  async #execute(reader: BodyReader, signal: AbortSignal): Promise<void> {
    const { portal, maxRows } = this.#extended.execute(reader);
    const { statement, formats } = portal;
    if (statement === undefined) {
      this.connection.write(emptyQueryResponse);
      return;
    }
    const first = portal.reply === undefined;
    const reply = (portal.reply ??= await this.#owner.run(statement, this, signal));
    const rows = reply.rows ?? [];
    const until = maxRows === 0 ? rows.length : Math.min(portal.sent + maxRows, rows.length);
    const writer = new FrameWriter();
    this.#writeRows(writer, statement, { ...reply, rows: rows.slice(portal.sent, until) }, formats);
    portal.sent = until;
    if (until < rows.length) writer.begin(Backend.portalSuspended).end();
    else writeCommandComplete(writer, reply.tag);
    this.#send(first ? reply : { tag: reply.tag }, writer);
  }

  #writeRows(writer: FrameWriter, statement: Statement, reply: Reply, formats: readonly Format[]): void {
    const { columns } = statement;
    if (columns === undefined) return;
    for (const row of reply.rows ?? []) writeDataRow(writer, columns, row, formats);
  }

  #send({ notice }: Reply, writer: FrameWriter): void {
    if (notice !== undefined) this.connection.write(noticeResponse(notice.message, notice.detail));
    const bytes = writer.take();
    this.#owner.stats.bytesSent += bytes.length;
    this.connection.write(bytes);
  }

  /** Resolves when the client has taken what was sent. @throws {ClientError} when it is cancelled or gone meanwhile */
  async #taken(signal: AbortSignal): Promise<void> {
    if (!this.connection.congested) return;
    await new Promise<void>((resolve) => {
      this.#whenDrained = resolve;
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    this.#whenDrained = undefined;
    if (signal.aborted) throw canceledByUser();
  }

  #tell(error: ClientError): void {
    this.#owner.failed(error);
    this.connection.write(errorResponse(error));
  }

  /** Ends the session over a message that cannot be read, or a bug of ours. */
  #giveUp(error: unknown): void {
    if (error instanceof ClientError) {
      this.fail(error, 'protocol_violation');
      return;
    }
    this.#owner.broken(error, this);
    this.fail(new ClientError('internal error', { sqlState: SqlState.internalError }), 'internal_error');
  }

  #end(reason: ClientDisconnectReason, detail: string | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#held = nothing;
    this.#running?.abort();
    this.#owner.left(this, reason, detail);
  }
}

function isExtended(type: number): boolean {
  switch (type) {
    case Frontend.parse:
    case Frontend.bind:
    case Frontend.describe:
    case Frontend.execute:
    case Frontend.close:
      return true;
    default:
      return false;
  }
}

const tooLong = (): ClientError =>
  commandError('command is too long', SqlState.programLimitExceeded, {
    detail: `A message to the console may have ${MAX_MESSAGE} bytes.`,
  });
