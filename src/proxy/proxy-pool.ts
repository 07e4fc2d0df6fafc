/**
 * One pool with what the bytes need: where its servers are and how to log in there, what they report, what is counted, and what the
 * pool's decisions mean on the wire.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Secret } from '../auth/secrets.ts';
import type { ServerKeys } from '../auth/verifiers.ts';
import type { Clock } from '../base/clock.ts';
import type { Config, DatabaseEntry, Settings } from '../config/config.ts';
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
import { cutsShort } from '../session/timeouts.ts';
import { InternedMap } from '../session/interned-map.ts';
import { cleaningOf, pinAfter, type PinReason } from '../session/pins.ts';
import { SharedStatements } from '../session/prepared-statements.ts';
import { Schema } from '../session/schema.ts';
import { audit } from './audit.ts';
import type { Cancels } from './cancel.ts';
import { clean } from './cleaning.ts';
import type { ClientSession } from './client-session.ts';
import { Errand } from './errand.ts';
import { Owed } from './owed-replies.ts';
import { PoolTracking, type SessionPolicy } from './pool-tracking.ts';
import { poolSettings } from './pool-rules.ts';
import type { PoolUser } from './pool-user.ts';
import { RUN_TIME } from './restoring.ts';
import { serverCloseReason } from './close-reasons.ts';
import type { ServerCapacity } from './server-capacity.ts';
import { ServerLogins } from './server-logins.ts';
import { ServerSession, type ServerOwner } from './server-session.ts';
import { type Canonical, canonicalValue, startupRefusal } from './startup-settings.ts';

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
  /** Until when databases that have no client are left by their servers too; monotonic ms. */
  leaveDatabasesUntil: number;
}

interface PoolRules {
  readonly config: Config;
  readonly mode: 'session' | 'transaction';
  readonly policy: SessionPolicy;
}

/** How many distinct startup values a pool remembers. */
const MAX_CANONICAL = 10_000;
/** ms. */
const AUDIT_PERIOD = 1000;
/** How long PostgreSQL waits for others to leave a database that is to be dropped, renamed or copied, ms. */
const DATABASE_PATIENCE = 5000;
/** A client that said goodbye while something ran: how long that may go on before it is cancelled, ms. */
const GOODBYE_PATIENCE = 2000;

export class ProxyPool implements PoolPort<PoolUser, ServerSession>, ServerOwner {
  readonly database: string;
  readonly user: string;
  readonly stats: DatabaseStats;
  readonly tracking: PoolTracking;
  #rulesKept: PoolRules | undefined;
  readonly #context: ProxyPoolContext;
  #pool: Pool<PoolUser, ServerSession> | undefined;
  /** What a fresh session reports, once a server has told. */
  #fresh: InternedMap | undefined;
  #freshErrand: Promise<InternedMap> | undefined;
  #auditedAt = 0;
  readonly #canonical = new Map<string, Promise<Canonical>>();
  #shared: SharedStatements | undefined;
  readonly logins: ServerLogins;
  /** Servers that run what a client left behind, with when it said goodbye (monotonic ms) if it did. */
  readonly #abandoned = new Map<ServerSession, number | undefined>();

  constructor(context: ProxyPoolContext, database: string, user: string, stats: DatabaseStats) {
    this.#context = context;
    this.database = database;
    this.user = user;
    this.stats = stats;
    this.logins = new ServerLogins(context, this);
    this.tracking = new PoolTracking({
      clock: context.clock,
      stats: context.pooler,
      configured: () => this.#rules.policy,
    });
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
    return this.#rules.mode;
  }

  /** What becomes of session state: nothing has to in session mode. */
  get policy(): SessionPolicy {
    return this.#rules.mode === 'session' ? 'off' : this.tracking.policy;
  }

  /** What the configuration says now. */
  get #rules(): PoolRules {
    const { config } = this.#context;
    if (this.#rulesKept?.config !== config) {
      const entry = this.#context.entry(this.database);
      this.#rulesKept = {
        config,
        mode: entry === undefined ? 'transaction' : this.#context.mode(entry, this.user),
        policy: entry?.session_state ?? this.#context.settings().session_state,
      };
    }
    return this.#rulesKept;
  }

  /** There is another configuration. If session state is followed from now on, nobody knows what is set on servers: they are made anew. */
  reconfigured(): void {
    const before = this.#rulesKept;
    if (before === undefined || isFollowed(before) || !isFollowed(this.#rules)) return;
    this.pool.reconnect();
    if (before.mode === 'transaction') return;
    // What such a client has set is on its server alone.
    for (const server of this.pool.servers()) {
      const { client } = server;
      if (client === undefined) continue;
      client.pin = pinAfter(client.pin, ['policy'], this.#context.clock.now());
      server.sessionState = client.sessionState;
    }
  }

  /** A new server has told what a fresh session reports. */
  greet(fresh: InternedMap): void {
    this.#fresh = fresh;
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
    const cleaning = cleaningOf(server.settling.leavingsOf(client));
    server.unlink();
    if (server.state.kind !== 'active') return;
    if (client.midMessage) {
      this.pool.close(server, 'client disconnected in the middle of a message');
      // It would read our Terminate as part of the message, and notices nothing while an earlier query runs.
      void this.#sendCancel(server, () => server.state.kind === 'closing');
      return;
    }
    const busy = !server.quiet;
    const saidGoodbye = reason === 'client_close_request';
    if (client.isTracked && cleaning === 'nothing') {
      // Closed with everything in it. What runs is not waited for.
      this.pool.close(server, 'session state cannot be cleaned');
      if (busy) void this.#sendCancel(server, () => server.state.kind === 'closing');
      return;
    }
    if (busy) this.#abandoned.set(server, saidGoodbye ? this.#context.clock.now() : undefined);
    if (busy && !saidGoodbye) this.#cancelAbandoned(server);
    const { server_reset_query: sessionReset } = this.#context.settings();
    const reset = cleaning === 'all' ? 'DISCARD ALL' : '';
    this.#clean(server, this.mode === 'session' ? sessionReset : reset, client.isTracked);
  }

  /** `hasLeftovers`: cursors, locks and the like may be there. */
  #clean(server: ServerSession, resetQuery: string, hasLeftovers: boolean): void {
    this.pool.hold(server, 'clean');
    clean(server, {
      resetQuery,
      hasLeftovers,
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

  /** What a server makes of a setting that a client brought. @throws {ClientError} the server's refusal */
  canonical(name: string, value: string): Promise<Canonical> {
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
    const isBehindOurs = server.settling.letsPass && client.queryStartedAt > 0;
    if (server.restoring.mayRun || isBehindOurs) await delay(RUN_TIME);
    await this.#sendCancel(
      server,
      // Nor may it hit what we ask: asked in vain twice, the client would keep the server.
      () => server.client === client && server.linkNumber === link && !isBusyWithOurs(server),
    );
  }

  /**
   * A client's statement may want a database to which nobody is connected. On connections of their own, those who have left one would
   * hold none to it: so do its servers. PostgreSQL waits for that, as it waits for clients that are just going.
   */
  wantDatabasesLeft(): void {
    this.#context.leaveDatabasesUntil = this.#context.clock.now() + DATABASE_PATIENCE;
  }

  #leaveDatabase(): void {
    const { pool } = this;
    const { forcedUser, minPoolSize } = poolSettings(this.#context.config, this.database, this.user);
    // Those that are kept without clients would only come back.
    const isKept = forcedUser && minPoolSize > 0;
    if (pool.clients === 0 && pool.size > 0 && !isKept) pool.reconnect();
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
    if (now < this.#context.leaveDatabasesUntil) this.#leaveDatabase();
    this.#audit(now);
    for (const server of this.pool.servers()) {
      const { state } = server;
      const stalled = stallLimit === 0 ? undefined : server.connection?.stalledSince(now);
      if (stalled !== undefined && now - stalled > stallLimit) server.destroy();
      const settingUp = state.kind === 'connecting' && server.connection !== undefined;
      if (settingUp && checkPatience > 0 && now - state.since > checkPatience) {
        this.log('warn', server, 'connect_query took too long');
        this.pool.close(server, 'connect timeout');
        void this.#sendCancel(server, () => server.state.kind === 'closing');
      }
      if (state.kind !== 'tested') continue;
      const limit = state.purpose === 'clean' ? patience + GOODBYE_PATIENCE : checkPatience;
      if (limit > 0 && now - state.since > limit) this.pool.close(server, `${state.purpose} took too long`);
    }
  }

  // --- PoolPort ------------------------------------------------------------------------------------------------------------

  connect(): ServerSession {
    const { clock } = this.#context;
    const server = new ServerSession(this.#context.nextId(), clock.now(), this, this.#sharedStatements());
    this.logins.begin(server);
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
    this.log('debug', server, reason);
    this.#context.pooler.serverCloses.add(serverCloseReason(reason));
    if (this.logins.giveUp(server)) return;
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
    // Its limit would end what puts the next client's settings there, and with that the next client.
    if (server.sessionState !== undefined && cutsShort(server.sessionState)) this.#clean(server, '', true);
    else this.release(server);
    client?.settled();
  }

  pinned(server: ServerSession, client: ClientSession, added: readonly PinReason[]): void {
    const { pin, applicationName } = client;
    for (const reason of added) this.#context.pooler.pins.add(reason);
    const reasons = added.join(', ');
    const isFirst = this.tracking.isFirstPin(applicationName, reasons);
    this.#context.logger[isFirst ? 'info' : 'debug'](
      { database: this.database, user: this.user, client: client.id, server: server.id, applicationName },
      `client keeps its server connection: ${reasons}`,
    );
    const { max_pinned_share: share } = this.#context.settings();
    const { poolSize } = poolSettings(this.#context.config, this.database, this.user);
    const isNew = pin?.reasons.length === added.length;
    if (!isNew || share === 1 || poolSize === 0 || this.#pinned <= Math.floor(share * poolSize)) return;
    client.fail(
      new ClientError('too many clients keep their server connection (max_pinned_share)', {
        sqlState: SqlState.tooManyConnections,
        detail: `The session would keep one of ${poolSize} by ${reasons}.`,
        hint: 'SHOW PINS on the console tells who keeps one and why.',
      }),
      'max_pinned_share',
    );
  }

  /** Servers that their clients keep. */
  get #pinned(): number {
    let count = 0;
    for (const { client } of this.pool.servers()) if (client?.pin !== undefined) count++;
    return count;
  }

  /** At most once a second: what an idle server carries is compared with what it is known to carry. */
  #audit(now: number): void {
    if (this.policy !== 'track' || now - this.#auditedAt < AUDIT_PERIOD) return;
    // Of those that have been used since, the one that was looked at longest ago: no server is so busy that others are never looked at.
    const [server] = this.pool
      .servers()
      .filter((each) => each.state.kind === 'idle' && each.linkNumber !== each.audited.link && isKnown(each))
      .toSorted((one, other) => one.audited.at - other.audited.at);
    if (server === undefined || !this.pool.hold(server, 'check')) return;
    this.#auditedAt = now;
    server.audited = { link: server.linkNumber, at: now };
    audit(server, (found) => {
      if (found !== undefined) {
        this.#context.logger.warn(
          {
            database: this.database,
            user: this.user,
            server: server.id,
            applicationName: server.reports.reported.get('application_name'),
            found,
          },
          'session state was found that no statement had shown: from now on servers of this pool are cleaned at every change of client, as with session_state "strict"',
        );
        this.tracking.turnStrict();
        server.sessionState = undefined;
        server.mayHaveLeftovers = true;
        // Whoever had it last is a stranger now too.
        server.lastClientId = 0;
      }
      this.release(server);
    });
  }

  doubted(server: ServerSession, reason: string): void {
    this.pool.close(server, reason);
  }

  gone(server: ServerSession, error: Error | undefined): void {
    this.#abandoned.delete(server);
    if (server.state.kind !== 'closing') {
      const reason =
        error === undefined ? 'server closed the connection' : `server connection lost: ${error.message}`;
      this.log('info', server, reason);
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

  async #askGreeting(): Promise<InternedMap> {
    try {
      let fresh = InternedMap.empty;
      await Errand.run(this, this.#context.settings().query_wait_timeout, (server, done) => {
        ({ fresh } = server.reports);
        done();
      });
      return this.#fresh ?? fresh;
    } finally {
      this.#freshErrand = undefined;
    }
  }

  async #askCanonical(name: string, value: string): Promise<Canonical> {
    let answer: Canonical | ClientError | undefined;
    await Errand.run(this, this.#context.settings().query_wait_timeout, (server, done) => {
      canonicalValue(server, name, value, (result) => {
        answer = 'value' in result ? result : startupRefusal(name, result);
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

  log(level: 'debug' | 'info' | 'warn', server: ServerSession, message: string, error?: ClientError): void {
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

/** What runs there is ours. */
const isBusyWithOurs = ({ restoring, settling }: ServerSession): boolean =>
  restoring.mayRun || settling.isAsking;

const isFollowed = ({ mode, policy }: PoolRules): boolean => mode === 'transaction' && policy !== 'off';

/** What it carries is no surprise, whatever that is, where its next client's replay takes it away anyway. */
const isKnown = ({ sessionState, mayHaveLeftovers }: ServerSession): boolean =>
  sessionState !== undefined && !mayHaveLeftovers;

function orThrow(answer: Canonical | ClientError | undefined): Canonical {
  if (answer === undefined) throw new Error('bug: an errand ends with an answer');
  if (answer instanceof ClientError) throw answer;
  return answer;
}
