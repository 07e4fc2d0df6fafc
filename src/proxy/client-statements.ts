/**
 * The prepared statements of one client: its names stand for shared statements, which are prepared on whatever server it
 * meets. Parse, Bind, Describe and Close are rewritten on the way; everything else passes untouched.
 */
import { BodyReader } from '../protocol/body-reader.ts';
import { ClientError } from '../protocol/errors.ts';
import type { ErrorFields } from '../protocol/error-fields.ts';
import { FrameWriter } from '../protocol/frame-writer.ts';
import { writeClose } from '../protocol/frontend.ts';
import { Backend, Frontend, HEADER_SIZE, TransactionStatus } from '../protocol/message-types.ts';
import { SqlState } from '../protocol/sql-state.ts';
import {
  type Change,
  ForgetAll,
  forgetsAll,
  internStatement,
  type PreparedStatement,
  STATEMENT_PREFIX,
  StatementChange,
  statementKey,
  type StatementNames,
} from '../session/prepared-statements.ts';
import { hintsOf, noHints, opaqueHints, type StatementHints } from '../sql/hints.ts';
import type { ClientSession } from './client-session.ts';
import { Owed, OWN } from './owed-replies.ts';
import type { ServerSession } from './server-session.ts';

/** Portal and statement names together; PostgreSQL itself looks at 63 bytes of each. */
const MAX_NAMES = 16_384;
const STATEMENT = 0x53; // S, as opposed to P for a portal
/** Errors whose text names a statement. */
const namingErrors: ReadonlySet<string> = new Set([
  SqlState.protocolViolation,
  SqlState.undefinedStatement,
  SqlState.duplicateStatement,
]);

export class ClientStatements {
  readonly #client: ClientSession;
  #named: StatementNames | undefined;
  /** The definition of the unnamed statement. */
  #unnamed: Buffer | undefined;
  #unnamedHints = noHints;
  /** What was bound last drops every statement when it is executed. */
  #boundForgetsAll = false;

  constructor(client: ClientSession) {
    this.#client = client;
  }

  get size(): number {
    return this.#named?.size ?? 0;
  }

  /** Every statement is gone (DISCARD ALL). */
  forget(): void {
    this.#named?.clear();
  }

  /** A simple query with the text at `textAt` is on its way, which destroys the unnamed statement. What else it changes, if anything. */
  queried(server: ServerSession, chunk: Buffer, textAt: number): Change | undefined {
    this.#unnamed = undefined;
    server.unnamedOwner = undefined;
    return forgetsAll(chunk, textAt) ? new ForgetAll(server.statements, this.#named) : undefined;
  }

  /** An Execute is on its way. What it changes, if anything. */
  executed(server: ServerSession): Change | undefined {
    return this.#boundForgetsAll ? new ForgetAll(server.statements, this.#named) : undefined;
  }

  /** Sends Parse, which has to be whole: `chunk` from `start` to `end`. `limit` is max_prepared_statements, 0 = untouched. */
  parse(server: ServerSession, chunk: Buffer, start: number, end: number, limit: number): void {
    const body = new BodyReader(chunk, start + HEADER_SIZE, end);
    const name = body.cstringBytes();
    const definition = chunk.subarray(body.offset, end);
    if (name.length === 0) {
      this.#unnamed = Buffer.from(definition);
      this.#unnamedHints = this.#hintsOf(server, definition);
      server.unnamedOwner = this.#client;
    }
    if (name.length === 0 || limit === 0) {
      server.owed.push(Owed.parse, name.length === 0 ? server.unnamedChange : undefined);
      server.out.forward(chunk, start, end);
      return;
    }
    this.#client.stats.clientParseCount++;
    const key = statementKey(name);
    const names: StatementNames = (this.#named ??= new Map());
    const duplicate = names.get(key);
    if (duplicate !== undefined) {
      // The server says so itself, because there it is taken too.
      this.#prepare(server, duplicate, limit);
      server.owed.push(Owed.parse, key);
      server.out.insert(parseBytes(duplicate));
      return;
    }
    const statement = internStatement(definition);
    if (server.statements.use(statement)) {
      if (!mayFail(server) && !server.statements.isUncertain(statement, server.owed.batch)) {
        server.owed.push(Owed.injectedParse, new StatementChange({ statement, there: true, names, key }));
        server.injectDue();
        return;
      }
      this.#closeOn(server, statement);
    }
    const change = new StatementChange({ statement, there: true, server: server.statements, names, key });
    server.owed.push(Owed.parse, change);
    server.statements.sent(statement, server.owed.batch);
    server.out.insert(parseBytes(statement));
    this.#added(server, limit);
  }

  /** Sends Bind, Describe or Close. `type` is its type byte. */
  refer(server: ServerSession, type: number, chunk: Buffer, start: number, end: number, limit: number): void {
    const entry =
      type === Frontend.bind ? Owed.bind : type === Frontend.describe ? Owed.describe : Owed.close;
    const body = new BodyReader(chunk, start + HEADER_SIZE, end);
    let isStatement = true;
    if (type === Frontend.bind) body.cstringBytes();
    else isStatement = body.uint8() === STATEMENT;
    const nameAt = body.offset;
    const name = body.cstringBytes();
    if (isStatement && name.length === 0) this.#unnamedReferred(server, type);
    const names = this.#named;
    const key = isStatement && name.length > 0 ? statementKey(name) : '';
    const statement = names?.get(key);
    if (type === Frontend.bind) {
      this.#bound(name.length === 0 ? this.#unnamed : statement?.definition);
      this.#expect(server, name.length === 0, statement);
    }
    if (statement === undefined || names === undefined) {
      server.owed.push(entry);
      server.out.forward(chunk, start, end);
      return;
    }
    if (type === Frontend.close) {
      const change = new StatementChange({ statement, there: false, names, key });
      if (server.owed.doubtful) {
        // The order of replies is the server's then: closing what it does not have is answered like anything else.
        server.owed.push(entry, change);
        server.out.forward(chunk, start, end);
        return;
      }
      server.owed.push(Owed.injectedClose, change);
      server.injectDue();
      return;
    }
    if (type === Frontend.bind) this.#client.stats.bindCount++;
    this.#prepare(server, statement, limit);
    server.owed.push(entry, key);
    server.out.insert(withName(chunk, start, end, nameAt, body.offset, statement.name));
  }

  /**
   * Begins a Parse or Bind of `size` bytes that is too large to be held: what came of it is `chunk` from `start` to `end`. False while
   * its names have not come.
   */
  stream(
    server: ServerSession,
    type: number,
    size: number,
    chunk: Buffer,
    start: number,
    end: number,
    limit: number,
  ): boolean {
    const nameAt = type === Frontend.bind ? chunk.indexOf(0, start + HEADER_SIZE) + 1 : start + HEADER_SIZE;
    const nameEnd = nameAt > 0 ? chunk.indexOf(0, nameAt) + 1 : 0;
    if (nameAt === 0 || nameEnd === 0 || nameEnd > end) {
      if (end - start > MAX_NAMES) throw new ClientError('invalid message format: name is too long');
      return false;
    }
    const name = chunk.subarray(nameAt, nameEnd - 1);
    if (type === Frontend.parse) {
      if (name.length > 0 && limit > 0) {
        throw new ClientError('named prepared statement is too large to be shared', {
          sqlState: SqlState.programLimitExceeded,
          detail: `Its definition has ${size} bytes.`,
          hint: 'Use the unnamed statement, or session pooling.',
        });
      }
      this.#unnamed = undefined;
      this.#unnamedHints = opaqueHints;
      server.unnamedOwner = this.#client;
      server.owed.push(Owed.parse, name.length === 0 ? server.unnamedChange : undefined);
      server.out.forward(chunk, start, end);
      return true;
    }
    if (name.length === 0) this.#unnamedReferred(server, type);
    const key = statementKey(name);
    const statement = this.#named?.get(key);
    this.#expect(server, name.length === 0, statement);
    this.#boundForgetsAll = false;
    if (statement === undefined) {
      server.owed.push(Owed.bind);
      server.out.forward(chunk, start, end);
      return true;
    }
    this.#client.stats.bindCount++;
    this.#prepare(server, statement, limit);
    server.owed.push(Owed.bind, key);
    const head = new FrameWriter()
      .begin(type)
      .bytes(chunk.subarray(start + HEADER_SIZE, nameAt))
      .cstring(statement.name)
      .end()
      .take();
    head.writeInt32BE(size - 1 + statement.name.length - name.length, 1);
    server.out.insert(head);
    server.out.forward(chunk, nameEnd, end);
    return true;
  }

  #hintsOf(server: ServerSession, definition: Buffer): StatementHints {
    if (!this.#client.isTracked) return noHints;
    return hintsOf(definition, 0, definition.indexOf(0), server.settling.lexing(this.#client));
  }

  /** A statement is bound, and so about to be run. */
  #expect(server: ServerSession, isUnnamed: boolean, statement: PreparedStatement | undefined): void {
    if (!this.#client.isTracked) return;
    if (isUnnamed) server.settling.expect(this.#client, this.#unnamedHints);
    else if (statement !== undefined)
      server.settling.expect(this.#client, this.#hintsOf(server, statement.definition));
  }

  #bound(definition: Buffer | undefined): void {
    this.#boundForgetsAll = definition !== undefined && forgetsAll(definition, 0);
  }

  /** Has the server prepare a statement that it lacks, in the client's name. */
  #prepare(server: ServerSession, statement: PreparedStatement, limit: number): void {
    const { statements } = server;
    if (statements.use(statement)) return;
    server.owed.push(Owed.parse | OWN, new StatementChange({ statement, there: true, server: statements }));
    statements.sent(statement, server.owed.batch);
    server.out.insert(parseBytes(statement));
    this.#added(server, limit);
  }

  #added(server: ServerSession, limit: number): void {
    this.#client.stats.serverParseCount++;
    for (;;) {
      const surplus = server.statements.surplus(Math.max(limit, 1));
      if (surplus === undefined) return;
      this.#closeOn(server, surplus);
    }
  }

  #closeOn(server: ServerSession, statement: PreparedStatement): void {
    const writer = new FrameWriter();
    writeClose(writer, 'S', statement.name);
    const change = new StatementChange({ statement, there: false, server: server.statements });
    server.owed.push(Owed.close | OWN, change);
    server.out.insert(writer.take());
  }

  /** The unnamed statement belongs to a client, whatever server it is on: it is prepared again, or not there. */
  #unnamedReferred(server: ServerSession, type: number): void {
    if (type === Frontend.close) {
      this.#unnamed = undefined;
      server.unnamedOwner = undefined;
      return;
    }
    if (server.unnamedOwner === this.#client) return;
    server.unnamedOwner = this.#client;
    const writer = new FrameWriter();
    if (this.#unnamed === undefined) {
      writeClose(writer, 'S', '');
      server.owed.push(Owed.close | OWN, server.unnamedChange);
    } else {
      writer.begin(Frontend.parse).cstring('').bytes(this.#unnamed).end();
      server.owed.push(Owed.parse | OWN, server.unnamedChange);
    }
    server.out.insert(writer.take());
  }
}

/** A Parse may be refused, so that only the server can answer it. */
const mayFail = ({ owed, status }: ServerSession): boolean =>
  status === TransactionStatus.failed || owed.skipping || owed.doubtful;

const parseBytes = (statement: PreparedStatement): Buffer =>
  new FrameWriter().begin(Frontend.parse).cstring(statement.name).bytes(statement.definition).end().take();

/** The frame with other bytes where the name from `nameAt` to `nameEnd` (its zero included) is. */
function withName(
  chunk: Buffer,
  start: number,
  end: number,
  nameAt: number,
  nameEnd: number,
  name: string,
): Buffer {
  return new FrameWriter()
    .begin(chunk.readUInt8(start))
    .bytes(chunk.subarray(start + HEADER_SIZE, nameAt))
    .cstring(name)
    .bytes(chunk.subarray(nameEnd, end))
    .end()
    .take();
}

/** An error that names a statement of ours, with `name` (a statement's key) instead; undefined if it names none. */
export function withNameRestored(
  chunk: Buffer,
  start: number,
  end: number,
  { sqlState, message }: ErrorFields,
  name: string,
): Buffer | undefined {
  if (!namingErrors.has(sqlState)) return undefined;
  const found = ourName.exec(message)?.[1];
  if (found === undefined) return undefined;
  const body = chunk.subarray(start + HEADER_SIZE, end);
  const at = body.indexOf(found, 0, 'latin1');
  return new FrameWriter()
    .begin(Backend.errorResponse)
    .bytes(body.subarray(0, at))
    .bytes(Buffer.from(name, 'latin1'))
    .bytes(body.subarray(at + found.length))
    .end()
    .take();
}
const ourName = new RegExp(`"(${STATEMENT_PREFIX}\\d+)"`);
