/** Functions that PostgreSQL does not ship may leave anything behind; those that never did are asked about less and less often. */

/** After so many calls that left nothing… */
const TRUST_AFTER = 32;
/** … only each so manyth is asked about. */
const SAMPLE = 16;
const MAX_FUNCTIONS = 2000;

export class FunctionSamples {
  readonly #cleanCalls = new Map<string, number>();

  /** One of `names` has been called: is the server to be asked what it left? */
  isDue(names: Iterable<string>): boolean {
    let due = false;
    for (const name of names) {
      const calls = this.#cleanCalls.get(name) ?? 0;
      if (calls >= TRUST_AFTER) this.#cleanCalls.set(name, calls + 1);
      due ||= calls < TRUST_AFTER || calls % SAMPLE === 0;
    }
    return due;
  }

  /** The server was asked after calls of `names`. */
  learn(names: Iterable<string>, clean: boolean): void {
    if (this.#cleanCalls.size > MAX_FUNCTIONS) this.#cleanCalls.clear();
    for (const name of names) {
      const calls = this.#cleanCalls.get(name) ?? 0;
      if (!clean) this.#cleanCalls.set(name, 0);
      else if (calls < TRUST_AFTER) this.#cleanCalls.set(name, calls + 1);
    }
  }
}
