/** Console commands that answer only when something has become true: PAUSE, WAIT_CLOSE, SHUTDOWN. */

/** `done`: it has become true; `aborted`: whoever waited has gone. */
export type Outcome = 'done' | 'aborted';

interface Pending {
  readonly holds: () => boolean;
  readonly settle: (outcome: Outcome) => void;
}

export class Conditions {
  readonly #pending = new Set<Pending>();

  /** Resolves when `holds` does, as seen by `check`, or at once; never rejects. */
  until(holds: () => boolean, signal?: AbortSignal): Promise<Outcome> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve('aborted');
        return;
      }
      const abort = (): void => pending.settle('aborted');
      const pending: Pending = {
        holds,
        settle: (outcome) => {
          this.#pending.delete(pending);
          signal?.removeEventListener('abort', abort);
          resolve(outcome);
        },
      };
      this.#pending.add(pending);
      signal?.addEventListener('abort', abort);
      this.check();
    });
  }

  /** To be called when something may have become true. */
  check(): void {
    for (const pending of this.#pending) if (pending.holds()) pending.settle('done');
  }
}
