/**
 * Host names to addresses, remembered for `dns_max_ttl`. Look-ups go through the system's resolver, because /etc/hosts and
 * search domains must work; that one runs on Node's four threads, which SCRAM's key derivation uses too, so only a few
 * run at a time, and one name is looked up once however many ask.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { systemClock } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';

/** All addresses of a name, in the order of the system's resolver. Rejects when there is none. */
export type LookUp = (host: string) => Promise<readonly string[]>;

export interface ResolverOptions {
  /** dns_max_ttl, in ms; asked at each look-up, so that a RELOAD can change it. */
  readonly ttl: () => number;
  readonly clock?: Clock;
  readonly lookUp?: LookUp;
}

/** How long after its time an answer still serves while fresh ones cannot be had, in ms. */
const STALE = 600_000;
/** How long a refresh may take before the old answer serves, in ms. */
const PATIENCE = 1_000;
/** Failed refreshes of a name are at least so far apart, in ms. */
const RETRY = 1_000;
const CONCURRENT = 2;
/** Names come from the configuration, so this is never reached; it only keeps the table from growing without end. */
const NAMES = 10_000;

interface Entry {
  addresses: readonly string[];
  /** When they were found; undefined before the first answer. */
  foundAt: number | undefined;
  /** No look-up before this. */
  notBefore: number;
  pending: Promise<readonly string[]> | undefined;
  /** Which address comes first next time. */
  turn: number;
}

/** What is remembered of one name. */
export interface KnownHost {
  readonly name: string;
  /** How much longer the answer is used without asking, ms. */
  readonly ttl: number;
  /** None before the first answer, and where there was none. */
  readonly addresses: readonly string[];
}

export class Resolver {
  readonly #ttl: () => number;
  readonly #clock: Clock;
  readonly #lookUp: LookUp;
  readonly #entries = new Map<string, Entry>();
  #running = 0;
  readonly #line: (() => void)[] = [];

  constructor({ ttl, clock = systemClock, lookUp = systemLookUp }: ResolverOptions) {
    this.#ttl = ttl;
    this.#clock = clock;
    this.#lookUp = lookUp;
  }

  /**
   * The addresses to try, in order; with several, each call begins with the next one, so that connections spread. A
   * literal address is its own answer. Rejects with what the look-up said when there is no answer that still serves.
   */
  async resolve(host: string): Promise<readonly string[]> {
    if (isIP(host) !== 0) return [host];
    const entry = this.#entry(host.toLowerCase());
    if (this.#clock.now() >= entry.notBefore) {
      const refreshed = this.#refresh(host, entry);
      await (this.#stillServes(entry) ? atMost(PATIENCE, refreshed) : refreshed);
    }
    const { addresses, turn } = entry;
    entry.turn = (turn + 1) % addresses.length;
    return [...addresses.slice(turn), ...addresses.slice(0, turn)];
  }

  /** All names that have been asked for. */
  *hosts(): Generator<KnownHost, void, undefined> {
    const now = this.#clock.now();
    for (const [name, { addresses, notBefore }] of this.#entries) {
      yield { name, ttl: Math.max(notBefore - now, 0), addresses };
    }
  }

  get hostCount(): number {
    return this.#entries.size;
  }

  /** Look-ups under way, and those that wait their turn. */
  get lookUps(): number {
    return this.#running + this.#line.length;
  }

  #entry(name: string): Entry {
    const known = this.#entries.get(name);
    if (known !== undefined) return known;
    const oldest = this.#entries.keys().next();
    if (this.#entries.size >= NAMES && oldest.done !== true) this.#entries.delete(oldest.value);
    const entry: Entry = {
      addresses: [],
      foundAt: undefined,
      notBefore: -Infinity,
      pending: undefined,
      turn: 0,
    };
    this.#entries.set(name, entry);
    return entry;
  }

  async #refresh(host: string, entry: Entry): Promise<void> {
    try {
      entry.pending ??= this.#inTurn(host);
      const addresses = await entry.pending;
      if (entry.addresses !== addresses) entry.turn = 0;
      entry.addresses = addresses;
      entry.foundAt = this.#clock.now();
      entry.notBefore = entry.foundAt + this.#ttl();
    } catch (error) {
      const now = this.#clock.now();
      if (!this.#stillServes(entry)) throw error;
      entry.notBefore = now + RETRY;
    } finally {
      entry.pending = undefined;
    }
  }

  #stillServes({ foundAt }: Entry): boolean {
    return foundAt !== undefined && this.#clock.now() - foundAt < this.#ttl() + STALE;
  }

  async #inTurn(host: string): Promise<readonly string[]> {
    if (this.#running >= CONCURRENT) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#line.push(resolve);
      await promise; // and inherit the place of the one before
    } else {
      this.#running += 1;
    }
    try {
      const addresses = await this.#lookUp(host);
      if (addresses.length === 0) throw new Error(`no address for ${host}`);
      return addresses;
    } finally {
      const next = this.#line.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}

async function atMost(ms: number, promise: Promise<void>): Promise<void> {
  const { promise: enough, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  try {
    await Promise.race([promise, enough]);
  } finally {
    clearTimeout(timer);
  }
}

async function systemLookUp(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true, order: 'verbatim' });
  return found.map(({ address }) => address);
}
