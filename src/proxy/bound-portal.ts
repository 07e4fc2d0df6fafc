/** The portal that a client has bound last: what its statement returns, and whether it will drop statements when it is executed. */
import type { PreparedStatement } from '../session/prepared-statements.ts';
import type { NamedStatement } from '../session/statement-changes.ts';

const unnamed = Buffer.of(0);

export class BoundPortal {
  /** Its name, with its zero. */
  #portal: Buffer = unnamed;
  /** The batch in which it was bound, at the end of which it is gone. */
  #batch = -1;
  /** Only of a statement of which nobody knows yet what it returns: once is enough, and drivers ask again and again. */
  #named: NamedStatement | undefined;
  #dropping: PreparedStatement | undefined;

  /** Its name stands in `chunk` from `at` to `end`; `named` is what its statement is called. */
  bind(
    batch: number,
    { chunk, at, end }: { readonly chunk: Buffer; readonly at: number; readonly end: number },
    statement: PreparedStatement | undefined,
    named: NamedStatement | undefined,
  ): void {
    this.#batch = batch;
    this.#named = named?.statement.result === undefined ? named : undefined;
    this.#dropping =
      statement?.forgetsAll === true || statement?.deallocates !== undefined ? statement : undefined;
    if (this.#named === undefined && this.#dropping === undefined) return;
    this.#portal = end - at === 1 ? unnamed : Buffer.from(chunk.subarray(at, end));
  }

  /** The statement of the portal that a message is about, if what it tells of that is news. */
  named(batch: number, chunk: Buffer, at: number, end: number): NamedStatement | undefined {
    return this.#named !== undefined && this.#is(batch, chunk, at, end) ? this.#named : undefined;
  }

  /** What the portal that a message is about runs, if that drops statements. */
  dropping(batch: number, chunk: Buffer, at: number, end: number): PreparedStatement | undefined {
    return this.#dropping !== undefined && this.#is(batch, chunk, at, end) ? this.#dropping : undefined;
  }

  #is(batch: number, chunk: Buffer, at: number, end: number): boolean {
    return batch === this.#batch && this.#portal.equals(chunk.subarray(at, end));
  }
}
