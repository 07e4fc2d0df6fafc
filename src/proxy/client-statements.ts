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
  type PreparedStatement,
  internStatement,
  STATEMENT_PREFIX,
  statementKey,
} from '../session/prepared-statements.ts';
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
  #named: Map<string, PreparedStatement> | undefined;
  /** The definition of the unnamed statement. */
  #unnamed: Buffer | undefined;

  constructor(client: ClientSession) {
    this.#client = client;
  }

  get size(): number {
    return this.#named?.size ?? 0;
  }

  forget(): void {
    this.#named = undefined;
  }

  /** A simple query is on its way, which destroys the unnamed statement. */
  queried(server: ServerSession): void {
    this.#unnamed = undefined;
    server.unnamedOwner = undefined;
  }

  /** The server refused to prepare it, so that the client's names for it stand for nothing. */
  parseFailed(statement: PreparedStatement): void {
    if (this.#named === undefined) return;
    for (const [name, other] of this.#named) if (other === statement) this.#named.delete(name);
  }

  /** Sends Parse, which has to be whole: `chunk` from `start` to `end`. `limit` is max_prepared_statements, 0 = untouched. */
  parse(server: ServerSession, chunk: Buffer, start: number, end: number, limit: number): void {
    const body = new BodyReader(chunk, start + HEADER_SIZE, end);
    const name = body.cstringBytes();
    const definition = chunk.subarray(body.offset, end);
    if (name.length === 0) {
      this.#unnamed = Buffer.from(definition);
      server.unnamedOwner = this.#client;
    }
    if (name.length === 0 || limit === 0) {
      server.owed.push(Owed.parse);
      server.out.forward(chunk, start, end);
      return;
    }
    this.#client.stats.clientParseCount++;
    const key = statementKey(name);
    const duplicate = this.#named?.get(key);
    const statement = duplicate ?? internStatement(definition);
    if (duplicate !== undefined) this.#prepare(server, duplicate, limit);
    else if (
      server.status !== TransactionStatus.failed &&
      !server.owed.skipping &&
      !server.owed.doubtful &&
      server.statements.use(statement)
    ) {
      (this.#named ??= new Map()).set(key, statement);
      server.owed.push(Owed.injectedParse);
      server.injectDue();
      return;
    }
    // A name that is taken: the server says so itself, because there it is taken too.
    server.owed.push(Owed.parse, duplicate === undefined ? statement : undefined);
    server.out.insert(parseBytes(statement));
    if (duplicate !== undefined) return;
    (this.#named ??= new Map()).set(key, statement);
    this.#added(server, statement, limit);
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
    const statement = isStatement && name.length > 0 ? this.#named?.get(statementKey(name)) : undefined;
    if (statement === undefined) {
      server.owed.push(entry);
      server.out.forward(chunk, start, end);
      return;
    }
    if (type === Frontend.close && !server.owed.doubtful) {
      this.#named?.delete(statementKey(name));
      server.owed.push(Owed.injectedClose);
      server.injectDue();
      return;
    }
    if (type === Frontend.close) {
      // In doubt the order of replies is the server's: closing what it does not have is answered like anything else.
      this.#named?.delete(statementKey(name));
      server.owed.push(entry);
      server.out.forward(chunk, start, end);
      return;
    }
    if (type === Frontend.bind) this.#client.stats.bindCount++;
    this.#prepare(server, statement, limit);
    server.owed.push(entry);
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
      server.unnamedOwner = this.#client;
      server.owed.push(Owed.parse);
      server.out.forward(chunk, start, end);
      return true;
    }
    if (name.length === 0) this.#unnamedReferred(server, type);
    const statement = this.#named?.get(statementKey(name));
    if (statement === undefined) {
      server.owed.push(Owed.bind);
      server.out.forward(chunk, start, end);
      return true;
    }
    this.#prepare(server, statement, limit);
    server.owed.push(Owed.bind);
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

  /** An error that names a statement, with the client's name for it; undefined if there is nothing to restore. */
  restoreNames(chunk: Buffer, start: number, end: number, fields: ErrorFields): Buffer | undefined {
    if (!namingErrors.has(fields.sqlState)) return undefined;
    const found = new RegExp(`"(${STATEMENT_PREFIX}\\d+)"`).exec(fields.message)?.[1];
    if (found === undefined || this.#named === undefined) return undefined;
    for (const [name, statement] of this.#named) {
      if (statement.name === found)
        return replaceInError(chunk, start, end, found, Buffer.from(name, 'latin1'));
    }
    return undefined;
  }

  /** Has the server prepare a statement that it lacks, in the client's name. */
  #prepare(server: ServerSession, statement: PreparedStatement, limit: number): void {
    if (server.statements.use(statement)) return;
    server.owed.push(Owed.parse | OWN, statement);
    server.out.insert(parseBytes(statement));
    this.#added(server, statement, limit);
  }

  #added(server: ServerSession, statement: PreparedStatement, limit: number): void {
    this.#client.stats.serverParseCount++;
    server.statements.add(statement);
    const evicted = server.statements.evict(Math.max(limit, 1));
    if (evicted === undefined) return;
    const writer = new FrameWriter();
    writeClose(writer, 'S', evicted.name);
    server.owed.push(Owed.close | OWN);
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
      server.owed.push(Owed.close | OWN);
    } else {
      writer.begin(Frontend.parse).cstring('').bytes(this.#unnamed).end();
      server.owed.push(Owed.parse | OWN);
    }
    server.out.insert(writer.take());
  }
}

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

function replaceInError(chunk: Buffer, start: number, end: number, from: string, to: Buffer): Buffer {
  const body = chunk.subarray(start + HEADER_SIZE, end);
  const at = body.indexOf(from, 0, 'latin1');
  return new FrameWriter()
    .begin(Backend.errorResponse)
    .bytes(body.subarray(0, at))
    .bytes(to)
    .bytes(body.subarray(at + from.length))
    .end()
    .take();
}
