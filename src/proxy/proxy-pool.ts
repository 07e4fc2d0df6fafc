/**
 * One pool with what the bytes need: where its servers are and how to log in there, what they report, what is counted, and what the
 * pool's decisions mean on the wire.
 */
import type { Secret } from '../auth/secrets.ts';
import type { ServerKeys } from '../auth/verifiers.ts';
import type { Clock } from '../base/clock.ts';
import type { Config, DatabaseEntry, Settings } from '../config/config.ts';
import type { Connection } from '../net/connection.ts';
import type { Destination, DialOptions } from '../net/dial.ts';
import type { ServerTls } from '../net/tls.ts';
import type { DatabaseStats, PoolerStats } from '../observability/counters.ts';
import type { Logger } from '../observability/logger.ts';
import type { ClientDisconnectReason } from '../observability/reasons.ts';
import type { Pool } from '../pool/pool.ts';
import type { ClientDescription, PoolPort } from '../pool/port.ts';
import { ClientError } from '../protocol/errors.ts';
import { SqlState } from '../protocol/sql-state.ts';
import { query } from '../protocol/frontend.ts';
import { InternedMap } from '../session/interned-map.ts';
import { SharedStatements } from '../session/prepared-statements.ts';
import { sessionSettingsSql } from '../session/replay.ts';
import { Schema } from '../session/schema.ts';
import type { Cancels } from './cancel.ts';
import { clean } from './cleaning.ts';
import type { ClientSession } from './client-session.ts';
import { Errand } from './errand.ts';
import { Owed } from './owed-replies.ts';
import type { PoolUser } from './pool-user.ts';
import { serverCloseReason } from './close-reasons.ts';
import type { ServerCapacity } from './server-capacity.ts';
import { logIn } from './server-login.ts';
import { ServerSession, type ServerOwner, type ServerRoute } from './server-session.ts';
import { canonicalValue } from './startup-settings.ts';

/** What a pool takes from the daemon around it. Everything is asked each time, so that RELOAD applies. */
export interface ProxyPoolContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly pooler: PoolerStats;
  readonly keys: ServerKeys;
  readonly cancels: Cancels;
  readonly capacity: ServerCapacity;
  readonly config: Config;
  settings(): Settings;
  entry(database: string): DatabaseEntry | undefined;
  /** The secret to log in with as `user`, where the entry has none. */
  secret(user: string): Secret | undefined;
  /** TLS towards the servers of this entry. */
  serverTls(entry: DatabaseEntry): ServerTls | undefined;
  destination(entry: DatabaseEntry): Destination;
  dialOptions(timeoutMs: number): DialOptions;
  parseSecret(text: string): Secret;
  mode(entry: DatabaseEntry, user: string): 'session' | 'transaction';
  nextId(): number;
}

/** Errors of a server's login that pass by themselves. */
const transientStates: ReadonlySet<string> = new Set([
  SqlState.cannotConnectNow,
  SqlState.tooManyConnections,
]);
/** How many distinct startup values a pool remembers. */
const MAX_CANONICAL = 10_000;
/** A client that said goodbye while something ran: how long that may go on before it is cancelled, ms. */
const GOODBYE_PATIENCE = 2000;

export class ProxyPool implements PoolPort<PoolUser, ServerSession>, ServerOwner {
  readonly database: string;
  readonly user: string;
  readonly stats: DatabaseStats;
  readonly #context: ProxyPoolContext;
  #pool: Pool<PoolUser, ServerSession> | undefined;
  /** What a fresh session reports, once a server has told. */
  #fresh: InternedMap | undefined;
  #freshErrand: Promise<InternedMap> | undefined;
  readonly #canonical = new Map<string, Promise<string>>();
  #shared: SharedStatements | undefined;
  /** Connections of logins under way, to be given up when the pool says so. */
  readonly #logins = new Map<ServerSession, AbortController>();
  /** Servers that run what a client left behind, with when it said goodbye (monotonic ms) if it did. */
  readonly #abandoned = new Map<ServerSession, number | undefined>();
  lastError: ClientError | undefined;
  lastErrorAt: Date | undefined;
  lastConnect: Date | undefined;

  constructor(context: ProxyPoolContext, database: string, user: string, stats: DatabaseStats) {
    this.#context = context;
    this.database = database;
    this.user = user;
    this.stats = stats;
  }

  /** The pool that decides for this one; given right after it was made. */
  set pool(pool: Pool<PoolUser, ServerSession>) {
    this.#pool = pool;
  }

  get pool(): Pool<PoolUser, ServerSession> {
    if (this.#pool === undefined) throw new Error('bug: a pool is used before it is complete');
    return this.#pool;
  }

  get entry(): DatabaseEntry {
    const entry = this.#context.entry(this.database);
    if (entry === undefined)
      throw new ClientError('database removed', { sqlState: SqlState.invalidCatalogName });
    return entry;
  }

  get mode(): 'session' | 'transaction' {
    const entry = this.#context.entry(this.database);
    return entry === undefined ? 'transaction' : this.#context.mode(entry, this.user);
  }

  // --- for clients -------------------------------------------------------------------------------------------------------

  acquire(user: PoolUser): ServerSession | ClientError | undefined {
    return this.pool.acquire(user);
  }

  abandon(user: PoolUser): void {
    this.pool.abandon(user);
  }

  release(server: ServerSession): void {
    if (server.cancelIsLate) this.pool.close(server, 'cancel request took too long');
    else if (server.cancels > 0) this.pool.hold(server, 'cancel');
    else this.pool.release(server);
  }

  /** A client went away and was linked to `server`. */
  clientLeft(server: ServerSession, client: ClientSession, reason: ClientDisconnectReason): void {
    server.unlink();
    if (server.state.kind !== 'active') return;
    if (client.midMessage) {
      this.pool.close(server, 'client disconnected in the middle of a message');
      // It would read our Terminate as part of the message, and notices nothing while an earlier query runs.
      void this.#sendCancel(server, () => server.state.kind === 'closing');
      return;
    }
    const busy = !server.quiet;
    this.pool.hold(server, 'clean');
    const saidGoodbye = reason === 'client_close_request';
    if (busy) this.#abandoned.set(server, saidGoodbye ? this.#context.clock.now() : undefined);
    if (busy && !saidGoodbye) this.#cancelAbandoned(server);
    const resetQuery = this.mode === 'session' ? this.#context.settings().server_reset_query : '';
    clean(server, {
      resetQuery,
      ended: (_, goOn) => {
        this.#abandoned.delete(server);
        if (server.cancels === 0) goOn();
        else server.whenNotCanceled = goOn;
      },
      done: () => this.release(server),
      failed: (_, why) => this.pool.close(server, why),
    });
  }

  /** What a fresh session reports; asks a server if none has told yet. @throws {ClientError} the server's own error */
  greeting(): Promise<InternedMap> {
    if (this.#fresh !== undefined) return Promise.resolve(this.#fresh);
    this.#freshErrand ??= this.#askGreeting();
    return this.#freshErrand;
  }

  /** The server's text for a setting that a client brought. @throws {ClientError} the server's refusal */
  canonical(name: string, value: string): Promise<string> {
    const key = `${name}\0${value}`;
    const known = this.#canonical.get(key);
    if (known !== undefined) return known;
    if (this.#canonical.size >= MAX_CANONICAL) this.#canonical.clear();
    const asked = this.#askCanonical(name, value);
    this.#canonical.set(key, asked);
    // An answer that depends on the moment (server away, value refused now) is asked again.
    asked.catch(() => this.#canonical.delete(key));
    return asked;
  }

  /** Cancels what `client` runs, if it runs something. Resolves when the request has landed or been dropped. */
  async cancel(client: ClientSession): Promise<void> {
    const { server } = client;
    if (server === undefined || server.owed.settled) {
      this.#context.pooler.cancels.add('nothing_to_cancel');
      return;
    }
    const link = server.linkNumber;
    await this.#sendCancel(
      server,
      () => server.client === client && server.linkNumber === link && !server.replaying,
    );
  }

  /** Called a few times a second. */
  tick(now: number): void {
    const {
      cancel_wait_timeout: patience,
      server_connect_timeout: checkPatience,
      tcp_user_timeout: stallLimit,
    } = this.#context.settings();
    for (const [server, since] of this.#abandoned) {
      if (since === undefined || now - since <= GOODBYE_PATIENCE) continue;
      this.#abandoned.set(server, undefined);
      this.#cancelAbandoned(server);
    }
    for (const server of this.pool.servers()) {
      const { state } = server;
      const stalled = stallLimit === 0 ? undefined : server.connection?.stalledSince(now);
      if (stalled !== undefined && now - stalled > stallLimit) server.destroy();
      if (state.kind !== 'tested') continue;
      const limit = state.purpose === 'clean' ? patience + GOODBYE_PATIENCE : checkPatience;
      if (limit > 0 && now - state.since > limit) this.pool.close(server, `${state.purpose} took too long`);
    }
  }

  // --- PoolPort ------------------------------------------------------------------------------------------------------------

  connect(): ServerSession {
    const { clock } = this.#context;
    const server = new ServerSession(this.#context.nextId(), clock.now(), this, this.#sharedStatements());
    const abort = new AbortController();
    this.#logins.set(server, abort);
    // Never rejects: every outcome is told to the pool.
    void this.#logIn(server, abort.signal);
    return server;
  }

  grant(user: PoolUser, server: ServerSession): void {
    user.granted(server);
  }

  refuse(user: PoolUser, error: ClientError): void {
    user.refused(error);
  }

  test(server: ServerSession): void {
    const sql = this.#context.settings().server_check_query ?? '';
    server.ask(query(sql), [Owed.query], ({ error }) => {
      if (error === undefined) this.release(server);
      else this.pool.close(server, `server_check_query failed: ${error.message}`);
    });
  }

  close(server: ServerSession, reason: string): void {
    this.#log('debug', server, reason);
    this.#context.pooler.serverCloses.add(serverCloseReason(reason));
    const login = this.#logins.get(server);
    if (login !== undefined) {
      login.abort();
      return;
    }
    const { client } = server;
    const { midReply } = server;
    server.unlink();
    client?.serverLost(server.saidGoodbye, midReply);
    server.terminate();
  }

  destroy(server: ServerSession): void {
    server.destroy();
  }

  notify(user: PoolUser): void {
    user.waitingLong();
  }

  prefers(user: PoolUser, server: ServerSession): boolean {
    return server.sessionState === user.sessionState;
  }

  waitTimeout(user: PoolUser): number {
    return user.waitTimeout;
  }

  describe(user: PoolUser): ClientDescription {
    return user.describe();
  }

  // --- ServerOwner ---------------------------------------------------------------------------------------------------------

  finished(server: ServerSession): void {
    const { client } = server;
    server.unlink();
    client?.released();
    this.release(server);
  }

  doubted(server: ServerSession, reason: string): void {
    this.pool.close(server, reason);
  }

  gone(server: ServerSession, error: Error | undefined): void {
    this.#abandoned.delete(server);
    if (server.state.kind !== 'closing') {
      const reason =
        error === undefined ? 'server closed the connection' : `server connection lost: ${error.message}`;
      this.#log('info', server, reason);
      this.#context.pooler.serverCloses.add(error === undefined ? 'server_closed' : 'connection_error');
    }
    this.pool.closed(server);
  }

  // --- inside ----------------------------------------------------------------------------------------------------------------

  /** The same for all servers that have the same database. */
  #sharedStatements(): SharedStatements {
    const { host = '', port = 0, dbname = this.database } = this.#context.entry(this.database) ?? {};
    const schema = Schema.at(`${host}:${port}/${dbname}`);
    if (this.#shared?.schema !== schema) this.#shared = new SharedStatements(schema);
    return this.#shared;
  }

  async #logIn(server: ServerSession, signal: AbortSignal): Promise<void> {
    const { pooler, clock } = this.#context;
    const startedAt = clock.now();
    pooler.serverConnectAttempts++;
    try {
      const { entry } = this;
      const settings = this.#context.settings();
      const timeout = settings.server_connect_timeout;
      const configured = {
        destination: this.#context.destination(entry),
        host: entry.host,
        tls: this.#context.serverTls(entry),
      };
      const login = await withDeadline(timeout, signal, (deadline, connected) =>
        logIn({
          target: {
            ...configured,
            user: this.user,
            secret: this.#secret(entry),
            parameters: startupParameters(entry, this.database),
            allowCleartext: settings.allow_cleartext_server_password,
          },
          dial: { ...this.#context.dialOptions(timeout === 0 ? 3_600_000 : timeout), signal: deadline },
          keys: this.#context.keys,
          connected,
          closeTimeout: settings.server_close_timeout,
        }),
      );
      server.route = routeTo(login.connection, configured);
      server.processId = login.processId;
      server.secret = login.cancelSecret;
      server.connected(login.connection, login.reported);
      this.#fresh = login.reported;
      this.#logins.delete(server);
      if (server.state.kind !== 'connecting') {
        server.terminate();
        return;
      }
      pooler.serverConnect.observe(clock.now() - startedAt);
      this.lastConnect = new Date();
      this.lastError = undefined;
      this.#log('debug', server, 'new connection to server');
      this.#context.capacity.ask(server, entry, this.#context.config, () => this.#setUp(server, entry));
    } catch (error) {
      this.#logins.delete(server);
      this.#loginFailed(server, error);
    }
  }

  /** Runs connect_query, if there is one, and gives the new server to the pool. */
  #setUp(server: ServerSession, { connect_query: connectQuery }: DatabaseEntry): void {
    const ready = (): void => {
      if (server.state.kind === 'connecting') this.pool.connected(server);
    };
    if (connectQuery === undefined || connectQuery === '') {
      ready();
      return;
    }
    server.askQuery(connectQuery, ({ error }) => {
      if (error !== undefined) this.#log('warn', server, `connect_query failed: ${error.message}`);
      // What it has set is to be there for every client, also behind the RESET ALL of a replay.
      server.askQuery(sessionSettingsSql, ({ rows }) => {
        server.adoptAsFresh(InternedMap.of(rows.map(([name, hex]) => [name ?? '', hex ?? ''])));
        this.#fresh = server.fresh;
        ready();
      });
    });
  }

  #loginFailed(server: ServerSession, error: unknown): void {
    const failure = error instanceof ClientError ? error : new ClientError(String(error), { cause: error });
    if (server.state.kind !== 'connecting') {
      this.pool.closed(server);
      return;
    }
    this.#context.pooler.serverConnectFailures++;
    this.#context.pooler.serverCloses.add(
      failure.sqlState === SqlState.connectionFailure ? 'connect_failed' : 'login_failed',
    );
    this.lastError = failure;
    this.lastErrorAt = new Date();
    const said = failure.message.replace(/^server login failed: /, '');
    this.#log('warn', server, `server login failed: ${said}`, failure);
    this.pool.failed(server, { error: failure, transient: transientStates.has(failure.sqlState) });
  }

  async #askGreeting(): Promise<InternedMap> {
    try {
      let fresh = InternedMap.empty;
      await Errand.run(this, this.#context.settings().query_wait_timeout, (server, done) => {
        ({ fresh } = server);
        done();
      });
      return this.#fresh ?? fresh;
    } finally {
      this.#freshErrand = undefined;
    }
  }

  async #askCanonical(name: string, value: string): Promise<string> {
    let answer: string | ClientError = '';
    await Errand.run(this, this.#context.settings().query_wait_timeout, (server, done) => {
      canonicalValue(server, name, value, (result) => {
        answer =
          typeof result === 'string'
            ? result
            : new ClientError(result.message, {
                sqlState: result.sqlState,
                detail: result.detail,
                hint: result.hint,
              });
        done();
      });
    });
    return orThrow(answer);
  }

  #cancelAbandoned(server: ServerSession): void {
    void this.#sendCancel(server, () => server.state.kind === 'tested' && this.#abandoned.has(server));
  }

  #sendCancel(server: ServerSession, stillWanted: () => boolean): Promise<void> {
    const { route } = server;
    if (route === undefined) return Promise.resolve();
    const timeout = this.#context.settings().cancel_wait_timeout;
    return this.#context.cancels.send(
      {
        ...route,
        server,
        dial: this.#context.dialOptions(timeout),
        stillWanted,
        landed: () => {
          if (server.state.kind === 'being_canceled') this.release(server);
          else if (server.state.kind === 'tested') server.whenNotCanceled?.();
          server.whenNotCanceled = undefined;
        },
      },
      timeout,
    );
  }

  #secret(entry: DatabaseEntry): Secret | undefined {
    if (entry.password !== undefined && entry.user !== undefined)
      return this.#context.parseSecret(entry.password);
    return this.#context.secret(this.user);
  }

  #log(level: 'debug' | 'info' | 'warn', server: ServerSession, message: string, error?: ClientError): void {
    this.#context.logger[level](
      {
        database: this.database,
        user: this.user,
        server: server.id,
        ...(error === undefined ? {} : { sqlState: error.sqlState, detail: error.detail, hint: error.hint }),
      },
      message,
    );
  }
}

/** To the very server that a connection leads to, not another one behind the same name. */
function routeTo({ unix, remoteAddress, remotePort }: Connection, configured: ServerRoute): ServerRoute {
  return unix ? configured : { ...configured, destination: { host: remoteAddress, port: remotePort } };
}

function orThrow(answer: string | ClientError): string {
  if (answer instanceof ClientError) throw answer;
  return answer;
}

/** What ostler asks of a new session by itself: the database, and what the entry wants to be different from the server's defaults. */
function startupParameters(entry: DatabaseEntry, requested: string): (readonly [string, string])[] {
  const parameters: (readonly [string, string])[] = [['database', entry.dbname ?? requested]];
  if (entry.client_encoding !== undefined) parameters.push(['client_encoding', entry.client_encoding]);
  if (entry.datestyle !== undefined) parameters.push(['DateStyle', entry.datestyle]);
  if (entry.timezone !== undefined) parameters.push(['TimeZone', entry.timezone]);
  if (entry.application_name !== undefined) parameters.push(['application_name', entry.application_name]);
  return parameters;
}

/** Runs a login and gives its connection up at the deadline (ms; 0 = none) or when `signal` says so. */
async function withDeadline<Result>(
  timeout: number,
  signal: AbortSignal,
  login: (deadline: AbortSignal, connected: (connection: Connection) => void) => Promise<Result>,
): Promise<Result> {
  let connection: Connection | undefined;
  let timedOut = false;
  const giveUp = (): void => connection?.destroy(new Error(timedOut ? 'connect timeout' : 'given up'));
  const timer =
    timeout === 0
      ? undefined
      : setTimeout(() => {
          timedOut = true;
          giveUp();
        }, timeout);
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    return await login(signal, (made) => {
      connection = made;
      if (signal.aborted) giveUp();
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', giveUp);
  }
}
