/**
 * Named prepared statements of the extended protocol, shared by what they say: the same text and parameter types are one
 * statement on a server, whoever prepared it and by whatever name.
 */

/** What Parse says of a statement behind its name: text and parameter types. Each exists once. */
export class PreparedStatement {
  /** Its name on servers. */
  readonly name: string;
  /** The body of Parse from behind the name on. */
  readonly definition: Buffer;

  constructor(name: string, definition: Buffer) {
    this.name = name;
    this.definition = definition;
  }
}

/** Every name that ostler gives starts so. */
export const STATEMENT_PREFIX = 'ostler_s';

const known = new Map<string, WeakRef<PreparedStatement>>();
const collected = new FinalizationRegistry((key: string) => {
  if (known.get(key)?.deref() === undefined) known.delete(key);
});
let lastNumber = 0;

/** The one statement with this definition, which is copied. */
export function internStatement(definition: Buffer): PreparedStatement {
  const key = definition.toString('latin1');
  const found = known.get(key)?.deref();
  if (found !== undefined) return found;
  const made = new PreparedStatement(`${STATEMENT_PREFIX}${++lastNumber}`, Buffer.from(definition));
  known.set(key, new WeakRef(made));
  collected.register(made, key);
  return made;
}

/** PostgreSQL compares names on their first 63 bytes (NAMEDATALEN). */
export const statementKey = (name: Buffer): string => name.toString('latin1', 0, Math.min(name.length, 63));

/** The statements that one server has, least recently used first. */
export class ServerStatements {
  readonly #statements = new Set<PreparedStatement>();
  /** Those whose Parse is on its way, with the number of the batch that it is in. */
  readonly #unanswered = new Map<PreparedStatement, number>();

  get size(): number {
    return this.#statements.size;
  }

  /** Whether the server has it; asking counts as use. */
  use(statement: PreparedStatement): boolean {
    if (!this.#statements.delete(statement)) return false;
    this.#statements.add(statement);
    return true;
  }

  add(statement: PreparedStatement): void {
    this.#statements.add(statement);
  }

  delete(statement: PreparedStatement): void {
    this.#statements.delete(statement);
  }

  clear(): void {
    this.#statements.clear();
  }

  /** Its Parse goes out, in batch number `batch`. */
  sent(statement: PreparedStatement, batch: number): void {
    this.#unanswered.set(statement, batch);
  }

  /** The server owes no answer any more. */
  settled(): void {
    if (this.#unanswered.size > 0) this.#unanswered.clear();
  }

  /** Its Parse may yet fail, and not take with it what is sent in `batch`. */
  isUncertain(statement: PreparedStatement, batch: number): boolean {
    const sentIn = this.#unanswered.get(statement);
    return sentIn !== undefined && sentIn !== batch;
  }

  [Symbol.iterator](): IterableIterator<PreparedStatement> {
    return this.#statements.values();
  }

  /** The least recently used one if there are more than `limit`. */
  surplus(limit: number): PreparedStatement | undefined {
    if (this.#statements.size <= limit) return undefined;
    const [oldest] = this.#statements;
    return oldest;
  }
}

/** What each name of a client stands for, by `statementKey`. */
export type StatementNames = Map<string, PreparedStatement>;

export interface StatementChangeOptions {
  readonly statement: PreparedStatement;
  /** Parse makes it be there, Close makes it be gone. */
  readonly there: boolean;
  /** The server's statements, if it is there or gone on the server. */
  readonly server?: ServerStatements;
  /** The client's names, if one of them begins or ends to stand for it. */
  readonly names?: StatementNames;
  readonly key?: string;
}

/**
 * What a message on its way to a server will have changed there or for its client. It counts from the moment the message is sent, and is
 * undone when the server fails or skips the message. Changes are undone in reverse order, so that each finds what it left.
 */
export interface Change {
  /** Once more, after everything before it has been forgotten. */
  apply(): void;
  /** `failed`: the message itself has failed, instead of being skipped because another had. */
  undo(failed: boolean): void;
}

/** Parse or Close. */
export class StatementChange implements Change {
  readonly #change: StatementChangeOptions;
  #wasThere = false;
  #before: PreparedStatement | undefined;

  constructor(change: StatementChangeOptions) {
    this.#change = change;
    this.apply();
  }

  apply(): void {
    const { statement, there, server, names, key = '' } = this.#change;
    if (server !== undefined) {
      this.#wasThere = server.use(statement);
      place(server, statement, there);
    }
    if (names === undefined) return;
    this.#before = names.get(key);
    if (there) names.set(key, statement);
    else names.delete(key);
  }

  undo(): void {
    const { statement, server, names, key = '' } = this.#change;
    if (server !== undefined) place(server, statement, this.#wasThere);
    if (names === undefined) return;
    if (this.#before === undefined) names.delete(key);
    else names.set(key, this.#before);
  }
}

/** A statement that drops them all. */
export class ForgetAll implements Change {
  readonly #server: ServerStatements;
  readonly #names: StatementNames;
  readonly #statementsBefore: readonly PreparedStatement[];
  readonly #namesBefore: readonly (readonly [string, PreparedStatement])[];

  constructor(server: ServerStatements, names: StatementNames = new Map()) {
    this.#server = server;
    this.#names = names;
    this.#statementsBefore = [...server];
    this.#namesBefore = [...names];
    this.apply();
  }

  apply(): void {
    this.#server.clear();
    this.#names.clear();
  }

  undo(): void {
    for (const statement of this.#statementsBefore) this.#server.add(statement);
    for (const [key, statement] of this.#namesBefore) this.#names.set(key, statement);
  }
}

/** Whether the SQL at the beginning of `bytes` from `at` on is DISCARD ALL or DEALLOCATE ALL and nothing else. */
export function forgetsAll(bytes: Buffer, at: number): boolean {
  const first = bytes[at] ?? 0;
  // Nearly every other statement is told apart by its first letter.
  const mayBe = first === 0x44 || first === 0x64 || first <= 0x20;
  return mayBe && dropsStatements.test(bytes.toString('latin1', at, at + 64));
}
const dropsStatements = /^\s*(?:discard|deallocate(?:\s+prepare)?)\s+all\s*;?\s*\0/i;

function place(server: ServerStatements, statement: PreparedStatement, there: boolean): void {
  if (there) server.add(statement);
  else server.delete(statement);
}
