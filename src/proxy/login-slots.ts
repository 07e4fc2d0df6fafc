/**
 * How many logins are worked on at a time (max_client_logins); the rest waits its turn, oldest first.
 *
 * What is scarce is our time, not the client's: a login that has kept us waiting gives its slot away and goes on without, so that
 * clients who send nothing cannot keep everybody else out.
 */

/** How long a login may hold a slot, ms. */
const SLOT_TIME = 1000;

export class LoginSlots {
  readonly #limit: () => number;
  readonly #line: (() => void)[] = [];
  #taken = 0;

  constructor(limit: () => number) {
    this.#limit = limit;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Resolves, when its turn has come, to what gives the slot back; calling that twice is harmless. */
  async take(): Promise<() => void> {
    if (this.#taken < this.#limit()) this.#taken++;
    else {
      await new Promise<void>((resolve) => {
        this.#line.push(resolve);
      });
    }
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      clearTimeout(timer);
      const next = this.#line.shift();
      // The slot goes straight to the oldest waiter.
      if (next === undefined) this.#taken--;
      else next();
    };
    const timer = setTimeout(release, SLOT_TIME);
    return release;
  }
}
