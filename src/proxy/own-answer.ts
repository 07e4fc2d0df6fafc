/** What comes back for statements of ours on a server that no client has. */
import type { ErrorFields } from '../protocol/error-fields.ts';

/** What a statement of ours brought. */
export interface Answer {
  readonly error: ErrorFields | undefined;
  readonly rows: readonly (readonly (string | null)[])[];
}

const MAX_ROWS = 100;

export class OwnAnswer {
  #error: ErrorFields | undefined;
  #rows: (string | null)[][] = [];
  #done: ((answer: Answer) => void) | undefined;

  get error(): ErrorFields | undefined {
    return this.#error;
  }

  /** Somebody waits for it. */
  get isAwaited(): boolean {
    return this.#done !== undefined;
  }

  /** From now on what comes is for `done`. */
  await(done: (answer: Answer) => void): void {
    this.#error = undefined;
    this.#rows = [];
    this.#done = done;
  }

  row(row: (string | null)[]): void {
    if (this.#rows.length < MAX_ROWS) this.#rows.push(row);
  }

  failed(error: ErrorFields): void {
    this.#error ??= error;
  }

  /** It is complete. */
  deliver(): void {
    const done = this.#done;
    this.#done = undefined;
    done?.({ error: this.#error, rows: this.#rows });
  }
}
