/**
 * The prepared statements of one client: its names stand for shared statements, which are prepared on whatever server it meets. Parse,
 * Bind, Describe and Close are rewritten on the way, and so is what drops statements by SQL; everything else passes untouched.
 *
 * What a statement means depends on the settings it is parsed under. So one that others use too is used only under the settings that
 * it was parsed under; under others the client gets a variant of it, or a copy of its own while its settings are not known for sure. Which is
 * to say that literals in the text are evaluated under the settings of the moment when it is prepared on a server, as they are by
 * PostgreSQL whenever it parses a statement again; not under those of the client's Parse.
 */
import { BodyReader } from '../protocol/body-reader.ts';
import { ClientError } from '../protocol/errors.ts';
import { FrameWriter } from '../protocol/frame-writer.ts';
import { sync } from '../protocol/frontend.ts';
import { Frontend, HEADER_SIZE } from '../protocol/message-types.ts';
import { deallocationIn, forgetsAll } from '../session/deallocation.ts';
import type { InternedMap } from '../session/interned-map.ts';
import {
  isIndirect,
  isReserved,
  missingStatement,
  placeholder,
  type PreparedStatement,
  privateStatement,
  statementKey,
} from '../session/prepared-statements.ts';
import {
  type Change,
  Deallocations,
  ForgetAll,
  NameChange,
  NamedStatement,
  ServerChange,
} from '../session/statement-changes.ts';
import { sizeOfNamed, StatementNames } from '../session/statement-names.ts';
import { StatementVariants } from '../session/statement-variants.ts';
import { opaqueHints, pinHints, type StatementHints } from '../sql/hints.ts';
import { BoundPortal } from './bound-portal.ts';
import type { ClientSession } from './client-session.ts';
import { ClientUnnamed } from './client-unnamed.ts';
import { Owed, OWN } from './owed-replies.ts';
import { flushBytes } from './own-messages.ts';
import type { ServerSession } from './server-session.ts';
import {
  closeBytes,
  describeBytes,
  parseAs,
  parseBytes,
  resultChanged,
  tooLarge,
  tooMany,
  truncated,
  withName,
} from './statement-messages.ts';
import { hasBatch, mayFail, mustWait, othersUnanswered, staysFailed } from './statement-moments.ts';

/** Portal and statement names together; PostgreSQL itself looks at 63 bytes of each. */
export const MAX_NAMES = 16_384;
/** What a definition has that is not held for long before its Parse is answered, though the client may not ask for answers yet. */
const LARGE_DEFINITION = 16_384;
const STATEMENT = 0x53; // S, as opposed to P for a portal

/** What became of a message: it is on its way, or cannot be sent before earlier ones are answered, or before more of it has come. */
export type Sending = 'sent' | 'waits' | 'incomplete';

/** As hints have them. */
type NamesInText = readonly (string | undefined)[];

/** The first part of a Bind of `size` bytes: its portal and statement name are in it, the latter from `nameAt` to `nameEnd`. */
interface CutBind {
  readonly size: number;
  readonly chunk: Buffer;
  readonly start: number;
  readonly end: number;
  readonly nameAt: number;
  readonly nameEnd: number;
}

export class ClientStatements {
  readonly #client: ClientSession;
  #names: StatementNames | undefined;
  readonly #unnamed = new ClientUnnamed();
  readonly #bound = new BoundPortal();
  #variants: StatementVariants | undefined;
  /** What a server has been asked last: what a statement returns. */
  #asked: NamedStatement | undefined;
  /** The message that is being streamed was refused: the rest of it is for nobody. */
  #dropping = false;

  constructor(client: ClientSession) {
    this.#client = client;
  }

  get size(): number {
    return this.#names?.size ?? 0;
  }

  /** Every statement is gone (DISCARD ALL). */
  forget(): void {
    this.#names?.clear();
    this.#variants = undefined;
  }

  /** Whether what waits has to go on waiting. */
  stillWaits(server: ServerSession): boolean {
    const { owed } = server;
    const isAsked = this.#asked !== undefined && owed.owes(this.#asked) && !owed.copyIn && !owed.doubtful;
    return isAsked || server.settling.isAsking || othersUnanswered(server);
  }

  /** The client is on `server` and has no temporary objects any more: its copies there are not used again. */
  unpinned(server: ServerSession): void {
    for (const [, named] of this.#names ?? []) this.#endCopy(server, named);
  }

  // --- messages ------------------------------------------------------------------------------------------------------------

  /** Sends Query, or as much of it as has come; `hints` are those of a whole one. It destroys the unnamed statement. */
  query(
    server: ServerSession,
    chunk: Buffer,
    start: number,
    end: number,
    { deallocated, prepared }: StatementHints,
  ): Sending {
    const textAt = start + HEADER_SIZE;
    const name = deallocationIn(chunk, textAt, end);
    const isAnswered =
      name !== undefined && isWhole(chunk, start, end) && chunk.indexOf(0, textAt) === end - 1;
    if (isAnswered && !server.owed.skipping && !hasBatch(server)) {
      if (othersUnanswered(server)) return 'waits';
      if (this.#deallocate(server, name, true)) {
        this.#unnamed.dropped(server);
        server.owed.push(Owed.sync);
        server.out.insert(syncBytes);
        return 'sent';
      }
    }
    const forgets = forgetsAll(chunk, textAt, end);
    const lends = !staysFailed(server) && (this.#hasAny(deallocated) || this.#hasAny(prepared));
    if ((forgets || lends) && othersUnanswered(server)) return 'waits';
    let change = this.#unnamed.queried(server);
    if (forgets) change = this.#forgetAll(server, change);
    if (lends) change = this.#lend(server, deallocated, prepared, change);
    return asItIs(server, Owed.query, chunk, start, end, change);
  }

  /** Sends Parse, which has to be whole. `limit` is max_prepared_statements, 0 = untouched. */
  parse(server: ServerSession, chunk: Buffer, start: number, end: number, limit: number): Sending {
    const body = new BodyReader(chunk, start + HEADER_SIZE, end);
    const name = body.cstringBytes();
    const definition = chunk.subarray(body.offset, end);
    const sending =
      name.length === 0 || limit === 0
        ? this.#parseAsItIs(server, chunk, start, end, name.length === 0 ? definition : undefined)
        : this.#parseNamed(server, name, definition, limit);
    // Those that are sent ahead of their answers are held here: they are asked for, whether the client asks or not.
    if (sending === 'sent' && definition.length > LARGE_DEFINITION) server.out.insert(flushBytes);
    return sending;
  }

  #parseAsItIs(
    server: ServerSession,
    chunk: Buffer,
    start: number,
    end: number,
    unnamed: Buffer | undefined,
  ): Sending {
    const change = unnamed === undefined ? undefined : this.#unnamed.parsed(server, unnamed);
    return asItIs(server, Owed.parse, chunk, start, end, change);
  }

  #parseNamed(server: ServerSession, name: Buffer, definition: Buffer, limit: number): Sending {
    checkName(name);
    if (mustWait(server)) return 'waits';
    const names = (this.#names ??= new StatementNames());
    const key = statementKey(name);
    if (names.has(key)) {
      // The server says so itself, if there is nothing else to say about the text.
      this.#prepare(server, placeholder, limit);
      server.owed.push(Owed.parse, new NamedStatement(name.toString('latin1'), placeholder));
      server.out.insert(parseAs(placeholder.name, definition));
      this.#client.stats.clientParseCount++;
      return 'sent';
    }
    const { statements } = server;
    const statement = this.#defined(server, definition);
    const named = new NamedStatement(name.toString('latin1'), statement);
    const bytes = names.bytes + sizeOfNamed(named);
    const { maxPreparedStatementBytes: maxBytes } = this.#client.limits;
    if (bytes > maxBytes) return refused(server, name, tooMany(names.size + 1, bytes, maxBytes));
    if (!mayFail(server)) statements.renew(statement, performance.now());
    // Who has been told what it returns was told the same, on whichever server.
    if (statement.result !== undefined && statements.presence(statement) !== 'usable') {
      if (othersUnanswered(server)) return 'waits';
      if (!mayFail(server) && !this.#isDescribed(server, named, limit)) return 'waits';
    }
    if (statements.use(statement)) {
      if (othersUnanswered(server)) return 'waits';
      if (!mayFail(server)) {
        this.#client.stats.clientParseCount++;
        server.owed.push(Owed.injectedParse, new NameChange(names, key, named));
        statements.changing(server.owed.batch);
        server.injectDue();
        return 'sent';
      }
    }
    this.#client.stats.clientParseCount++;
    if (statements.presence(statement) !== undefined) this.#closeOn(server, statement);
    const onServer = new ServerChange(statements, statement, 'usable');
    server.owed.push(Owed.parse, new NameChange(names, key, named, onServer));
    this.#parsed(server, statement, limit);
    return 'sent';
  }

  /** Sends Bind, Describe or Close. `type` is its type byte. */
  refer(
    server: ServerSession,
    type: number,
    chunk: Buffer,
    start: number,
    end: number,
    limit: number,
  ): Sending {
    const body = new BodyReader(chunk, start + HEADER_SIZE, end);
    const isBind = type === Frontend.bind;
    let isStatement = true;
    if (isBind) body.cstringBytes();
    else isStatement = body.uint8() === STATEMENT;
    const nameAt = body.offset;
    const name = body.cstringBytes();
    const entry = isBind ? Owed.bind : type === Frontend.describe ? Owed.describe : Owed.close;
    if (!isStatement) {
      const portalOf = this.#referToPortal(server, type, chunk, nameAt, body.offset);
      return asItIs(server, entry, chunk, start, end, portalOf);
    }
    if (limit > 0) checkName(name);
    if (name.length === 0 ? this.#unnamed.waits(server) : limit > 0 && mustWait(server)) return 'waits';
    const named = this.#find(name, limit);
    const statement = name.length === 0 ? this.#unnamed.statement : named?.statement;
    if (isBind && !this.#prepareFor(server, statement)) return 'waits';
    if (named === undefined) {
      // The unnamed one, or nothing of ours: it may be one that SQL has prepared.
      const change = name.length === 0 ? this.#unnamed.referred(server, type) : undefined;
      if (isBind) this.#bind(server, chunk, start, nameAt, statement, undefined);
      return asItIs(server, entry, chunk, start, end, change);
    }
    if (type === Frontend.close) return this.#close(server, statementKey(name), named);
    const used = this.#usable(server, type, named, limit);
    if (used === undefined) return 'waits';
    if (isBind) {
      this.#bind(server, chunk, start, nameAt, statement, used);
      this.#client.stats.bindCount++;
    }
    server.owed.push(entry, used.calledAs(name));
    server.out.insert(withName(chunk, start, end, nameAt, body.offset, used.statement.name));
    return 'sent';
  }

  /** A Describe or Close of the portal whose name stands from `at` to `end`: gives what a Describe of it is about. */
  #referToPortal(
    server: ServerSession,
    type: number,
    chunk: Buffer,
    at: number,
    end: number,
  ): NamedStatement | undefined {
    if (type === Frontend.describe) return this.#bound.named(server.owed.batch, chunk, at, end);
    // Of a cursor WITH HOLD it is the end, and its tag says nothing.
    if (this.#client.pin !== undefined) server.settling.note(pinHints);
    return undefined;
  }

  /** What stands for a name of the client's; undefined for the unnamed statement and for what it has not prepared. */
  #find(name: Buffer, limit: number): NamedStatement | undefined {
    if (limit === 0 || name.length === 0) return undefined;
    const key = statementKey(name);
    return this.#names?.get(key) ?? nobodys(key);
  }

  /** Sends Execute. */
  execute(server: ServerSession, chunk: Buffer, start: number, end: number): Sending {
    const statement = this.#bound.dropping(server.owed.batch, chunk, start + HEADER_SIZE, end - 4);
    if (statement?.deallocates !== undefined && isWhole(chunk, start, end)) {
      if (othersUnanswered(server)) return 'waits';
      if (this.#deallocate(server, statement.deallocates, false)) return 'sent';
    }
    if (statement?.forgetsAll !== true) return asItIs(server, Owed.execute, chunk, start, end);
    if (othersUnanswered(server)) return 'waits';
    return asItIs(server, Owed.execute, chunk, start, end, this.#forgetAll(server));
  }

  /** Begins a Parse or Bind of `size` bytes that is too large to be held: what came of it is `chunk` from `start` to `end`. */
  stream(
    server: ServerSession,
    type: number,
    size: number,
    chunk: Buffer,
    start: number,
    end: number,
    limit: number,
  ): Sending {
    const nameAt = type === Frontend.bind ? behindString(chunk, start + HEADER_SIZE) : start + HEADER_SIZE;
    const nameEnd = behindString(chunk, nameAt);
    if (nameEnd > end) {
      if (end - start > MAX_NAMES) throw new ClientError('invalid message format: name is too long');
      return 'incomplete';
    }
    const name = chunk.subarray(nameAt, nameEnd - 1);
    if (type === Frontend.parse) {
      if (name.length > 0 && limit > 0) {
        this.#dropping = true;
        return refused(server, name, tooLarge(size));
      }
      const change = name.length === 0 ? this.#unnamed.streamed(server) : undefined;
      return asItIs(server, Owed.parse, chunk, start, end, change);
    }
    return this.#streamBind(server, { size, chunk, start, end, nameAt, nameEnd }, limit);
  }

  /** The next part of a message that is too large to be held. */
  part(server: ServerSession, chunk: Buffer, start: number, end: number, last: boolean): void {
    if (!this.#dropping) server.out.forward(chunk, start, end);
    else if (last) this.#dropping = false;
  }

  #streamBind(server: ServerSession, cut: CutBind, limit: number): Sending {
    const { size, chunk, start, end, nameAt, nameEnd } = cut;
    const name = chunk.subarray(nameAt, nameEnd - 1);
    if (name.length === 0 ? this.#unnamed.waits(server) : limit > 0 && mustWait(server)) return 'waits';
    const named = this.#find(name, limit);
    const statement = name.length === 0 ? this.#unnamed.statement : named?.statement;
    if (!this.#prepareFor(server, statement)) return 'waits';
    if (named === undefined) {
      const change = name.length === 0 ? this.#unnamed.referred(server, Frontend.bind) : undefined;
      this.#bind(server, chunk, start, nameAt, statement, undefined);
      return asItIs(server, Owed.bind, chunk, start, end, change);
    }
    const used = this.#usable(server, Frontend.bind, named, limit);
    if (used === undefined) return 'waits';
    this.#bind(server, chunk, start, nameAt, statement, used);
    this.#client.stats.bindCount++;
    server.owed.push(Owed.bind, used.calledAs(name));
    const head = new FrameWriter()
      .begin(Frontend.bind)
      .bytes(chunk.subarray(start + HEADER_SIZE, nameAt))
      .cstring(used.statement.name)
      .end()
      .take();
    head.writeInt32BE(size - 1 + used.statement.name.length - name.length, 1);
    server.out.insert(head);
    server.out.forward(chunk, nameEnd, end);
    return 'sent';
  }

  // --- which statement -----------------------------------------------------------------------------------------------------

  /** The settings under which what is sent now is parsed; undefined if they are not known, or count for nobody else. */
  get #context(): InternedMap | undefined {
    return this.#client.privateStatements ? undefined : this.#client.parseContext;
  }

  #defined(server: ServerSession, definition: Buffer): PreparedStatement {
    const context = this.#context;
    return context === undefined || isIndirect(definition)
      ? privateStatement(definition, server.shared.schema.version)
      : server.shared.intern(definition, context);
  }

  /**
   * What a name stands for here and now, for a message of this type, prepared on this server; undefined while that has to be waited for.
   *
   * What is parsed again may return other columns than its client was told, which it then would read wrongly. On a connection of its own
   * the statement would fail: so it does here, and what the new one returns is asked first.
   */
  #usable(
    server: ServerSession,
    type: number,
    named: NamedStatement,
    limit: number,
  ): NamedStatement | undefined {
    // In a failed transaction nothing can be parsed, and what is there can only be described, or end it.
    if (staysFailed(server) && server.statements.presence(named.statement) === 'usable') return named;
    const used = this.#meant(server, named);
    const { result } = named.statement;
    if (result !== undefined && (used !== named || server.statements.presence(used.statement) !== 'usable')) {
      if (othersUnanswered(server)) return undefined;
      if (!mayFail(server)) {
        if (!this.#isDescribed(server, used, limit)) return undefined;
        if (used.statement.result !== result)
          return new NamedStatement(named.name, missingStatement, resultChanged(type, named.statement));
      }
    }
    this.#prepare(server, used.statement, limit);
    return used;
  }

  /** The server has the statement, and what it returns there is known; false: it is prepared and asked for. */
  #isDescribed(server: ServerSession, named: NamedStatement, limit: number): boolean {
    const { statement } = named;
    if (statement.result !== undefined && server.statements.presence(statement) === 'usable') return true;
    this.#prepare(server, statement, limit);
    // One of its own, so that what the client says of the statement is told from this question.
    this.#asked = new NamedStatement(named.name, statement);
    server.owed.push(Owed.describe | OWN, this.#asked);
    server.out.insert(describeBytes(statement));
    server.out.insert(flushBytes);
    return false;
  }

  #meant(server: ServerSession, named: NamedStatement): NamedStatement {
    const { statement } = named;
    const { shared, statements } = server;
    const context = this.#context;
    if (statement === missingStatement) return named;
    if (statement.isPrivate || statement.context === context) {
      const asParsed = statement.schema === shared.schema.version || statement.result === undefined;
      if (asParsed || statements.presence(statement) === 'usable') return named;
    }
    const variants = (this.#variants ??= new StatementVariants());
    return context === undefined || statement.isPrivate
      ? variants.copy(named, shared)
      : variants.under(context, named, shared);
  }

  /** Has the server prepare a statement that it lacks, in the client's name. */
  #prepare(server: ServerSession, statement: PreparedStatement, limit: number): void {
    const { statements } = server;
    if (statements.use(statement) || statement === missingStatement) return;
    if (statements.presence(statement) !== undefined) this.#closeOn(server, statement);
    server.owed.push(Owed.parse | OWN, new ServerChange(statements, statement, 'usable'));
    this.#parsed(server, statement, limit);
  }

  #parsed(server: ServerSession, statement: PreparedStatement, limit: number): void {
    server.statements.changing(server.owed.batch);
    server.statements.known(statement, performance.now());
    server.out.insert(parseBytes(statement));
    this.#client.stats.serverParseCount++;
    const { maxPreparedStatementBytes: maxBytes } = this.#client.limits;
    // A server that skips closes nothing either.
    while (!server.owed.skipping) {
      const surplus = server.statements.surplus(Math.max(limit, 1), maxBytes);
      if (surplus === undefined) return;
      this.#closeOn(server, surplus);
    }
  }

  #closeOn(server: ServerSession, statement: PreparedStatement): void {
    server.owed.push(Owed.close | OWN, new ServerChange(server.statements, statement, undefined));
    server.statements.changing(server.owed.batch);
    server.out.insert(closeBytes(statement));
  }

  // --- the end of names ----------------------------------------------------------------------------------------------------

  /** Ends a name by Close. */
  #close(server: ServerSession, key: string, named: NamedStatement): Sending {
    if (named.statement === missingStatement || server.owed.doubtful) {
      // In doubt the order of replies is the server's: closing what it does not have is answered like anything else.
      const change = named.statement === missingStatement ? undefined : this.#ended(server, key, named);
      server.owed.push(Owed.close, change);
      server.out.insert(closeBytes(missingStatement));
      return 'sent';
    }
    server.owed.push(Owed.injectedClose, this.#ended(server, key, named));
    server.injectDue();
    return 'sent';
  }

  /**
   * Ends a name by DEALLOCATE, which is answered in its turn. False: the server is to say what there is to say. `unread`: it has not read
   * the text before, as it does in answer to Parse.
   */
  #deallocate(server: ServerSession, name: string, unread: boolean): boolean {
    if (mayFail(server)) return false;
    const key = statementKey(name);
    const named = this.#names?.get(key) ?? nobodys(key);
    if (named === undefined) return false;
    if (unread && key !== name) this.#client.out.insert(truncated(name));
    if (named.statement === missingStatement) {
      server.owed.push(Owed.describe, new NamedStatement(key, missingStatement));
      server.out.insert(describeBytes(missingStatement));
      return true;
    }
    server.owed.push(Owed.injectedDeallocate, this.#ended(server, key, named));
    server.injectDue();
    return true;
  }

  /** In front of a Query that uses names of the client's by SQL: the server is to find them taken, and can drop what they stand for. */
  #lend(server: ServerSession, deallocated: NamesInText, prepared: NamesInText, also?: Change): Change {
    const keys = deallocated.map((name) => this.#keyOf(name));
    const wanted = [...keys, ...prepared.map((name) => this.#keyOf(name))];
    server.lent.lend(new Set(wanted.filter((key) => key !== undefined)));
    server.statements.changing(server.owed.batch);
    return new Deallocations(keys, (key) => this.#dropped(server, key), also);
  }

  #hasAny(names: NamesInText): boolean {
    return names.some((name) => this.#keyOf(name) !== undefined);
  }

  /**
   * Under which the client has a statement of this name, which the server does not know by it. Names of ours are not lent, nor what is another
   * name, or none, under another client_encoding.
   */
  #keyOf(name: string | undefined): string | undefined {
    if (name === undefined || isReserved(name) || /[^ -~]/.test(name)) return undefined;
    const key = statementKey(name);
    return this.#names?.has(key) === true ? key : undefined;
  }

  /** The server has dropped what it was lent. */
  #dropped(server: ServerSession, key: string): void {
    server.lent.dropped(key);
    const named = this.#names?.get(key);
    if (named === undefined) return;
    this.#endCopy(server, named);
    if (named.statement.isPrivate) server.statements.retire(named.statement);
    this.#names?.set(key, undefined);
  }

  /** A shared statement stays on the server for others; a private one is closed. */
  #ended(server: ServerSession, key: string, named: NamedStatement): Change {
    const names = (this.#names ??= new StatementNames());
    const { statement } = named;
    this.#endCopy(server, named);
    server.lent.ended(key);
    if (statement.isPrivate && server.statements.presence(statement) !== undefined)
      this.#closeOn(server, statement);
    server.statements.changing(server.owed.batch);
    return new NameChange(names, key, undefined);
  }

  #endCopy(server: ServerSession, named: NamedStatement): void {
    const copy = this.#variants?.end(named);
    if (copy !== undefined) server.statements.retire(copy);
  }

  #forgetAll(server: ServerSession, also?: Change): Change {
    server.statements.changing(server.owed.batch);
    this.#variants = undefined;
    return new ForgetAll(server.statements, (this.#names ??= new StatementNames()), also);
  }

  /** In front of a Bind: what the statement must not find is taken away. False: not before the server has answered. */
  #prepareFor(server: ServerSession, statement: PreparedStatement | undefined): boolean {
    if (statement === undefined || !this.#client.isTracked) return true;
    const { settling } = server;
    const hints = statement.hintsUnder(settling.lexing(this.#client));
    if (settling.mustKnowFirst(hints)) return false;
    settling.prepareFor(this.#client, hints);
    return true;
  }

  /** Notes what the execution of a portal may leave, and what it is of. */
  #bind(
    server: ServerSession,
    chunk: Buffer,
    start: number,
    portalEnd: number,
    statement: PreparedStatement | undefined,
    named: NamedStatement | undefined,
  ): void {
    if (this.#client.isTracked) {
      const lexing = server.settling.lexing(this.#client);
      server.settling.note(statement === undefined ? opaqueHints : statement.hintsUnder(lexing));
    }
    const portal = { chunk, at: start + HEADER_SIZE, end: portalEnd };
    this.#bound.bind(server.owed.batch, portal, statement, named);
  }
}

/** Where the string from `at` on has ended; infinite if that has not come. */
function behindString(chunk: Buffer, at: number): number {
  const zero = chunk.indexOf(0, at);
  return zero < 0 ? Infinity : zero + 1;
}

function checkName(name: Buffer): void {
  if (name.length > MAX_NAMES) throw new ClientError('invalid message format: name is too long');
}

/** In place of a Parse: something else that the server refuses, at its place among all the others; the client is told why the Parse was. */
function refused(server: ServerSession, name: Buffer, why: Buffer): Sending {
  server.owed.push(Owed.describe, new NamedStatement(name.toString('latin1'), missingStatement, why));
  server.out.insert(describeBytes(missingStatement));
  return 'sent';
}

/** Nothing of the message is still to come, which would go to the server whatever is answered to the rest. */
const isWhole = (chunk: Buffer, start: number, end: number): boolean =>
  end - start === 1 + chunk.readInt32BE(start + 1);

/** Forwards a message untouched. */
function asItIs(
  server: ServerSession,
  entry: number,
  chunk: Buffer,
  start: number,
  end: number,
  change?: Change,
): Sending {
  server.owed.push(entry, change);
  server.out.forward(chunk, start, end);
  return 'sent';
}

const syncBytes = sync();

/** What a client has not prepared is on no server, even where ostler has given something this name. */
const nobodys = (key: string): NamedStatement | undefined =>
  isReserved(key) ? new NamedStatement(key, missingStatement) : undefined;
