/** All pools, by database entry and pool user: opened on demand, dropped when long unused, and paused, killed, reconnected together. */
import type { Clock } from '../base/clock.ts';
import type { ClientError } from '../protocol/errors.ts';
import { Conditions, type Outcome } from './conditions.ts';
import { SharedLimit } from './limits.ts';
import { consoleError, Pauses } from './pauses.ts';
import { Pool } from './pool.ts';
import type { PoolSettings } from './pool-settings.ts';
import type { PooledClient, PooledServer, PoolPort } from './port.ts';

/** What one pool is to be like. */
export interface PoolPlan<Client extends PooledClient, Server extends PooledServer<Client>> {
  readonly port: PoolPort<Client, Server>;
  readonly settings: () => PoolSettings;
  /** After how long without clients and servers it is dropped (autodb_idle_timeout, pool_idle_timeout), ms; 0 = never. */
  readonly dropAfter: () => number;
}

export interface PoolSetOptions<Client extends PooledClient, Server extends PooledServer<Client>> {
  readonly clock: Clock;
  readonly plan: (database: string, user: string) => PoolPlan<Client, Server>;
  /** max_db_connections of a database entry; 0 = no limit. */
  readonly maxDbConnections: (database: string) => number;
  /** max_user_connections of a pool user; 0 = no limit. */
  readonly maxUserConnections: (user: string) => number;
  /** Defaults to Math.random. */
  readonly random?: () => number;
  /** A pool has been dropped; its totals go with it. */
  readonly onDrop?: (pool: Pool<Client, Server>) => void;
}

interface Entry<Client extends PooledClient, Server extends PooledServer<Client>> {
  readonly pool: Pool<Client, Server>;
  readonly dropAfter: () => number;
  unusedSince: number | undefined;
  /** Its database is gone: it goes with its last server. */
  removed: boolean;
}

export class PoolSet<Client extends PooledClient, Server extends PooledServer<Client>> {
  readonly #options: PoolSetOptions<Client, Server>;
  readonly #databases = new Map<string, Map<string, Entry<Client, Server>>>();
  readonly #databaseLimits = new Map<string, SharedLimit>();
  readonly #userLimits = new Map<string, SharedLimit>();
  readonly #pauses = new Pauses();
  readonly #conditions = new Conditions();
  #refusal: ClientError | undefined;

  constructor(options: PoolSetOptions<Client, Server>) {
    this.#options = options;
  }

  /** The pool of a pair, opened if there is none. */
  open(database: string, user: string): Pool<Client, Server> {
    const entry = this.#databases.get(database)?.get(user);
    if (entry === undefined) return this.#create(database, user);
    if (entry.removed) {
      // Its database has come back before its last server had gone.
      entry.removed = false;
      this.#begin(entry.pool);
    }
    return entry.pool;
  }

  find(database: string, user: string): Pool<Client, Server> | undefined {
    return this.#databases.get(database)?.get(user)?.pool;
  }

  /** The pools of one database entry; without a name all of them. */
  *pools(database?: string): Generator<Pool<Client, Server>, void, undefined> {
    for (const { pool } of this.#entries(database)) yield pool;
  }

  /** Servers of a database entry that take a slot: current_connections of SHOW DATABASES. */
  databaseServers(database: string): number {
    return this.#databaseLimits.get(database)?.servers ?? 0;
  }

  /** The same for a pool user: current_connections of SHOW USERS. */
  userServers(user: string): number {
    return this.#userLimits.get(user)?.servers ?? 0;
  }

  /** To be called a few times a second. */
  tick(now: number): void {
    for (const entry of Array.from(this.#entries())) {
      entry.pool.tick(now);
      this.#dropIfUnused(entry, now);
    }
    for (const limit of this.#databaseLimits.values()) limit.rebalance(now);
    for (const limit of this.#userLimits.values()) limit.rebalance(now);
    this.#conditions.check();
  }

  // The console

  /** Who is paused or disabled. */
  get pauses(): Pick<Pauses, 'isEverythingPaused' | 'isDatabasePaused' | 'isDisabled' | 'covers'> {
    return this.#pauses;
  }

  /** PAUSE [database]: takes effect at once; `drained` tells when no server is left. */
  pause(database?: string): ClientError | undefined {
    const error = this.#pauses.pause(database);
    if (error !== undefined) return error;
    for (const pool of this.pools(database)) pool.pause();
    return undefined;
  }

  /** RESUME [database]. */
  resume(database?: string): ClientError | undefined {
    if (this.#refusal !== undefined) return consoleError('pooler is shutting down');
    const error = this.#pauses.resume(database);
    if (error !== undefined) return error;
    for (const pool of this.pools(database)) if (!this.#pauses.covers(pool.database)) pool.resume();
    this.#conditions.check();
    return undefined;
  }

  /** Until a pause has left no server, by PostgreSQL's count, or has been ended by RESUME. */
  drained(database?: string, signal?: AbortSignal): Promise<Outcome> {
    return this.#conditions.until(
      () => !this.#isPaused(database) || this.#every(database, isDrained),
      signal,
    );
  }

  /** KILL [database]: pauses, refuses all waiters with `error` and closes all servers. Linked clients are the proxy's to tell. */
  kill(error: ClientError, database?: string): ClientError | undefined {
    const refused = this.pause(database);
    if (refused !== undefined) return refused;
    for (const pool of this.pools(database)) pool.kill(error, error.message);
    return undefined;
  }

  /** RECONNECT [database]. */
  reconnect(database?: string): void {
    for (const pool of this.pools(database)) pool.reconnect();
  }

  /** Until another RECONNECT would not starve those who wait: in a loop it would give up every login before it is through. */
  mayReconnect(database?: string, signal?: AbortSignal): Promise<Outcome> {
    return this.#conditions.until(() => this.#every(database, (pool) => !pool.isReconnecting), signal);
  }

  /** WAIT_CLOSE [database]: until every server that is close_needed has gone. */
  reconnected(database?: string, signal?: AbortSignal): Promise<Outcome> {
    return this.#conditions.until(() => this.#every(database, hasNoCloseNeeded), signal);
  }

  disable(database: string): void {
    this.#pauses.disable(database);
  }

  enable(database: string): void {
    this.#pauses.enable(database);
  }

  /**
   * SHUTDOWN WAIT_FOR_SERVERS: who waits or will wait is told `error`, who has a server may finish; resolves when no server is left.
   */
  drain(error: ClientError): Promise<Outcome> {
    this.#refusal = error;
    for (const pool of this.pools()) {
      pool.refuseAll(error);
      pool.pause();
    }
    return this.#conditions.until(() => this.#every(undefined, isDrained));
  }

  /** A database entry is gone from the configuration: waiters are told `error`, servers are closed, pools go with their last server. */
  remove(database: string, error: ClientError): void {
    for (const entry of this.#entries(database)) {
      entry.removed = true;
      entry.pool.refuseAll(error);
      entry.pool.pause();
      entry.pool.kill(error, error.message);
    }
    this.#pauses.forget(database);
  }

  // How

  *#entries(database?: string): Generator<Entry<Client, Server>, void, undefined> {
    if (database !== undefined) {
      const users = this.#databases.get(database);
      if (users !== undefined) yield* users.values();
      return;
    }
    for (const users of this.#databases.values()) yield* users.values();
  }

  #every(database: string | undefined, claim: (pool: Pool<Client, Server>) => boolean): boolean {
    for (const pool of this.pools(database)) if (!claim(pool)) return false;
    return true;
  }

  #isPaused(database: string | undefined): boolean {
    return database === undefined ? this.#pauses.isEverythingPaused : this.#pauses.covers(database);
  }

  #create(database: string, user: string): Pool<Client, Server> {
    const { clock, random = Math.random, plan } = this.#options;
    const { port, settings, dropAfter } = plan(database, user);
    const pool = new Pool<Client, Server>({
      database,
      user,
      port,
      settings,
      limits: [
        limitOf(this.#databaseLimits, database, this.#options.maxDbConnections),
        limitOf(this.#userLimits, user, this.#options.maxUserConnections),
      ],
      clock,
      random,
      onServerGone: () => this.#conditions.check(),
    });
    this.#begin(pool);
    const users = this.#databases.get(database) ?? new Map<string, Entry<Client, Server>>();
    this.#databases.set(database, users);
    users.set(user, { pool, dropAfter, unusedSince: undefined, removed: false });
    return pool;
  }

  #begin(pool: Pool<Client, Server>): void {
    pool.refuseAll(this.#refusal);
    if (this.#refusal !== undefined || this.#pauses.covers(pool.database)) pool.pause();
    else pool.resume();
  }

  #dropIfUnused(entry: Entry<Client, Server>, now: number): void {
    const { pool } = entry;
    if (!pool.isUnused) {
      entry.unusedSince = undefined;
      return;
    }
    entry.unusedSince ??= now;
    const dropAfter = entry.dropAfter();
    // A paused pool is kept: dropping it would be a way around the pause's bookkeeping.
    const isDue = !pool.isPaused && dropAfter > 0 && now - entry.unusedSince >= dropAfter;
    if (!entry.removed && !isDue) return;
    pool.dispose();
    const users = this.#databases.get(pool.database);
    users?.delete(pool.user);
    if (users?.size === 0) this.#databases.delete(pool.database);
    dropIfEmpty(this.#databaseLimits, pool.database);
    dropIfEmpty(this.#userLimits, pool.user);
    this.#options.onDrop?.(pool);
  }
}

function limitOf(limits: Map<string, SharedLimit>, name: string, max: (name: string) => number): SharedLimit {
  const limit = limits.get(name) ?? new SharedLimit(() => max(name));
  limits.set(name, limit);
  return limit;
}

function dropIfEmpty(limits: Map<string, SharedLimit>, name: string): void {
  if (limits.get(name)?.isEmpty === true) limits.delete(name);
}

function isDrained(pool: { readonly size: number }): boolean {
  return pool.size === 0;
}

function hasNoCloseNeeded(pool: { readonly hasCloseNeeded: boolean }): boolean {
  return !pool.hasCloseNeeded;
}
