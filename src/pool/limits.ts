/**
 * A limit that several pools share: max_db_connections over the pools of a database entry, max_user_connections over those of a pool user.
 *
 * A slot is taken from the start of a login until the server has closed its side, so the limit holds by PostgreSQL's own count.
 * A free slot goes to the pool whose first client without a server on its way has waited longest.
 */
import { invariant } from '../base/assert.ts';

/** How much longer a client may wait than those of another pool under the same limit before that pool gives up a server. */
const UNFAIR_AFTER = 1000;

/** What a limit must know of a pool, and may ask of it. */
export interface LimitedPool {
  readonly limits: readonly SharedLimit[];
  readonly active: number;
  readonly closing: number;
  /** Since when its longest-idle server is idle. */
  readonly idleSince: number | undefined;
  /** How many logins it would start now if the shared limits had room. */
  wanted(now: number): number;
  /** Since when its first client waits for which no server is on its way. */
  readonly unservedSince: number | undefined;
  /** Since when its first client waits. */
  readonly waitingSince: number | undefined;
  /** Starts one login; false if it wants none or a limit has no room. */
  open(now: number): boolean;
  /** Closes its longest-idle server. */
  evict(): void;
  /** Its next released server is closed, for another pool. */
  owe(): void;
}

export class SharedLimit {
  readonly #max: () => number;
  readonly #pools = new Set<LimitedPool>();
  #servers = 0;
  #waiting = 0;

  /** `max` is asked each time, so that RELOAD applies; 0 = no limit. */
  constructor(max: () => number) {
    this.#max = max;
  }

  /** Servers that take a slot, over all its pools. */
  get servers(): number {
    return this.#servers;
  }

  get isFull(): boolean {
    const max = this.#max();
    return max > 0 && this.#servers >= max;
  }

  /** The limit was lowered, and more servers stay than it allows now. */
  get isExceeded(): boolean {
    const max = this.#max();
    if (max === 0 || this.#servers <= max) return false;
    let staying = this.#servers;
    for (const pool of this.#pools) staying -= pool.closing;
    return staying > max;
  }

  /** Somebody waits, and only a server that closes can help. */
  get isContended(): boolean {
    return this.#waiting > 0 && this.isFull;
  }

  /** No pool is under it any more. */
  get isEmpty(): boolean {
    return this.#pools.size === 0;
  }

  /** Adds the pools whose clients may be waiting for a slot of this limit. */
  addWaiting(pools: Set<LimitedPool>): void {
    if (this.#waiting === 0 || this.#max() === 0) return;
    for (const pool of this.#pools) if (pool.waitingSince !== undefined) pools.add(pool);
  }

  add(pool: LimitedPool): void {
    this.#pools.add(pool);
  }

  remove(pool: LimitedPool): void {
    this.#pools.delete(pool);
  }

  serverCame(): void {
    invariant(!this.isFull, 'a login starts only where the limit has room');
    this.#servers += 1;
  }

  serverWent(): void {
    this.#servers -= 1;
  }

  waiterCame(): void {
    this.#waiting += 1;
  }

  waiterWent(): void {
    this.#waiting -= 1;
  }

  /** Closes the longest-idle server under a full limit, unless enough servers are on their way out already. */
  makeRoom(now: number): void {
    let needed = 0;
    let victim: LimitedPool | undefined;
    let victimSince = Infinity;
    for (const pool of this.#pools) {
      needed -= pool.closing;
      if (this.#isItsOnlyObstacle(pool)) needed += pool.wanted(now);
      const since = pool.idleSince;
      if (since !== undefined && since < victimSince) {
        victim = pool;
        victimSince = since;
      }
    }
    if (needed > 0) victim?.evict();
  }

  /**
   * Under a full limit, clients of a pool that has no server would wait for as long as the other pools stay busy. A pool whose clients
   * wait notably less then gives up one server, at its release.
   */
  rebalance(now: number): void {
    if (!this.isContended) return;
    let neediest: LimitedPool | undefined;
    let neediestSince = Infinity;
    let donor: LimitedPool | undefined;
    let donorSince = -Infinity;
    for (const pool of this.#pools) {
      // A slot is on its way, or an idle server is being given up: see first who gets that.
      if (pool.closing > 0 || pool.idleSince !== undefined) return;
      const unserved = this.#isItsOnlyObstacle(pool) && pool.wanted(now) > 0 ? pool.unservedSince : undefined;
      if (unserved !== undefined && unserved < neediestSince) {
        neediest = pool;
        neediestSince = unserved;
      }
      const waiting = pool.waitingSince;
      if (pool.active > 0 && waiting !== undefined && waiting > donorSince) {
        donor = pool;
        donorSince = waiting;
      }
    }
    if (neediest !== donor && donorSince - neediestSince >= UNFAIR_AFTER) donor?.owe();
  }

  /** A pool that another limit holds back for good has no use for room here. */
  #isItsOnlyObstacle(pool: LimitedPool): boolean {
    for (const limit of pool.limits)
      if (limit !== this && limit.isFull && !limit.#canMakeRoom()) return false;
    return true;
  }

  #canMakeRoom(): boolean {
    for (const pool of this.#pools) if (pool.closing > 0 || pool.idleSince !== undefined) return true;
    return false;
  }
}

/** Offers what slots are free to `freed` and to the pools it shares limits with, the one that has waited longest first, until none can take any. */
export function offerSlots(freed: LimitedPool, now: number): void {
  const candidates = new Set([freed]);
  for (const limit of freed.limits) limit.addWaiting(candidates);
  for (;;) {
    let next: LimitedPool | undefined;
    let nextSince = Infinity;
    for (const pool of candidates) {
      const since = pool.wanted(now) > 0 ? pool.unservedSince : undefined;
      if (since !== undefined && since < nextSince) {
        next = pool;
        nextSince = since;
      }
    }
    if (next === undefined) return;
    if (!next.open(now)) candidates.delete(next);
  }
}
