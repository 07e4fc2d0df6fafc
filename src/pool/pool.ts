/**
 * One pool: hands the servers of one (database entry, pool user) to its clients, and decides which are opened and closed.
 *
 *     acquire ──▶ fresh idle server ──▶ active              release ──▶ its time has come ──▶ closing
 *        └──▶ in line; then as many as wait are tested,        ├──▶ oldest waiter ──▶ active
 *             opened within the limits, or made room for       └──▶ idle
 *
 * The pool is in order whenever it calls the port, so the port may call back at once.
 */
import { invariant } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import { ClientError } from '../protocol/errors.ts';
import { SqlState } from '../protocol/sql-state.ts';
import { Demand } from './demand.ts';
import { offerSlots, type SharedLimit } from './limits.ts';
import { LoginBackoff } from './login-backoff.ts';
import type { PoolSettings } from './pool-settings.ts';
import type { LoginFailure, PooledClient, PooledServer, PoolPort } from './port.ts';
import { ServerRoster } from './server-roster.ts';
import type { ServerState, TestPurpose } from './server-state.ts';
import { type Sweepable, sweepClosing, sweepIdle, sweepLine } from './sweep.ts';
import { isWornOut } from './tenure.ts';
import { WaitingLine } from './waiting-line.ts';

export interface PoolCounts {
  readonly connecting: number;
  readonly idle: number;
  /** Of the idle ones, those idle for so long that they are tested before they are handed out (sv_used). */
  readonly used: number;
  readonly active: number;
  readonly tested: number;
  readonly being_canceled: number;
  readonly closing: number;
  /** Clients in line. */
  readonly waiting: number;
  /** How long the first of them has waited, ms. */
  readonly maxWait: number;
}

export interface PoolOptions<Client extends PooledClient, Server extends PooledServer<Client>> {
  /** Name of the database entry. */
  readonly database: string;
  /** Name of the pool user. */
  readonly user: string;
  readonly port: PoolPort<Client, Server>;
  /** Asked each time, so that RELOAD applies. */
  readonly settings: () => PoolSettings;
  readonly limits: readonly SharedLimit[];
  readonly clock: Clock;
  /** As Math.random. */
  readonly random: () => number;
  /** A server has gone: what waits for that may go on. */
  readonly onServerGone: () => void;
}

/** How long RECONNECT leaves the logins that the last one has caused alone, ms. */
const RECONNECT_PATIENCE = 200;

export class Pool<Client extends PooledClient, Server extends PooledServer<Client>> {
  readonly database: string;
  readonly user: string;
  /** Towards the limits that it shares with other pools. */
  readonly demand: Demand<Client, Server>;
  readonly #port: PoolPort<Client, Server>;
  readonly #settings: () => PoolSettings;
  readonly #clock: Clock;
  readonly #onServerGone: () => void;
  readonly #roster: ServerRoster<Client, Server>;
  readonly #line = new WaitingLine<Client>();
  readonly #backoff = new LoginBackoff();
  #clients = 0;
  #paused = false;
  #refusal: ClientError | undefined;
  #reconnectedAt = -Infinity;

  constructor(options: PoolOptions<Client, Server>) {
    this.database = options.database;
    this.user = options.user;
    this.#port = options.port;
    this.#settings = options.settings;
    this.#clock = options.clock;
    this.#onServerGone = options.onServerGone;
    this.#roster = new ServerRoster(options.limits, (client, server) => options.port.prefers(client, server));
    this.demand = new Demand({
      limits: options.limits,
      roster: this.#roster,
      line: this.#line,
      backoff: this.#backoff,
      settings: options.settings,
      isHeld: () => this.#paused || this.#refusal !== undefined,
      connect: (now) => this.#roster.add(this.#port.connect(this), now, options.random()),
      close: (server, reason) => this.close(server, reason),
    });
    for (const limit of options.limits) limit.add(this.demand);
  }

  // Clients

  /** Logged-in clients that belong here, linked or not. */
  get clients(): number {
    return this.#clients;
  }

  join(): void {
    this.#clients += 1;
  }

  leave(): void {
    invariant(this.#clients > 0, 'a client leaves the pool that it joined');
    this.#clients -= 1;
  }

  /**
   * A server, active for this client already; or the error it is to be told now; or undefined: it waits, and `grant` or `refuse` follows
   * (never before this call has returned) unless it abandons the line.
   */
  acquire(client: Client): Server | ClientError | undefined {
    if (this.#refusal !== undefined) return this.#refusal;
    const now = this.#clock.now();
    if (!this.#paused) {
      const server = this.#line.size === 0 ? this.#chooseIdle(client, now) : undefined;
      if (server !== undefined) {
        this.#link(client, server, now);
        return server;
      }
      const error = this.#downError(now);
      if (error !== undefined) return error;
    }
    this.#line.push(client, now);
    for (const limit of this.demand.limits) limit.waiterCame();
    this.#testIdle(now);
    while (this.demand.open(now));
    return undefined;
  }

  /** A waiter leaves the line. Does nothing for one that is not in it. */
  abandon(client: Client): void {
    if (!this.#line.delete(client)) return;
    for (const limit of this.demand.limits) limit.waiterWent();
  }

  // Servers

  /** A server owes nobody anything. Does nothing for one that is being closed meanwhile. */
  release(server: Server): void {
    const { kind } = server.state;
    if (kind === 'closing' || kind === 'closed') return;
    invariant(kind !== 'idle', 'an idle server is not released again');
    const now = this.#clock.now();
    const reason = this.#closeReason(server, now);
    if (reason !== undefined) {
      this.close(server, reason);
      return;
    }
    const client = this.#line.first;
    if (client !== undefined) {
      this.#grant(client, server, now);
      return;
    }
    const { state } = server;
    const since = state.kind === 'tested' ? (state.idleSince ?? now) : now;
    this.#roster.move(server, { kind: 'idle', since });
    for (const limit of this.demand.limits) if (limit.isContended) limit.makeRoom(now);
  }

  /**
   * Takes a server out of its client's hands while statements of our own, or a cancel request aimed at it, are under way; then `release`.
   * One that was idle goes back to where it was: nobody has used it.
   * False for one that is being closed meanwhile.
   */
  hold(server: Server, purpose: TestPurpose | 'cancel'): boolean {
    const { kind } = server.state;
    if (kind === 'closing' || kind === 'closed') return false;
    const since = this.#clock.now();
    const held: ServerState<Client> =
      purpose === 'cancel'
        ? { kind: 'being_canceled', since }
        : { kind: 'tested', since, purpose, idleSince: kind === 'idle' ? server.state.since : undefined };
    this.#roster.move(server, held);
    // A tested server was on its way to the line; a cancel request may take its time.
    if (kind === 'tested') this.#slotFreed(since);
    return true;
  }

  /** A login has succeeded. */
  connected(server: Server): void {
    this.#backoff.forget();
    this.release(server);
    // The next login may start.
    this.#slotFreed(this.#clock.now());
  }

  /** A login has failed, and its socket is closed. */
  failed(server: Server, failure: LoginFailure): void {
    const { kind } = server.state;
    // A login that we gave up ourselves says nothing about the server.
    if (kind === 'closing' || kind === 'closed') {
      this.closed(server);
      return;
    }
    const now = this.#clock.now();
    this.#backoff.fail(failure, now);
    this.#roster.move(server, { kind: 'closed', reason: failure.error.message });
    if (!failure.transient && !this.#roster.hasUsable) this.#refuseWaiters(failure.error);
    this.#slotFreed(now);
  }

  /** A server's socket has closed, whoever wished it. Says nothing new about one that is closed already. */
  closed(server: Server, reason = 'server closed the connection'): void {
    const { state } = server;
    if (state.kind === 'closed') return;
    if (state.kind === 'connecting') {
      // Were it not taken as a failure, the next login would begin at once, and the next.
      const error = new ClientError(reason, { sqlState: SqlState.connectionFailure });
      this.failed(server, { error, transient: false });
      return;
    }
    const now = this.#clock.now();
    this.#roster.move(server, { kind: 'closed', reason: state.kind === 'closing' ? state.reason : reason });
    const error = this.#downError(now);
    if (error !== undefined) this.#refuseWaiters(error);
    this.#slotFreed(now);
  }

  /** Closes a server whatever it does. */
  close(server: Server, reason: string): void {
    const { kind } = server.state;
    if (kind === 'closing' || kind === 'closed') return;
    const now = this.#clock.now();
    this.#roster.move(server, { kind: 'closing', since: now, reason });
    this.#port.close(server, reason);
    // Somebody may have counted on it.
    if (kind === 'connecting' || kind === 'tested') this.#slotFreed(now);
  }

  /** Marks one server close_needed: it is closed now if nobody uses it, else when it is released. */
  retire(server: Server): void {
    const tenure = this.#roster.tenure(server.id);
    if (tenure === undefined) return;
    tenure.generation = 0;
    if (isSpare(server)) this.close(server, 'close_needed');
  }

  closeNeeded(server: Server): boolean {
    const tenure = this.#roster.tenure(server.id);
    return tenure !== undefined && this.#roster.closeNeeded(tenure);
  }

  /** When its login began. */
  connectedAt(server: Server): number | undefined {
    return this.#roster.tenure(server.id)?.connectedAt;
  }

  // Time

  /** To be called a few times a second: everything that happens because time passes or a setting has changed. */
  tick(now: number): void {
    const settings = this.#settings();
    const inside: Sweepable<Client, Server> = {
      pool: this,
      port: this.#port,
      roster: this.#roster,
      line: this.#line,
    };
    this.demand.settleDebt();
    sweepIdle(inside, settings, now);
    sweepClosing(inside, settings, now);
    if (!this.#paused) sweepLine(inside, settings, now);
    this.#slotFreed(now);
    this.demand.keepMinimum(this.#clients, now);
  }

  // The console

  get isPaused(): boolean {
    return this.#paused;
  }

  /** Links nobody any more, closes what nobody uses, and the rest as it is released. */
  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#line.stopClock(this.#clock.now());
    this.#closeSpare('pause mode');
  }

  resume(): void {
    if (!this.#paused) return;
    const now = this.#clock.now();
    this.#paused = false;
    this.#line.startClock(now);
    this.#slotFreed(now);
  }

  /** Every server there is now becomes close_needed, and logins are tried again at once, whatever happened before. */
  reconnect(): void {
    const now = this.#clock.now();
    this.#reconnectedAt = now;
    this.#roster.nextGeneration();
    this.#backoff.forget();
    this.#closeSpare('close_needed');
    this.#slotFreed(now);
  }

  /** Clients wait for the servers that the last RECONNECT has made necessary, which were given no time yet to log in. */
  get isReconnecting(): boolean {
    return this.#line.size > 0 && this.#clock.now() - this.#reconnectedAt < RECONNECT_PATIENCE;
  }

  /** Refuses every waiter and closes every server, used or not. Clients that do not wait are not the pool's business. */
  kill(error: ClientError, reason: string): void {
    this.#refuseWaiters(error);
    for (const server of this.#roster.toArray()) this.close(server, reason);
  }

  /** From now on nobody waits: who is in line or comes is told `error`. undefined ends that. */
  refuseAll(error: ClientError | undefined): void {
    this.#refusal = error;
    if (error !== undefined) this.#refuseWaiters(error);
  }

  /** Takes an unused pool out of its limits. */
  dispose(): void {
    invariant(this.isUnused, 'only a pool that nobody uses is dropped');
    for (const limit of this.demand.limits) limit.remove(this.demand);
  }

  // What there is

  /** Servers that take a slot, closing ones included. */
  get size(): number {
    return this.#roster.size;
  }

  get active(): number {
    return this.#roster.count.active;
  }

  get waiting(): number {
    return this.#line.size;
  }

  /** Neither clients nor servers. */
  get isUnused(): boolean {
    return this.#clients === 0 && this.#roster.size === 0 && this.#line.size === 0;
  }

  /** Some server is close_needed and not gone yet. */
  get hasCloseNeeded(): boolean {
    return this.#roster.hasCloseNeeded;
  }

  /** max_db_connections or max_user_connections was lowered, and servers have to go. */
  get isOverSharedLimit(): boolean {
    for (const limit of this.demand.limits) if (limit.isExceeded) return true;
    return false;
  }

  counts(): PoolCounts {
    const now = this.#clock.now();
    const { connecting, idle, active, tested, being_canceled, closing } = this.#roster.count;
    const used = this.#roster.idle.countStale(this.#settings(), now);
    const maxWait = now - (this.demand.waitingSince ?? now);
    return {
      connecting,
      idle,
      used,
      active,
      tested,
      being_canceled,
      closing,
      waiting: this.#line.size,
      maxWait,
    };
  }

  servers(): readonly Server[] {
    return this.#roster.toArray();
  }

  /** First come first. */
  waiters(): readonly Client[] {
    return this.#line.toArray();
  }

  // How

  /** The error for those who would wait while the server is known to be down. */
  #downError(now: number): ClientError | undefined {
    if (!this.#backoff.isFailing || this.#roster.hasUsable) return undefined;
    return this.#backoff.cachedError(now, this.#settings().serverLoginRetry);
  }

  #chooseIdle(client: Client, now: number): Server | undefined {
    const last = this.#roster.tenure(client.lastServerId)?.server;
    return this.#roster.idle.choose(client, last, this.#settings(), now);
  }

  #link(client: Client, server: Server, now: number): void {
    client.lastServerId = server.id;
    this.#roster.move(server, { kind: 'active', since: now, client });
  }

  #grant(client: Client, server: Server, now: number): void {
    this.abandon(client);
    this.#link(client, server, now);
    this.#port.grant(client, server);
  }

  /** Why a server that is free from now on is closed rather than kept. */
  #closeReason(server: Server, now: number): string | undefined {
    if (this.#paused) return 'pause mode';
    const tenure = this.#roster.tenure(server.id);
    if (tenure === undefined || this.#roster.closeNeeded(tenure)) return 'close_needed';
    const settings = this.#settings();
    if (isWornOut(tenure, server.state, settings, now)) return 'server lifetime over';
    const { poolSize, reservePoolSize } = settings;
    if (poolSize > 0 && this.#roster.live > poolSize + reservePoolSize) return 'too many servers in the pool';
    if (this.isOverSharedLimit) return 'too many servers in the pool';
    return this.demand.settleDebt() ? 'evicted' : undefined;
  }

  /** Idle servers that may have died are tested for those who wait; the first in line stays so meanwhile. */
  #testIdle(now: number): void {
    while (!this.#paused && this.#line.size > this.#roster.onTheWay) {
      const server = this.#roster.idle.toTest(this.#settings(), now);
      if (server === undefined) return;
      this.#roster.move(server, { kind: 'tested', since: now, purpose: 'check' });
      this.#port.test(server);
    }
  }

  /** The same, for idle servers that need no test. There are such beside a line only after a change of settings. */
  #grantIdle(now: number): void {
    while (!this.#paused && this.#line.size > this.#roster.onTheWay) {
      const client = this.#line.first;
      const server = client === undefined ? undefined : this.#chooseIdle(client, now);
      if (client === undefined || server === undefined) return;
      this.#grant(client, server, now);
    }
  }

  /** A slot may be free, of this pool or of a limit: who has waited longest under the limits concerned has it. */
  #slotFreed(now: number): void {
    this.#grantIdle(now);
    this.#testIdle(now);
    offerSlots(this.demand, now);
    this.#onServerGone();
  }

  #closeSpare(reason: string): void {
    for (const server of this.#roster.toArray()) if (isSpare(server)) this.close(server, reason);
  }

  #refuseWaiters(error: ClientError): void {
    // Those in line now: who is refused may come back at once, and is not to be met a second time.
    for (const client of this.#line.toArray()) {
      if (client.waiting === undefined) continue;
      this.abandon(client);
      this.#port.refuse(client, error);
    }
  }
}

/** Closing it disturbs nobody. A tested server comes back by itself, and is met then. */
function isSpare(server: PooledServer<unknown>): boolean {
  return server.state.kind === 'idle' || server.state.kind === 'connecting';
}
