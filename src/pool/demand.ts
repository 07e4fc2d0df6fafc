/** What one pool wants of the limits that it shares with others: how many logins it would start now, and what it can give up. */
import type { LimitedPool, SharedLimit } from './limits.ts';
import type { LoginBackoff } from './login-backoff.ts';
import type { PoolSettings } from './pool-settings.ts';
import type { PooledClient, PooledServer } from './port.ts';
import type { ServerRoster } from './server-roster.ts';
import type { WaitingLine } from './waiting-line.ts';

export interface DemandOptions<Client extends PooledClient, Server extends PooledServer<Client>> {
  readonly limits: readonly SharedLimit[];
  readonly roster: ServerRoster<Client, Server>;
  readonly line: WaitingLine<Client>;
  readonly backoff: LoginBackoff;
  /** Asked each time, so that RELOAD applies. */
  readonly settings: () => PoolSettings;
  /** The pool is paused, or nobody may wait in it any more: no login starts. */
  readonly isHeld: () => boolean;
  /** Starts a login. */
  readonly connect: (now: number) => void;
  readonly close: (server: Server, reason: string) => void;
}

export class Demand<Client extends PooledClient, Server extends PooledServer<Client>> implements LimitedPool {
  readonly limits: readonly SharedLimit[];
  readonly #inside: DemandOptions<Client, Server>;
  /** A released server is to be closed for another pool under the same limit. */
  #owes = false;

  constructor(options: DemandOptions<Client, Server>) {
    this.limits = options.limits;
    this.#inside = options;
  }

  get active(): number {
    return this.#inside.roster.count.active;
  }

  get closing(): number {
    return this.#inside.roster.count.closing;
  }

  get idleSince(): number | undefined {
    const state = this.#inside.roster.idle.oldest?.state;
    return state?.kind === 'idle' ? state.since : undefined;
  }

  get waitingSince(): number | undefined {
    return this.#inside.line.first?.waiting?.since;
  }

  get unservedSince(): number | undefined {
    const { line, roster } = this.#inside;
    return line.arrival(roster.onTheWay);
  }

  wanted(now: number): number {
    const { line, roster } = this.#inside;
    const unserved = line.size - roster.onTheWay;
    if (unserved <= 0 || !this.#mayOpen(now)) return 0;
    return Math.min(unserved, this.#sizeLimit(now) - roster.size, this.#loginRoom);
  }

  open(now: number): boolean {
    if (this.wanted(now) <= 0) return false;
    let hasRoom = true;
    for (const limit of this.limits) {
      if (!limit.isFull) continue;
      hasRoom = false;
      limit.makeRoom(now);
    }
    if (hasRoom) this.#inside.connect(now);
    return hasRoom;
  }

  /** Opens what min_pool_size asks for; `clients` are those of the pool, linked or not. */
  keepMinimum(clients: number, now: number): void {
    const { roster, settings, connect } = this.#inside;
    const { minPoolSize, poolSize, forcedUser } = settings();
    if (minPoolSize === 0 || (!forcedUser && clients === 0) || !this.#mayOpen(now)) return;
    const minimum = poolSize > 0 ? Math.min(minPoolSize, poolSize) : minPoolSize;
    while (roster.size < minimum && this.#loginRoom > 0 && this.limits.every((limit) => !limit.isFull)) {
      connect(now);
    }
  }

  evict(): void {
    const { roster, close } = this.#inside;
    const server = roster.idle.oldest;
    if (server !== undefined) close(server, 'evicted');
  }

  owe(): void {
    this.#owes = true;
  }

  /** What was owed is taken back, or paid by whoever asks: true if there was something. */
  settleDebt(): boolean {
    const owed = this.#owes;
    this.#owes = false;
    return owed;
  }

  /** Logins that may start now. While logins fail, one at a time finds out whether they still do. */
  get #loginRoom(): number {
    const { backoff, settings, roster } = this.#inside;
    return (backoff.isFailing ? 1 : settings().serverLoginConcurrency) - roster.count.connecting;
  }

  #mayOpen(now: number): boolean {
    const { isHeld, backoff, settings } = this.#inside;
    return !isHeld() && !backoff.holds(now, settings().serverLoginRetry);
  }

  /** pool_size, and the reserve if the first in line has waited long enough for it. */
  #sizeLimit(now: number): number {
    const { line, settings } = this.#inside;
    const { poolSize, reservePoolSize, reservePoolTimeout } = settings();
    if (poolSize === 0) return Infinity;
    const { first } = line;
    if (first === undefined || reservePoolTimeout === 0) return poolSize;
    return line.waited(first, now) >= reservePoolTimeout ? poolSize + reservePoolSize : poolSize;
  }
}
