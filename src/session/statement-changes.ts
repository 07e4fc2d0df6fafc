/**
 * What messages on their way to a server will have changed there or for their client. It counts from the moment a message is sent, and is
 * undone when the server fails or skips the message. Changes are undone in reverse order, so that each finds what it left.
 */
import { NAME_SIZE, type PreparedStatement } from './prepared-statements.ts';
import type { Presence, ServerStatements } from './server-statements.ts';

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

  constructor(name: string, statement: PreparedStatement) {
    this.name = name;
    this.statement = statement;
  }

  /** The same, by what a message calls it: errors have the name as it is written there, also what of it does not count. */
  calledAs(name: Buffer): NamedStatement {
    return name.length === this.name.length && name.length <= NAME_SIZE
      ? this
      : new NamedStatement(name.toString('latin1'), this.statement);
  }

  /** To refer to it changes nothing. */
  apply(): void {}

  undo(): void {}
}

/** What each name of a client stands for, by `statementKey`. */
export type StatementNames = Map<string, NamedStatement>;

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
    setOrDelete(this.#names, this.#key, this.#before);
  }

  #rename(): void {
    this.#before = this.#names.get(this.#key);
    setOrDelete(this.#names, this.#key, this.#after);
  }
}

function setOrDelete(names: StatementNames, key: string, named: NamedStatement | undefined): void {
  if (named === undefined) names.delete(key);
  else names.set(key, named);
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

/** Whoever has an unnamed statement, or none. */
export interface UnnamedHolder {
  unnamed: PreparedStatement | undefined;
}

/** A server, by whose its unnamed statement is. */
export interface UnnamedPlace {
  /** What this client has is there; undefined: nobody knows. */
  unnamedOwner: UnnamedHolder | undefined;
}

/** The unnamed statement of a server becomes what its client has. */
export class OwnerChange implements Change {
  readonly #server: UnnamedPlace;
  readonly #owner: UnnamedHolder;
  #before: UnnamedHolder | undefined;

  constructor(server: UnnamedPlace, owner: UnnamedHolder) {
    this.#server = server;
    this.#owner = owner;
    this.#assign();
  }

  apply(): void {
    this.#assign();
  }

  undo(failed: boolean): void {
    this.#server.unnamedOwner = failed ? undefined : this.#before;
  }

  #assign(): void {
    this.#before = this.#server.unnamedOwner;
    this.#server.unnamedOwner = this.#owner;
  }
}

/** The same, and the client has another one, or none any more. */
export class UnnamedChange extends OwnerChange {
  readonly #holder: UnnamedHolder;
  readonly #after: PreparedStatement | undefined;
  #before: PreparedStatement | undefined;

  constructor(server: UnnamedPlace, holder: UnnamedHolder, after: PreparedStatement | undefined) {
    super(server, holder);
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
    this.#holder.unnamed = failed ? undefined : this.#before;
  }

  #become(): void {
    this.#before = this.#holder.unnamed;
    this.#holder.unnamed = this.#after;
  }
}
