/** The prepared statements that one server has. */
import type { PreparedStatement } from './prepared-statements.ts';

/** In ms: as long a change of the schema that nobody has seen may go unnoticed by whoever prepares. */
const FRESH = 1000;

/** Whether a statement that is on the server may be used; undefined: it is not there. */
export type Presence = 'usable' | 'retired' | undefined;

export class ServerStatements {
  /** Least recently used first. */
  readonly #statements = new Map<PreparedStatement, Presence>();
  /** The last one of them, if it has not gone: it need not be moved to the end. */
  #newest: PreparedStatement | undefined;
  #retired = 0;
  /** When each was sent here, or has been asked for; monotonic ms. */
  readonly #knownAt = new WeakMap<PreparedStatement, number>();
  /** Of all definitions. */
  #bytes = 0;
  /** In which batch of messages something on its way changes what is here, or what its client calls so; the last one. */
  #changedIn: number | undefined;

  get size(): number {
    return this.#statements.size;
  }

  presence(statement: PreparedStatement): Presence {
    return this.#statements.get(statement);
  }

  /** Whether the server has it; asking counts as use. */
  use(statement: PreparedStatement): boolean {
    if (this.#statements.get(statement) !== 'usable') return false;
    if (statement === this.#newest) return true;
    this.#statements.delete(statement);
    this.#statements.set(statement, 'usable');
    this.#newest = statement;
    return true;
  }

  /** It goes to the server, or the server has told what it returns. */
  known(statement: PreparedStatement, now: number): void {
    this.#knownAt.set(statement, now);
  }

  /**
   * Somebody prepares it, and is to get what its text means now. One that has been here for long may mean what it meant then: then it is
   * not used again.
   */
  renew(statement: PreparedStatement, now: number): void {
    if (now - (this.#knownAt.get(statement) ?? -Infinity) > FRESH) this.retire(statement);
  }

  place(statement: PreparedStatement, presence: Presence): void {
    const before = this.#statements.get(statement);
    if (before === 'retired') this.#retired--;
    if (before !== undefined) this.#bytes -= statement.definition.length;
    if (presence === undefined) {
      this.#statements.delete(statement);
      if (statement === this.#newest) this.#newest = undefined;
      return;
    }
    if (before === undefined) this.#newest = statement;
    this.#statements.set(statement, presence);
    this.#bytes += statement.definition.length;
    if (presence === 'retired') this.#retired++;
  }

  /** Nobody is to use it here any more: it is closed when the next one comes. */
  retire(statement: PreparedStatement): void {
    if (this.#statements.has(statement)) this.place(statement, 'retired');
  }

  /** None is to be used as it is here: somebody may have dropped it. */
  retireAll(): void {
    for (const statement of this.#statements.keys()) this.place(statement, 'retired');
  }

  clear(): void {
    this.#statements.clear();
    this.#newest = undefined;
    this.#retired = 0;
    this.#bytes = 0;
  }

  [Symbol.iterator](): IterableIterator<[PreparedStatement, Presence]> {
    return this.#statements.entries();
  }

  /**
   * What is to be closed: one that is retired, or the least recently used one if there are more than `limit`, or more than `maxBytes` of
   * text in more than one.
   */
  surplus(limit: number, maxBytes: number): PreparedStatement | undefined {
    if (this.#retired > 0) {
      for (const [statement, presence] of this.#statements) if (presence === 'retired') return statement;
    }
    const { size } = this.#statements;
    if (size <= limit && (size <= 1 || this.#bytes <= maxBytes)) return undefined;
    const [oldest] = this.#statements.keys();
    return oldest;
  }

  /** A message that changes something goes out, in batch number `batch`. */
  changing(batch: number): void {
    this.#changedIn = batch;
  }

  /** The server owes no answer any more. */
  settled(): void {
    this.#changedIn = undefined;
  }

  /** Something may yet fail to be as it is said to be here, and not take with it what is sent in `batch`. */
  isUncertain(batch: number): boolean {
    return this.#changedIn !== undefined && this.#changedIn !== batch;
  }
}
