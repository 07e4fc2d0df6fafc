/** Time, as a value that is handed in: the daemon uses the real clock, tests use one that they move. */
// Not the global of that name: it is an accessor, which costs more than the clock.
import { performance } from 'node:perf_hooks';

export interface Clock {
  /** Monotonic time in milliseconds, with fractions; only differences mean anything. */
  now(): number;
}

export const systemClock: Clock = {
  now: () => performance.now(),
};

/** A clock that stands still until it is moved, for tests and simulations. */
export class ManualClock implements Clock {
  #now = 0;

  now(): number {
    return this.#now;
  }

  advance(milliseconds: number): void {
    this.#now += milliseconds;
  }
}
