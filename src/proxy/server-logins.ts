/** The logins of one pool to its servers: under way, given up, failed; and what is run on a new server before anybody has it. */
import type { Secret } from '../auth/secrets.ts';
import type { DatabaseEntry } from '../config/config.ts';
import type { Connection } from '../net/connection.ts';
import type { Pool } from '../pool/pool.ts';
import { ClientError } from '../protocol/errors.ts';
import { TransactionStatus } from '../protocol/message-types.ts';
import { SqlState } from '../protocol/sql-state.ts';
import { sweepSql } from '../session/guest-statements.ts';
import { InternedMap } from '../session/interned-map.ts';
import { isPlainName } from '../session/questions.ts';
import { isIdentity } from '../session/replay.ts';
import { isCustom } from '../session/settled-state.ts';
import { hintsOf } from '../sql/hints.ts';
import type { PoolUser } from './pool-user.ts';
import type { ProxyPoolContext } from './proxy-pool.ts';
import { logIn } from './server-login.ts';
import type { ServerRoute, ServerSession } from './server-session.ts';

/** Errors of a server's login that pass by themselves. */
const transientStates: ReadonlySet<string> = new Set([
  SqlState.cannotConnectNow,
  SqlState.tooManyConnections,
]);

/** The pool that the servers are for. */
interface LoginPool {
  readonly database: string;
  readonly user: string;
  readonly entry: DatabaseEntry;
  readonly pool: Pool<PoolUser, ServerSession>;
  /** What a fresh session reports has become known. */
  greet(fresh: InternedMap): void;
  log(level: 'debug' | 'info' | 'warn', server: ServerSession, message: string, error?: ClientError): void;
}

export class ServerLogins {
  lastError: ClientError | undefined;
  lastErrorAt: Date | undefined;
  lastConnect: Date | undefined;
  readonly #context: ProxyPoolContext;
  readonly #pool: LoginPool;
  /** Logins under way, to be given up when the pool says so. */
  readonly #underWay = new Map<ServerSession, AbortController>();

  constructor(context: ProxyPoolContext, pool: LoginPool) {
    this.#context = context;
    this.#pool = pool;
  }

  /** Later the pool hears `connected` or `failed`. */
  begin(server: ServerSession): void {
    const abort = new AbortController();
    this.#underWay.set(server, abort);
    // Never rejects: every outcome is told to the pool.
    void this.#logIn(server, abort.signal);
  }

  /** False if it is not under way. */
  giveUp(server: ServerSession): boolean {
    const login = this.#underWay.get(server);
    login?.abort();
    return login !== undefined;
  }

  async #logIn(server: ServerSession, signal: AbortSignal): Promise<void> {
    const { pooler, clock } = this.#context;
    const startedAt = clock.now();
    pooler.serverConnectAttempts++;
    try {
      const pool = this.#pool;
      const { entry } = pool;
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
            user: pool.user,
            secret: this.#secret(entry),
            parameters: startupParameters(entry, pool.database),
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
      pool.greet(login.reported);
      this.#underWay.delete(server);
      if (server.state.kind !== 'connecting') {
        server.terminate();
        return;
      }
      pooler.serverConnect.observe(clock.now() - startedAt);
      this.lastConnect = new Date();
      this.lastError = undefined;
      this.#pool.log('debug', server, 'new connection to server');
      this.#context.capacity.ask(server, entry, this.#context.config, () => this.#setUp(server, entry));
    } catch (error) {
      this.#underWay.delete(server);
      this.#loginFailed(server, error);
    }
  }

  /** Runs connect_query, if there is one, and gives the new server to the pool. */
  #setUp(server: ServerSession, { connect_query: connectQuery }: DatabaseEntry): void {
    const ready = (): void => {
      if (server.state.kind === 'connecting') this.#pool.pool.connected(server);
    };
    if (connectQuery === undefined || connectQuery === '') {
      ready();
      return;
    }
    server.askQuery(connectQuery, ({ error }) => {
      if (error !== undefined) this.#pool.log('warn', server, `connect_query failed: ${error.message}`);
      // What it has set is to be there for every client, also behind the RESET ALL of a replay.
      const adopt = (): void =>
        server.askQuery(sweepSql(unlistedNames(connectQuery)), ({ rows }) => {
          server.adoptAsFresh(InternedMap.of(rows.map(([name, hex]) => [name ?? '', hex ?? ''])));
          this.#pool.greet(server.reports.fresh);
          ready();
        });
      if (server.status === TransactionStatus.idle) {
        adopt();
        return;
      }
      this.#pool.log('warn', server, 'connect_query leaves a transaction open, which is rolled back');
      server.askQuery('ROLLBACK', adopt);
    });
  }

  #loginFailed(server: ServerSession, error: unknown): void {
    const failure = error instanceof ClientError ? error : new ClientError(String(error), { cause: error });
    if (server.state.kind !== 'connecting') {
      this.#pool.pool.closed(server);
      return;
    }
    this.#context.pooler.serverConnectFailures++;
    this.#context.pooler.serverCloses.add(
      failure.sqlState === SqlState.connectionFailure ? 'connect_failed' : 'login_failed',
    );
    this.lastError = failure;
    this.lastErrorAt = new Date();
    const said = failure.message.replace(/^server login failed: /, '');
    this.#pool.log('warn', server, `server login failed: ${said}`, failure);
    this.#pool.pool.failed(server, { error: failure, transient: transientStates.has(failure.sqlState) });
  }

  #secret(entry: DatabaseEntry): Secret | undefined {
    if (entry.password !== undefined && entry.user !== undefined)
      return this.#context.parseSecret(entry.password);
    return this.#context.secret(this.#pool.user);
  }
}

/** What a query of the operator's sets, of what no list of settings shows: custom ones, and as whom it runs. */
function unlistedNames(sql: string): string[] {
  const bytes = Buffer.from(sql);
  const { names } = hintsOf(bytes, 0, bytes.length, {
    standardConformingStrings: undefined,
    encoding: undefined,
  });
  return names.filter((name) => isPlainName(name) && (isCustom(name) || isIdentity(name)));
}

/** To the very server that a connection leads to, not another one behind the same name. */
function routeTo({ unix, remoteAddress, remotePort }: Connection, configured: ServerRoute): ServerRoute {
  return unix ? configured : { ...configured, destination: { host: remoteAddress, port: remotePort } };
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

const connectTimeout = (timeout: number): ClientError =>
  new ClientError('connect timeout', {
    sqlState: SqlState.connectionFailure,
    detail: `The server did not finish the login within server_connect_timeout (${timeout / 1000} s).`,
  });

/** Runs a login and gives its connection up at the deadline (ms; 0 = none) or when `signal` says so. */
async function withDeadline<Result>(
  timeout: number,
  signal: AbortSignal,
  login: (deadline: AbortSignal, connected: (connection: Connection) => void) => Promise<Result>,
): Promise<Result> {
  let connection: Connection | undefined;
  let timedOut = false;
  const giveUp = (): void => connection?.destroy(timedOut ? connectTimeout(timeout) : new Error('given up'));
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
