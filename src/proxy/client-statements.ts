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
  /** By name ('' = unnamed), the last change to it that may not have been answered, and the batch in which it went out. */
  readonly #sent = new Map<string, { readonly change: Change; readonly batch: number }>();
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
    if (name.length === 0 || limit === 0) {
      const change = name.length === 0 ? this.#unnamedChange(server, Buffer.from(definition)) : undefined;
      server.owed.push(Owed.parse, change);
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
        const change = new StatementChange({ statement, there: true, names, key });
        this.#remember(server, key, change);
        server.owed.push(Owed.injectedParse, change);
        server.injectDue();
        return;
      }
      this.#closeOn(server, statement);
    }
    const change = new StatementChange({ statement, there: true, server: server.statements, names, key });
    this.#remember(server, key, change);
    server.owed.push(Owed.parse, change);
    server.statements.sent(statement, server.owed.batch);
    server.out.insert(parseBytes(statement));
    this.#added(server, limit);
  }

  /**
   * What the name of a Parse, Bind or Describe stands for when the server comes to it depends on a Parse or Close of an earlier batch,
   * which may yet fail or be skipped: only its answer tells. (A Bind behind a Parse of its name does not: if there is none, the server
   * says so.)
   */
  isUncertain(server: ServerSession, type: number, chunk: Buffer, start: number): boolean {
    if (this.#sent.size === 0 || type === Frontend.close) return false;
    let at = start + HEADER_SIZE;
    if (type === Frontend.bind) at = chunk.indexOf(0, at) + 1;
    else if (type === Frontend.describe && chunk[at++] !== STATEMENT) return false;
    const key = statementKey(chunk.subarray(at, Math.max(at, chunk.indexOf(0, at))));
    const matters = type === Frontend.parse ? key !== '' : key === '' || this.#named?.has(key) !== true;
    const sent = matters ? this.#sent.get(key) : undefined;
    if (sent === undefined || sent.batch === server.owed.batch) return false;
    if (server.owed.owes(sent.change)) return true;
    this.#sent.delete(key);
    return false;
  }

  /** The server that it had is somebody else's. */
  unlinked(): void {
    this.#sent.clear();
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
    const unnamed = isStatement && name.length === 0 ? this.#unnamedReferred(server, type) : undefined;
    const names = this.#named;
    const key = isStatement && name.length > 0 ? statementKey(name) : '';
    const statement = names?.get(key);
    if (type === Frontend.bind) this.#bound(name.length === 0 ? this.#unnamed : statement?.definition);
    if (statement === undefined || names === undefined) {
      server.owed.push(entry, unnamed);
      server.out.forward(chunk, start, end);
      return;
    }
    if (type === Frontend.close) {
      const change = new StatementChange({ statement, there: false, names, key });
      this.#remember(server, key, change);
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
      server.owed.push(Owed.parse, name.length === 0 ? this.#unnamedChange(server, undefined) : undefined);
      server.out.forward(chunk, start, end);
      return true;
    }
    if (name.length === 0) this.#unnamedReferred(server, type);
    const key = statementKey(name);
    const statement = this.#named?.get(key);
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

  #remember(server: ServerSession, key: string, change: Change): void {
    if (server.owed.settled) this.#sent.clear();
    this.#sent.set(key, { change, batch: server.owed.batch });
  }

  /** The client's Parse or Close that makes `definition` its unnamed statement; undefined = none, or one too large to be kept. */
  #unnamedChange(server: ServerSession, definition: Buffer | undefined): Change {
    let before: Buffer | undefined;
    let ownerBefore: ClientSession | undefined;
    const change = {
      apply: () => {
        before = this.#unnamed;
        ownerBefore = server.unnamedOwner;
        this.#unnamed = definition;
        server.unnamedOwner = this.#client;
      },
      // A Parse that fails has dropped the statement before; one that is skipped has not.
      undo: (failed: boolean) => {
        this.#unnamed = failed ? undefined : before;
        server.unnamedOwner = failed ? undefined : ownerBefore;
      },
    };
    change.apply();
    this.#remember(server, '', change);
    return change;
  }

  /** The unnamed statement belongs to a client, whatever server it is on: it is prepared again, or not there. What the message changes, if anything. */
  #unnamedReferred(server: ServerSession, type: number): Change | undefined {
    if (type === Frontend.close) return this.#unnamedChange(server, undefined);
    if (server.unnamedOwner === this.#client) return undefined;
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
    return undefined;
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
