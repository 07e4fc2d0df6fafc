/**
 * PBKDF2 off the event loop: the one costly step of SCRAM, bounded in how many run and wait, and done once for what stays the same.
 *
 * Node's four pool threads also resolve host names and read files, so derivations never take all of them.
 */
import { hash, pbkdf2 } from 'node:crypto';

const KEY_SIZE = 32;

export interface DerivationLimits {
  readonly concurrency?: number;
  /** More than this waiting is an attack or a stall: better to refuse a login than to fall behind without end. */
  readonly maxWaiting?: number;
}

export class Derivations {
  readonly #concurrency: number;
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor({ concurrency = 2, maxWaiting = 1024 }: DerivationLimits = {}) {
    this.#concurrency = concurrency;
    this.#maxWaiting = maxWaiting;
  }

  get running(): number {
    return this.#running;
  }

  /** PBKDF2-HMAC-SHA-256 of an already prepared password. Rejects if too many wait. */
  async saltedPassword(password: Buffer, salt: Buffer, iterations: number): Promise<Buffer> {
    await this.#slot();
    try {
      return await pbkdf2Sha256(password, salt, iterations);
    } finally {
      // The slot goes straight to the oldest waiter, so that nobody overtakes it.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  async #slot(): Promise<void> {
    if (this.#running < this.#concurrency) {
      this.#running += 1;
      return;
    }
    if (this.#waiting.length >= this.#maxWaiting) throw new Error('too many passwords wait to be derived');
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    await promise;
  }
}

function pbkdf2Sha256(password: Buffer, salt: Buffer, iterations: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    pbkdf2(password, salt, iterations, KEY_SIZE, 'sha256', (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}

/** Derived values by what they were derived from; those unused for longest are forgotten beyond `limit`. */
export class DerivedCache<Value> {
  readonly #limit: number;
  readonly #values = new Map<string, Value | Promise<Value>>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#values.size;
  }

  /** The value at once if it is there; else the promise of it, the same one for all who ask meanwhile. */
  get(inputs: readonly (string | number)[], derive: () => Promise<Value>): Value | Promise<Value> {
    // Hashed, so that no password is kept once more than it has to be.
    const key = hash('sha256', JSON.stringify(inputs));
    const known = this.#values.get(key);
    if (known !== undefined) {
      this.#values.delete(key);
      this.#values.set(key, known);
      return known;
    }
    const derivation = derive().then(
      (value) => {
        if (this.#values.get(key) === derivation) this.#values.set(key, value);
        return value;
      },
      (error: unknown) => {
        if (this.#values.get(key) === derivation) this.#values.delete(key);
        throw error;
      },
    );
    this.#values.set(key, derivation);
    this.#forgetOldest();
    return derivation;
  }

  #forgetOldest(): void {
    for (const key of this.#values.keys()) {
      if (this.#values.size <= this.#limit) return;
      this.#values.delete(key);
    }
  }
}
