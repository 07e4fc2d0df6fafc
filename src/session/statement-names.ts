/** What one client calls its prepared statements, and how much is held for that. */
import type { NamedStatement } from './statement-changes.ts';

/** What a statement takes besides its text and name, in bytes: measured, and rounded up. */
const OVERHEAD = 1024;

/** What `named` takes, in bytes. Texts count for each client, also where several share them. */
export const sizeOfNamed = ({ name, statement }: NamedStatement): number =>
  OVERHEAD + name.length + statement.definition.length;

export class StatementNames {
  /** By `statementKey`. */
  readonly #named = new Map<string, NamedStatement>();
  #bytes = 0;

  /** How many there are. */
  get size(): number {
    return this.#named.size;
  }

  /** What all of them take. */
  get bytes(): number {
    return this.#bytes;
  }

  get(key: string): NamedStatement | undefined {
    return this.#named.get(key);
  }

  has(key: string): boolean {
    return this.#named.has(key);
  }

  /** From now on `key` stands for `named`; undefined: for nothing. */
  set(key: string, named: NamedStatement | undefined): void {
    const before = this.#named.get(key);
    if (before !== undefined) this.#bytes -= sizeOfNamed(before);
    if (named === undefined) {
      this.#named.delete(key);
      return;
    }
    this.#bytes += sizeOfNamed(named);
    this.#named.set(key, named);
  }

  clear(): void {
    this.#named.clear();
    this.#bytes = 0;
  }

  [Symbol.iterator](): IterableIterator<[string, NamedStatement]> {
    return this.#named.entries();
  }
}
