/**
 * What messages on their way to a server will have changed there or for their client. It counts from the moment a message is sent, and is
 * undone when the server fails or skips the message. Changes are undone in reverse order, so that each finds what it left.
 */
import { NAME_SIZE, type PreparedStatement } from './prepared-statements.ts';
import type { Presence, ServerStatements } from './server-statements.ts';
import type { StatementNames } from './statement-names.ts';

export interface Change {
  /** Once more, after everything before it has been forgotten. */
  apply(): void;
  /** `failed`: its own message failed; else it was skipped, and the server has not even looked at it. */
  undo(failed: boolean): void;
}

/** What a client calls a statement: it stands for the definition, and for the settings that the client had at its Parse. */
export class NamedStatement implements Change {
  /** In full, its bytes as Latin-1. */
  readonly name: string;
  readonly statement: PreparedStatement;
  /** What the client is told where the server does not know the statement; undefined: just that. */
  readonly refusal: Buffer | undefined;

  constructor(name: string, statement: PreparedStatement, refusal?: Buffer) {
    this.name = name;
    this.statement = statement;
    this.refusal = refusal;
  }

  /** The same, by what a message calls it: errors have the name as it is written there, also what of it does not count. */
  calledAs(name: Buffer): NamedStatement {
    return name.length === this.name.length && name.length <= NAME_SIZE
      ? this
      : new NamedStatement(name.toString('latin1'), this.statement, this.refusal);
  }

  /** To refer to it changes nothing. */
  apply(): void {}

  undo(): void {}
}

/** A statement is there on a server, or gone. */
export class ServerChange implements Change {
  readonly #server: ServerStatements;
  readonly #statement: PreparedStatement;
  readonly #after: Presence;
  #before: Presence;

  constructor(server: ServerStatements, statement: PreparedStatement, after: Presence) {
    this.#server = server;
    this.#statement = statement;
    this.#after = after;
    this.apply();
  }

  apply(): void {
    this.#before = this.#server.presence(this.#statement);
    this.#server.place(this.#statement, this.#after);
  }

  undo(): void {
    this.#server.place(this.#statement, this.#before);
  }
}

/** A client's name begins to stand for a statement, or ends to. */
export class NameChange implements Change {
  readonly #names: StatementNames;
  readonly #key: string;
  readonly #after: NamedStatement | undefined;
  /** What the same message changes on the server. */
  readonly #onServer: Change | undefined;
  #before: NamedStatement | undefined;

  constructor(names: StatementNames, key: string, after: NamedStatement | undefined, onServer?: Change) {
    this.#names = names;
    this.#key = key;
    this.#after = after;
    this.#onServer = onServer;
    this.#rename();
  }

  apply(): void {
    this.#onServer?.apply();
    this.#rename();
  }

  undo(failed: boolean): void {
    this.#onServer?.undo(failed);
    this.#names.set(this.#key, this.#before);
  }

  #rename(): void {
    this.#before = this.#names.get(this.#key);
    this.#names.set(this.#key, this.#after);
  }
}

/**
 * A Query that drops statements one by one, among other things. What it has dropped stays so however it ends, and nothing is known of it
 * before the server tells.
 */
export class Deallocations implements Change {
  /** In the order of the text; undefined: none of the client's. */
  readonly #keys: readonly (string | undefined)[];
  readonly #ended: (key: string) => void;
  /** What the same message changes besides. */
  readonly #also: Change | undefined;
  #next = 0;

  constructor(keys: readonly (string | undefined)[], ended: (key: string) => void, also?: Change) {
    this.#keys = keys;
    this.#ended = ended;
    this.#also = also;
  }

  /** The next one has been run. False: it was none of the client's. */
  run(): boolean {
    const key = this.#keys[this.#next++];
    if (key === undefined) return false;
    this.#ended(key);
    return true;
  }

  apply(): void {
    this.#also?.apply();
  }

  undo(failed: boolean): void {
    this.#also?.undo(failed);
  }
}

/** A statement that drops them all. */
export class ForgetAll implements Change {
  readonly #server: ServerStatements;
  readonly #names: StatementNames;
  #statementsBefore: readonly (readonly [PreparedStatement, Presence])[] = [];
  #namesBefore: readonly (readonly [string, NamedStatement])[] = [];
  /** What the same message changes besides. */
  readonly #also: Change | undefined;

  constructor(server: ServerStatements, names: StatementNames, also?: Change) {
    this.#server = server;
    this.#names = names;
    this.#also = also;
    this.#forget();
  }

  apply(): void {
    this.#forget();
    this.#also?.apply();
  }

  undo(failed: boolean): void {
    for (const [statement, presence] of this.#statementsBefore) this.#server.place(statement, presence);
    for (const [key, named] of this.#namesBefore) this.#names.set(key, named);
    this.#also?.undo(failed);
  }

  #forget(): void {
    this.#statementsBefore = [...this.#server];
    this.#namesBefore = [...this.#names];
    this.#server.clear();
    this.#names.clear();
  }
}

/** What a client has as its unnamed statement, from one change of it to the next: another one each time, even with the same text. */
export class UnnamedStatement {
  /** undefined: none, or one that only its server knows. */
  readonly statement: PreparedStatement | undefined;

  constructor(statement: PreparedStatement | undefined) {
    this.statement = statement;
  }
}

export const noUnnamed = new UnnamedStatement(undefined);

/** Whoever has an unnamed statement, or none. */
export interface UnnamedHolder {
  unnamed: UnnamedStatement;
}

/** A server, by the unnamed statement that is there. */
export interface UnnamedPlace {
  /** undefined: nobody knows. */
  unnamed: UnnamedStatement | undefined;
}

/** The unnamed statement of a server becomes what its client has. */
export class OwnerChange implements Change {
  readonly #server: UnnamedPlace;
  readonly #after: UnnamedStatement;
  #before: UnnamedStatement | undefined;

  constructor(server: UnnamedPlace, after: UnnamedStatement) {
    this.#server = server;
    this.#after = after;
    this.#assign();
  }

  apply(): void {
    this.#assign();
  }

  undo(failed: boolean): void {
    this.#server.unnamed = failed ? undefined : this.#before;
  }

  #assign(): void {
    this.#before = this.#server.unnamed;
    this.#server.unnamed = this.#after;
  }
}

/** The same, and the client has another one, or none any more. */
export class UnnamedChange extends OwnerChange {
  readonly #holder: UnnamedHolder;
  readonly #after: UnnamedStatement;
  #before: UnnamedStatement = noUnnamed;

  constructor(server: UnnamedPlace, holder: UnnamedHolder, after: UnnamedStatement) {
    super(server, after);
    this.#holder = holder;
    this.#after = after;
    this.#become();
  }

  override apply(): void {
    super.apply();
    this.#become();
  }

  /** A Parse or Query that fails has dropped what was there before; one that is skipped has not. */
  override undo(failed: boolean): void {
    super.undo(failed);
    this.#holder.unnamed = failed ? noUnnamed : this.#before;
  }

  #become(): void {
    this.#before = this.#holder.unnamed;
    this.#holder.unnamed = this.#after;
  }
}
