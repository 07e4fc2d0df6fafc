/** Waiting for a condition instead of for time: a test that sleeps is either slow or wrong. */
import { setTimeout as delay } from 'node:timers/promises';

export interface UntilOptions {
  /** In ms. */
  readonly timeout?: number;
  /** What is waited for, as it reads in "gave up waiting until …"; a function may say how far it got. */
  readonly what?: string | (() => string);
  /** In ms, between two looks. */
  readonly interval?: number;
}

type Falsy = false | undefined | null;

/** Looks again and again until `condition` gives something, and returns that. Throws after `timeout`. */
export async function until<T>(
  condition: () => T | Falsy | Promise<T | Falsy>,
  { timeout = 10_000, what = condition.toString(), interval = 5 }: UntilOptions = {},
): Promise<T> {
  const giveUpAt = performance.now() + timeout;
  for (;;) {
    const result = await condition();
    if (result !== false && result !== undefined && result !== null) return result;
    if (performance.now() > giveUpAt) {
      const claim = typeof what === 'string' ? what : what();
      throw new Error(`gave up after ${String(timeout)} ms waiting until ${claim}`);
    }
    await delay(interval);
  }
}
