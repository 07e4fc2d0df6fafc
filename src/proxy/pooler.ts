/** The pooler as a whole: every client and pool, what the configuration means for them, and how it all ends. */
import { Verifiers } from '../auth/verifiers.ts';
import { Derivations } from '../auth/derivations.ts';
import type { AuthType, Secret } from '../auth/secrets.ts';
import type { Clock } from '../base/clock.ts';
import type { Config, DatabaseEntry, Settings } from '../config/config.ts';
import type { Connection, FaultListener } from '../net/connection.ts';
import type { Resolver } from '../net/dns.ts';
import type { ClientTls } from '../net/tls.ts';
import { DatabaseStats, type PoolerStats } from '../observability/counters.ts';
import type { Logger } from '../observability/logger.ts';
import { PoolSet } from '../pool/pool-set.ts';
import { ClientError } from '../protocol/errors.ts';
import { SqlState } from '../protocol/sql-state.ts';
import { InternedMap } from '../session/interned-map.ts';
import { toHex } from '../session/replay.ts';
import { Admission } from './admission.ts';
import type { CancelKey } from './cancel-keys.ts';
import { logInClient, type LoggedIn, type LoginHost, type Welcome } from './client-login.ts';
import { ClientRegistry } from './client-registry.ts';
import { ClientSession } from './client-session.ts';
import { LoginSlots } from './login-slots.ts';
import { PoolContext, type TlsContexts } from './pool-context.ts';
import type { PoolUser } from './pool-user.ts';
import { ofConfig, poolSettings } from './pool-rules.ts';
import { ProxyPool } from './proxy-pool.ts';
import type { ServerSession } from './server-session.ts';
import { hostOf } from './server-capacity.ts';
import { startupSettings } from './startup-settings.ts';
import { dropStalled, sweepClients } from './sweep.ts';

/** The virtual databases of the console. */
export const CONSOLE_DATABASES: ReadonlySet<string> = new Set(['pgbouncer', 'ostler']);

/** Opens console sessions; the daemon hands one in, so that the proxy does not know the console. */
export interface ConsoleDoor {
  /** @throws {ClientError} who may not */
  welcome(connection: Connection, client: LoggedIn): Welcome;
  /** A cancel request for what a console waits for; false if the key is none of the console's. */
  cancel(key: CancelKey): boolean;
  /** The connections of those who are on it. */
  connections(): Iterable<Connection>;
}

export interface PoolerOptions {
  readonly config: Config;
  readonly tls: TlsContexts;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly resolver: Resolver;
  /** How many connections beyond max_client_conn there are descriptors for. */
  readonly refusalRoom: number;
  readonly onFault: FaultListener;
}

export class Pooler implements LoginHost {
  readonly context: PoolContext;
  readonly stats: PoolerStats;
  readonly verifiers: Verifiers;
  readonly slots: LoginSlots;
  readonly admission: Admission;
  readonly clients: ClientRegistry;
  readonly pools: PoolSet<PoolUser, ServerSession>;
  readonly databaseStats = new Map<string, DatabaseStats>();
  console: ConsoleDoor | undefined;
  readonly #proxyPools = new Map<string, ProxyPool>();

  constructor({ refusalRoom, ...options }: PoolerOptions) {
    const { config, clock, logger } = options;
    const derivations = new Derivations();
    const context = new PoolContext({ ...options, derivations });
    this.context = context;
    this.stats = context.pooler;
    this.verifiers = new Verifiers({
      derivations,
      iterations: config.settings.scram_iterations,
      mockSecret: config.settings.scram_mock_secret,
    });
    this.slots = new LoginSlots(() => this.settings().max_client_logins);
    this.admission = new Admission(this.stats, refusalRoom, () => this.settings().max_client_conn);
    this.clients = new ClientRegistry(() => context.config, logger, this.stats);
    this.pools = new PoolSet({
      clock,
      plan: (database, user) => this.#plan(database, user),
      maxDbConnections: (database) =>
        this.entry(database)?.max_db_connections ?? this.settings().max_db_connections,
      maxUserConnections: (user) =>
        this.config.users.get(user)?.max_user_connections ?? this.settings().max_user_connections,
      onDrop: ({ database, user }) => this.#forgetPool(database, user),
    });
    this.#deriveVerifiers();
  }

  // --- configuration -------------------------------------------------------------------------------------------------------

  get config(): Config {
    return this.context.config;
  }

  settings(): Settings {
    return this.context.settings();
  }

  entry(database: string): DatabaseEntry | undefined {
    return this.context.entry(database);
  }

  /** Takes a new configuration over; the caller has checked it and says what follows for servers. */
  reconfigure(config: Config, tls: TlsContexts, refusalRoom: number): void {
    this.context.reconfigure(config, tls);
    for (const pool of this.#proxyPools.values()) pool.reconfigured();
    this.admission.room = refusalRoom;
    this.verifiers.iterations = config.settings.scram_iterations;
    this.#deriveVerifiers();
  }

  // --- LoginHost -------------------------------------------------------------------------------------------------------------

  get logger(): Logger {
    return this.context.logger;
  }

  get clock(): Clock {
    return this.context.clock;
  }

  get loginsInProgress(): Set<(error: ClientError) => void> {
    return this.admission.loginsInProgress;
  }

  get authType(): AuthType {
    return this.settings().auth_type;
  }

  get loginTimeout(): number {
    return this.settings().client_login_timeout;
  }

  get clientTls(): ClientTls | undefined {
    return this.context.tls.clients;
  }

  secret(user: string): Secret | undefined {
    return this.context.secret(user);
  }

  /** A client has connected. */
  accept(connection: Connection): void {
    if (this.admission.accept(connection)) void logInClient(connection, this);
  }

  admit(connection: Connection, database: string): void {
    this.admission.admit(connection, CONSOLE_DATABASES.has(database));
  }

  async welcome(connection: Connection, client: LoggedIn): Promise<Welcome> {
    if (CONSOLE_DATABASES.has(client.database) && this.console !== undefined) {
      return this.console.welcome(connection, client);
    }
    const entry = this.#openTo(client);
    this.clients.checkRoom(client.database, client.user);
    const pool = this.#poolFor(client.database, entry.user ?? client.user);
    const settings = startupSettings(client.parameters, this.settings().ignore_startup_parameters);
    if (this.settings().application_name_add_host) {
      settings.set(
        'application_name',
        `${settings.get('application_name') ?? 'app'} - ${peerName(connection)}`,
      );
    }
    const fresh = await pool.greeting();
    const { state, reports } = await this.#ownSettings(pool, fresh, settings);
    if (!connection.open) throw new ClientError('client left during login');
    // Much may have happened while the server was asked.
    if (this.admission.refusal !== undefined) throw this.admission.refusal;
    this.clients.checkRoom(client.database, client.user);
    const session = new ClientSession({
      id: this.context.nextId(),
      connection,
      owner: this.clients,
      pool,
      user: client.user,
      limits: this.clients.limitsOf(client.database, client.user),
      sessionState: state,
      told: reports,
      maxPacketSize: this.settings().max_packet_size,
    });
    const key = this.clients.join(session, client.longKeys);
    return { reports, key, begin: (rest) => session.begin(rest) };
  }

  async cancel(key: CancelKey): Promise<void> {
    const client = this.clients.find(key);
    if (client === undefined) {
      if (this.console?.cancel(key) !== true) this.stats.cancels.add('unknown_key');
      return;
    }
    await client.pool.cancel(client);
  }

  // --- time ------------------------------------------------------------------------------------------------------------------

  /** Called a few times a second. */
  tick(): void {
    const now = this.clock.now();
    for (const pool of this.#proxyPools.values()) pool.tick(now);
    this.pools.tick(now);
    this.context.capacity.watch(this.#serversByHost());
    const { tcp_user_timeout: stallLimit } = this.settings();
    dropStalled(this.clients.connections(), stallLimit);
    if (this.console !== undefined) dropStalled(this.console.connections(), stallLimit);
    sweepClients(this.clients.all.values());
  }

  /** All pools that exist. */
  proxyPools(): Iterable<ProxyPool> {
    return this.#proxyPools.values();
  }

  // --- the end ---------------------------------------------------------------------------------------------------------------

  /** Idle clients are told `error` and closed at once, others right after their transaction. */
  dismissClients(error: ClientError): void {
    for (const client of this.clients.all.values()) {
      if (client.server === undefined && client.waiting === undefined) client.fail(error, 'shutdown');
      else if (client.server?.quiet === true) client.fail(error, 'shutdown');
      else client.leaving = error;
    }
  }

  /** Everybody who is left is told, and what they run is cancelled. */
  cutOff(error: ClientError): void {
    for (const client of this.clients.all.values()) client.fail(error, 'shutdown');
  }

  /** Servers are being freed of what clients left on them. */
  get isCleaning(): boolean {
    for (const pool of this.#proxyPools.values()) {
      for (const server of pool.pool.servers()) {
        if (server.state.kind === 'tested' && server.state.purpose === 'clean') return true;
      }
    }
    return false;
  }

  /** Server connections that take a slot. */
  get serverCount(): number {
    let count = 0;
    for (const pool of this.#proxyPools.values()) count += pool.pool.size;
    return count;
  }

  /** A database that is configured no more: its clients are told `error`, its servers closed. */
  removeDatabase(database: string, error: ClientError): void {
    for (const client of this.clients.all.values()) {
      if (client.pool.database === database) client.fail(error, 'killed');
    }
    this.pools.remove(database, error);
  }

  /** Databases that were made from the "*" entry. */
  madeFromFallback(): Set<string> {
    const names = Array.from(this.#proxyPools.values(), ({ database }) => database);
    return new Set(names.filter((name) => !this.config.databases.has(name)));
  }

  /** Says goodbye to all servers; none is opened any more, also of those that min_pool_size keeps. */
  closeServers(reason: ClientError): void {
    for (const pool of this.#proxyPools.values()) {
      pool.pool.refuseAll(reason);
      for (const server of pool.pool.servers()) pool.pool.close(server, reason.message);
    }
  }

  // --- inside ----------------------------------------------------------------------------------------------------------------

  #serversByHost(): Map<string, number> {
    const open = new Map<string, number>();
    for (const { database, pool } of this.#proxyPools.values()) {
      const entry = this.entry(database);
      if (entry === undefined || pool.size === 0) continue;
      open.set(hostOf(entry), (open.get(hostOf(entry)) ?? 0) + pool.size);
    }
    return open;
  }

  #openTo({ database }: LoggedIn): DatabaseEntry {
    const entry = this.entry(database);
    if (entry === undefined) {
      this.stats.refusals.add('unknown_database');
      throw new ClientError(`no such database: ${database}`, { sqlState: SqlState.invalidCatalogName });
    }
    if (this.pools.pauses.isDisabled(database)) {
      this.stats.refusals.add('database_disabled');
      throw new ClientError(`database "${database}" is disabled`, { sqlState: SqlState.cannotConnectNow });
    }
    return entry;
  }

  /** What the client brought, as session state and as what it is told. */
  async #ownSettings(
    pool: ProxyPool,
    fresh: InternedMap,
    settings: ReadonlyMap<string, string>,
  ): Promise<{ state: InternedMap; reports: InternedMap }> {
    const reportedNames = new Map([...fresh].map(([name]) => [name.toLowerCase(), name]));
    const state: [string, string][] = [];
    const reports: [string, string][] = [...fresh];
    for (const [name, value] of settings) {
      const reported = reportedNames.get(name);
      const usual = reported === undefined ? undefined : fresh.get(reported);
      if (value === usual) continue;
      // oxlint-disable-next-line no-await-in-loop -- nearly always known already
      const canonical = isPlain(name, value) ? { value } : await pool.canonical(name, value);
      // PostgreSQL looks whether it might be set, and leaves it at that.
      if (canonical.value === usual || name === 'session_authorization') continue;
      if (reported !== undefined) reports.push([reported, canonical.value]);
      if (name === 'role' && 'isSuperuser' in canonical)
        reports.push(['is_superuser', canonical.isSuperuser]);
      state.push([name, toHex(canonical.value)]);
    }
    return { state: InternedMap.of(state), reports: InternedMap.of(reports) };
  }

  #plan(database: string, user: string) {
    const pool = new ProxyPool(this.context, database, user, this.#statsOf(database));
    this.#proxyPools.set(poolKey(database, user), pool);
    return {
      port: pool,
      settings: ofConfig(
        () => this.config,
        (config) => poolSettings(config, database, user),
      ),
      // Only pools that made themselves by the "*" entry may go; those of the file are there to stay.
      dropAfter: () => (this.config.databases.has(database) ? 0 : this.settings().autodb_idle_timeout),
    };
  }

  #poolFor(database: string, user: string): ProxyPool {
    const pool = this.pools.open(database, user);
    const proxyPool = this.#proxyPools.get(poolKey(database, user));
    if (proxyPool === undefined) throw new Error('bug: a pool is planned before it is opened');
    proxyPool.pool = pool;
    return proxyPool;
  }

  /** Pools that exist without a client: those of entries with a user of their own and a min_pool_size. */
  openConfiguredPools(): void {
    for (const [name, entry] of this.config.databases) {
      if (entry.user !== undefined) this.#poolFor(name, entry.user);
    }
  }

  /** With the last pool of a database that is configured no more, or was made from the "*" entry, goes what was counted for it. */
  #forgetPool(database: string, user: string): void {
    this.#proxyPools.delete(poolKey(database, user));
    if (this.config.databases.has(database)) return;
    for (const pool of this.#proxyPools.values()) if (pool.database === database) return;
    this.databaseStats.delete(database);
  }

  #statsOf(database: string): DatabaseStats {
    let stats = this.databaseStats.get(database);
    if (stats === undefined) this.databaseStats.set(database, (stats = new DatabaseStats()));
    return stats;
  }

  /** Off the loop and one after another, so that a first login costs no more than any other. */
  #deriveVerifiers(): void {
    void this.verifiers.prepare([...this.context.secrets]);
  }
}

const poolKey = (database: string, user: string): string => `${database}\0${user}`;

const peerName = (connection: Connection): string =>
  connection.unix ? 'unix' : `${connection.remoteAddress}:${connection.remotePort}`;

/** Values that are canonical as they are: no server has to be asked. Custom settings take any text. */
const isPlain = (name: string, value: string): boolean =>
  customName.test(name) || (name === 'application_name' && /^[ -~]{0,63}$/.test(value));
const customName = /^[a-z_][a-z0-9_$]*(?:\.[a-z_][a-z0-9_$]*)+$/;
