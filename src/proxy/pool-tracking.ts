/** What a pool remembers of its sessions' state: how it deals with it, what is usual, and which functions have proved harmless. */
import type { Clock } from '../base/clock.ts';
import type { PoolerStats } from '../observability/counters.ts';
import { FunctionSamples } from '../session/function-samples.ts';
import { isCustom } from '../session/settled-state.ts';
import { UsualValues } from '../session/usual-values.ts';

/**
 * What happens to session state in transaction mode: followed by asking the server ("track"), the same and cleaned at every change of
 * client ("strict"), a client that has any keeps its server ("pin"), or only what is reported follows ("off").
 */
export type SessionPolicy = 'track' | 'strict' | 'pin' | 'off';

/** Names of applications come from the network: so many are remembered. */
const MAX_APPLICATIONS = 1000;

export interface PoolTrackingOptions {
  readonly clock: Clock;
  readonly stats: PoolerStats;
  /** Asked each time, so that RELOAD applies. */
  readonly configured: () => SessionPolicy;
}

export class PoolTracking {
  readonly functions = new FunctionSamples();
  readonly stats: PoolerStats;
  /** Some client has asked for currval or lastval: no change of client leaves them there any more. */
  readsSequences = false;
  readonly #clock: Clock;
  readonly #configured: () => SessionPolicy;
  readonly #usual = new UsualValues();
  readonly #pinnedApplications = new Set<string>();
  /** State was found that no text or tag had shown. */
  #isStrict = false;

  constructor({ clock, stats, configured }: PoolTrackingOptions) {
    this.stats = stats;
    this.#clock = clock;
    this.#configured = configured;
  }

  get policy(): SessionPolicy {
    const configured = this.#configured();
    return configured === 'track' && this.#isStrict ? 'strict' : configured;
  }

  /** Whether nobody of this application has been pinned by this yet. */
  isFirstPin(applicationName: string, reasons: string): boolean {
    const key = `${applicationName}\0${reasons}`;
    if (this.#pinnedApplications.has(key)) return false;
    if (this.#pinnedApplications.size < MAX_APPLICATIONS) this.#pinnedApplications.add(key);
    return true;
  }

  /** From now on every change of client is cleaned. */
  turnStrict(): void {
    this.#isStrict = true;
  }

  usual(name: string): string | undefined {
    return this.#usual.get(name);
  }

  usualMissing(names: readonly string[]): boolean {
    return this.#usual.areMissing(
      names.filter((name) => !isCustom(name)),
      this.#clock.now(),
    );
  }

  learnUsual(values: ReadonlyMap<string, string | null>): void {
    this.#usual.learn(values, this.#clock.now());
  }
}
