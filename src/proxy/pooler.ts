/** The pooler as a whole: every client and pool, what the configuration means for them, and how it all ends. */
import { ServerKeys, Verifiers } from '../auth/verifiers.ts';
import { Derivations } from '../auth/derivations.ts';
import { type AuthType, parseSecret, type Secret } from '../auth/secrets.ts';
import type { Clock } from '../base/clock.ts';
import type { Config, DatabaseEntry, Settings } from '../config/config.ts';
import type { Connection, ConnectionOwner, FaultListener } from '../net/connection.ts';
import type { Destination, DialOptions } from '../net/dial.ts';
import type { Resolver } from '../net/dns.ts';
import type { ClientTls, ServerTls } from '../net/tls.ts';
import { unixSocketPath } from '../net/unix-socket.ts';
import { DatabaseStats, PoolerStats } from '../observability/counters.ts';
import type { Logger } from '../observability/logger.ts';
import type { ClientDisconnectReason } from '../observability/reasons.ts';
import { PoolSet } from '../pool/pool-set.ts';
import { errorResponse } from '../protocol/backend.ts';
import { ClientError } from '../protocol/errors.ts';
import { SqlState } from '../protocol/sql-state.ts';
import { InternedMap } from '../session/interned-map.ts';
import { toHex } from '../session/replay.ts';
import { Cancels } from './cancel.ts';
import { CancelKeys, type CancelKey } from './cancel-keys.ts';
import { logInClient, type LoggedIn, type LoginHost, type Welcome } from './client-login.ts';
import { ClientSession, type ClientLimits, type ClientOwner } from './client-session.ts';
import { LoginSlots } from './login-slots.ts';
import type { PoolUser } from './pool-user.ts';
import { poolSettings, queryLimits } from './pool-rules.ts';
import { ProxyPool, type ProxyPoolContext } from './proxy-pool.ts';
import type { ServerSession } from './server-session.ts';
import { hostOf, ServerCapacity } from './server-capacity.ts';
import { startupSettings } from './startup-settings.ts';
import { sweepClients } from './sweep.ts';

/** The virtual databases of the console. */
export const CONSOLE_DATABASES: ReadonlySet<string> = new Set(['pgbouncer', 'ostler']);

/** TLS as it is now; replaced as a whole by RELOAD. */
export interface TlsContexts {
  readonly clients: ClientTls | undefined;
  serversOf(entry: DatabaseEntry): ServerTls | undefined;
}

/** Opens console sessions; the daemon hands one in, so that the proxy does not know the console. */
export interface ConsoleDoor {
  /** @throws {ClientError} who may not */
  welcome(connection: Connection, client: LoggedIn): Welcome;
  /** A cancel request for what a console waits for; false if the key is none of the console's. */
  cancel(key: CancelKey): boolean;
}

export interface PoolerOptions {
  readonly config: Config;
  readonly tls: TlsContexts;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly resolver: Resolver;
  readonly onFault: FaultListener;
}

/** Connections beyond max_client_conn that are read far enough to be told why they get nothing. */
const REFUSAL_ROOM = 512;

export class Pooler implements LoginHost, ClientOwner, ProxyPoolContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stats = new PoolerStats();
  readonly verifiers: Verifiers;
  readonly keys: ServerKeys;
  readonly slots: LoginSlots;
  readonly loginsInProgress = new Set<(error: ClientError) => void>();
  readonly cancels: Cancels;
  readonly capacity: ServerCapacity;
  readonly pools: PoolSet<PoolUser, ServerSession>;
  /** Logged-in clients. */
  readonly clients = new Map<number, ClientSession>();
  readonly databaseStats = new Map<string, DatabaseStats>();
  console: ConsoleDoor | undefined;

  #config: Config;
  #tls: TlsContexts;
  #secrets = new Map<string, Secret>();
  readonly #resolver: Resolver;
  readonly onFault: FaultListener;
  readonly #proxyPools = new Map<string, ProxyPool>();
  readonly #cancelKeys = new CancelKeys<ClientSession>();
  readonly #keyOf = new WeakMap<ClientSession, number>();
  readonly #clientCounts = { database: new Map<string, number>(), user: new Map<string, number>() };
  readonly #limits = new Map<string, () => ClientLimits>();
  #connections = 0;
  /** The connections that max_client_conn counts. */
  readonly #places = new Set<Connection>();
  #lastId = 0;
  #refusal: ClientError | undefined;

  constructor({ config, tls, clock, logger, resolver, onFault }: PoolerOptions) {
    this.#config = config;
    this.#tls = tls;
    this.clock = clock;
    this.logger = logger;
    this.#resolver = resolver;
    this.onFault = onFault;
    const derivations = new Derivations();
    this.verifiers = new Verifiers({
      derivations,
      iterations: config.settings.scram_iterations,
      mockSecret: config.settings.scram_mock_secret,
    });
    this.keys = new ServerKeys({ derivations });
    this.slots = new LoginSlots(() => this.settings().max_client_logins);
    this.cancels = new Cancels(this.stats.cancels, () => 2 * this.settings().default_pool_size);
    this.capacity = new ServerCapacity(logger);
    this.pools = new PoolSet({
      clock,
      plan: (database, user) => this.#plan(database, user),
      maxDbConnections: (database) =>
        this.entry(database)?.max_db_connections ?? this.settings().max_db_connections,
      maxUserConnections: (user) =>
        this.#config.users.get(user)?.max_user_connections ?? this.settings().max_user_connections,
      onDrop: ({ database, user }) => this.#forgetPool(database, user),
    });
    this.#learnSecrets();
  }

  // --- configuration -------------------------------------------------------------------------------------------------------

  get config(): Config {
    return this.#config;
  }

  settings(): Settings {
    return this.#config.settings;
  }

  entry(database: string): DatabaseEntry | undefined {
    return this.#config.databases.get(database) ?? this.#config.fallback;
  }

  /** Takes a new configuration over; the caller has checked it and says what follows for servers. */
  reconfigure(config: Config, tls: TlsContexts): void {
    this.#config = config;
    this.#tls = tls;
    this.verifiers.iterations = config.settings.scram_iterations;
    this.#limits.clear();
    this.capacity.compare(config);
    this.#learnSecrets();
  }

  secret(user: string): Secret | undefined {
    return this.#secrets.get(user);
  }

  parseSecret(text: string): Secret {
    return parseSecret(text);
  }

  get authType(): AuthType {
    return this.settings().auth_type;
  }

  get loginTimeout(): number {
    return this.settings().client_login_timeout;
  }

  get clientTls(): ClientTls | undefined {
    return this.#tls.clients;
  }

  serverTls(entry: DatabaseEntry): ServerTls | undefined {
    return this.#tls.serversOf(entry);
  }

  destination(entry: DatabaseEntry): Destination {
    return entry.host.startsWith('/')
      ? { path: unixSocketPath(entry.host, entry.port) }
      : { host: entry.host, port: entry.port };
  }

  dialOptions(timeoutMs: number): DialOptions {
    const settings = this.settings();
    return {
      resolver: this.#resolver,
      timeoutMs,
      onFault: this.onFault,
      keepAlive: settings.tcp_keepalive
        ? { idle: settings.tcp_keepidle, interval: settings.tcp_keepintvl, count: settings.tcp_keepcnt }
        : undefined,
    };
  }

  mode(entry: DatabaseEntry, user: string): 'session' | 'transaction' {
    return this.#config.users.get(user)?.pool_mode ?? entry.pool_mode ?? this.settings().pool_mode;
  }

  nextId(): number {
    return ++this.#lastId;
  }

  get pooler(): PoolerStats {
    return this.stats;
  }

  // --- connections -----------------------------------------------------------------------------------------------------------

  /** Sockets of clients, logged in or not. */
  get connections(): number {
    return this.#connections;
  }

  /** A client has connected. */
  accept(connection: Connection): void {
    this.stats.acceptedConnections++;
    if (this.#connections >= this.settings().max_client_conn + REFUSAL_ROOM) {
      this.stats.refusals.add('max_client_conn');
      connection.owner = deaf;
      connection.write(errorResponse(tooMany(this.settings().max_client_conn)));
      connection.end(1000);
      return;
    }
    this.#connections++;
    connection.onOver = () => {
      this.#connections--;
      this.#places.delete(connection);
    };
    void logInClient(connection, this);
  }

  /**
   * Gives a connection its place among max_client_conn. Not before its startup packet: were those counted that are yet to be refused, a
   * burst a little above the limit would be refused as a whole.
   */
  admit(connection: Connection, database: string): void {
    if (this.#refusal !== undefined && !CONSOLE_DATABASES.has(database)) {
      this.stats.refusals.add('shutdown');
      throw this.#refusal;
    }
    if (CONSOLE_DATABASES.has(database)) return;
    const { max_client_conn: limit } = this.settings();
    if (this.#places.size < limit) {
      this.#places.add(connection);
      return;
    }
    this.stats.refusals.add('max_client_conn');
    throw tooMany(limit);
  }

  async welcome(connection: Connection, client: LoggedIn): Promise<Welcome> {
    if (CONSOLE_DATABASES.has(client.database) && this.console !== undefined) {
      return this.console.welcome(connection, client);
    }
    const entry = this.#openTo(client);
    this.#checkClientLimits(entry, client);
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
    if (this.#refusal !== undefined) throw this.#refusal;
    this.#checkClientLimits(entry, client);
    const session = new ClientSession({
      id: this.nextId(),
      connection,
      owner: this,
      pool,
      user: client.user,
      limits: this.#limitsOf(client.database, client.user),
      sessionState: state,
      told: reports,
      maxPacketSize: this.settings().max_packet_size,
    });
    const key = this.#cancelKeys.issue(session, client.longKeys);
    this.#keyOf.set(session, key.processId);
    this.#join(session);
    return { reports, key, begin: (rest) => session.begin(rest) };
  }

  async cancel(key: CancelKey): Promise<void> {
    const client = this.#cancelKeys.find(key);
    if (client === undefined) {
      if (this.console?.cancel(key) !== true) this.stats.cancels.add('unknown_key');
      return;
    }
    await client.pool.cancel(client);
  }

  left(client: ClientSession, reason: ClientDisconnectReason, detail: string | undefined): void {
    this.stats.clientDisconnects.add(reason);
    this.clients.delete(client.id);
    client.pool.pool.leave();
    this.#count('database', client.pool.database, -1);
    this.#count('user', client.user, -1);
    const key = this.#keyOf.get(client);
    if (key !== undefined) this.#cancelKeys.revoke(key);
    const level = quietReasons.has(reason) && !this.settings().log_disconnections ? 'debug' : 'info';
    this.logger[level](
      { database: client.pool.database, user: client.user, client: client.id, reason, detail },
      'client disconnected',
    );
  }

  clientsOf(kind: 'database' | 'user', name: string): number {
    return this.#clientCounts[kind].get(name) ?? 0;
  }

  // --- time ------------------------------------------------------------------------------------------------------------------

  /** Called a few times a second. */
  tick(): void {
    const now = this.clock.now();
    for (const pool of this.#proxyPools.values()) pool.tick(now);
    this.pools.tick(now);
    this.capacity.watch(this.#serversByHost());
    sweepClients(this.clients.values(), this.settings().tcp_user_timeout);
  }

  /** All pools that exist. */
  proxyPools(): Iterable<ProxyPool> {
    return this.#proxyPools.values();
  }

  // --- the end ---------------------------------------------------------------------------------------------------------------

  /** New clients, and those who are logging in, are told `error` from now on; undefined lets them in again. */
  refuseNewClients(error: ClientError | undefined): void {
    this.#refusal = error;
    if (error === undefined) return;
    for (const giveUp of this.loginsInProgress) giveUp(error);
  }

  /** Idle clients are told `error` and closed at once, others right after their transaction. */
  dismissClients(error: ClientError): void {
    for (const client of this.clients.values()) {
      if (client.server === undefined && client.waiting === undefined) client.fail(error, 'shutdown');
      else if (client.server?.quiet === true) client.fail(error, 'shutdown');
      else client.leaving = error;
    }
  }

  /** Everybody who is left is told, and what they run is cancelled. */
  cutOff(error: ClientError): void {
    for (const client of this.clients.values()) client.fail(error, 'shutdown');
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
    for (const client of this.clients.values()) {
      if (client.pool.database === database) client.fail(error, 'killed');
    }
    this.pools.remove(database, error);
  }

  /** The "*" entry has changed: the databases that were made from it connect anew. */
  reconnectFallback(): void {
    for (const { database } of this.#proxyPools.values()) {
      if (!this.#config.databases.has(database)) this.pools.reconnect(database);
    }
  }

  /** Says goodbye to all servers. */
  closeServers(reason: string): void {
    for (const pool of this.#proxyPools.values()) {
      for (const server of pool.pool.servers()) pool.pool.close(server, reason);
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

  #checkClientLimits(entry: DatabaseEntry, { database, user }: LoggedIn): void {
    const settings = this.settings();
    const perDatabase = entry.max_db_client_connections ?? settings.max_db_client_connections;
    const perUser =
      this.#config.users.get(user)?.max_user_client_connections ?? settings.max_user_client_connections;
    for (const [name, limit, count] of [
      ['max_db_client_connections', perDatabase, this.clientsOf('database', database)],
      ['max_user_client_connections', perUser, this.clientsOf('user', user)],
    ] as const) {
      if (limit === 0 || count < limit) continue;
      this.stats.refusals.add(name);
      throw new ClientError(`client connections exceeded (${name})`, {
        sqlState: SqlState.tooManyConnections,
        detail: `The limit is ${limit}.`,
      });
    }
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
      const canonical = isPlain(name, value) ? value : await pool.canonical(name, value);
      if (canonical === usual) continue;
      if (reported !== undefined) reports.push([reported, canonical]);
      state.push([name, toHex(canonical)]);
    }
    return { state: InternedMap.of(state), reports: InternedMap.of(reports) };
  }

  #plan(database: string, user: string) {
    const pool = new ProxyPool(this, database, user, this.#statsOf(database));
    this.#proxyPools.set(poolKey(database, user), pool);
    return {
      port: pool,
      settings: () => poolSettings(this.#config, database, user),
      // Only pools that made themselves by the "*" entry may go; those of the file are there to stay.
      dropAfter: () => (this.#config.databases.has(database) ? 0 : this.settings().autodb_idle_timeout),
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
    for (const [name, entry] of this.#config.databases) {
      if (entry.user !== undefined) this.#poolFor(name, entry.user);
    }
  }

  /** With the last pool of a database that is configured no more, or was made from the "*" entry, goes what was counted for it. */
  #forgetPool(database: string, user: string): void {
    this.#proxyPools.delete(poolKey(database, user));
    if (this.#config.databases.has(database)) return;
    for (const pool of this.#proxyPools.values()) if (pool.database === database) return;
    this.databaseStats.delete(database);
  }

  #statsOf(database: string): DatabaseStats {
    let stats = this.databaseStats.get(database);
    if (stats === undefined) this.databaseStats.set(database, (stats = new DatabaseStats()));
    return stats;
  }

  #limitsOf(database: string, user: string): () => ClientLimits {
    const key = poolKey(database, user);
    let limits = this.#limits.get(key);
    if (limits === undefined) {
      let computed: ClientLimits | undefined;
      let computedFor: Config | undefined;
      limits = () => {
        if (computed === undefined || computedFor !== this.#config) {
          computedFor = this.#config;
          computed = queryLimits(this.#config, database, user);
        }
        return computed;
      };
      this.#limits.set(key, limits);
    }
    return limits;
  }

  #join(session: ClientSession): void {
    this.clients.set(session.id, session);
    session.pool.pool.join();
    session.stats.clientLoginCount++;
    this.#count('database', session.pool.database, 1);
    this.#count('user', session.user, 1);
    this.logger[this.settings().log_connections ? 'info' : 'debug'](
      {
        database: session.pool.database,
        user: session.user,
        client: session.id,
        host: session.connection.remoteAddress,
        tls: session.connection.tls?.protocol,
      },
      'client connected',
    );
  }

  #count(kind: 'database' | 'user', name: string, change: number): void {
    const counts = this.#clientCounts[kind];
    const count = (counts.get(name) ?? 0) + change;
    if (count === 0) counts.delete(name);
    else counts.set(name, count);
  }

  #learnSecrets(): void {
    this.#secrets = new Map();
    for (const [name, { password }] of this.#config.users)
      this.#secrets.set(name, parseSecret(password ?? ''));
    // Off the loop and one after another, so that a first login costs no more than any other.
    void this.verifiers.prepare([...this.#secrets]);
  }
}

/** Owns a connection that is being closed. */
const deaf: ConnectionOwner = { received: () => true, drained: () => {}, closed: () => {} };

const poolKey = (database: string, user: string): string => `${database}\0${user}`;

const quietReasons: ReadonlySet<ClientDisconnectReason> = new Set([
  'client_close_request',
  'client_unexpected_eof',
  'client_idle_timeout',
  'shutdown',
]);

const tooMany = (limit: number): ClientError =>
  new ClientError('no more connections allowed (max_client_conn)', {
    sqlState: SqlState.tooManyConnections,
    detail: `max_client_conn is ${limit}.`,
  });

const peerName = (connection: Connection): string =>
  connection.unix ? 'unix' : `${connection.remoteAddress}:${connection.remotePort}`;

/** Values that are canonical as they are: no server has to be asked. Custom settings take any text. */
const isPlain = (name: string, value: string): boolean =>
  customName.test(name) || (name === 'application_name' && /^[ -~]{0,63}$/.test(value));
const customName = /^[a-z_][a-z0-9_$]*(?:\.[a-z_][a-z0-9_$]*)+$/;
