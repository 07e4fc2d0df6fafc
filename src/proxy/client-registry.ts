/** The logged-in clients: who there is, how many each database and user has, what limits hold for them, and by which key each is cancelled. */
import type { Config } from '../config/config.ts';
import type { Connection } from '../net/connection.ts';
import type { Logger } from '../observability/logger.ts';
import type { PoolerStats } from '../observability/counters.ts';
import type { ClientDisconnectReason } from '../observability/reasons.ts';
import { ClientError } from '../protocol/errors.ts';
import { SqlState } from '../protocol/sql-state.ts';
import { type CancelKey, CancelKeys } from './cancel-keys.ts';
import type { ClientOwner, ClientSession } from './client-session.ts';
import { type ClientLimits, ofConfig, queryLimits } from './pool-rules.ts';

/** Whose clients a limit counts. */
export type ClientGroup = 'database' | 'user';

export class ClientRegistry implements ClientOwner {
  readonly all = new Map<number, ClientSession>();
  readonly #config: () => Config;
  readonly #logger: Logger;
  readonly #stats: PoolerStats;
  readonly #cancelKeys = new CancelKeys<ClientSession>();
  readonly #keyOf = new WeakMap<ClientSession, number>();
  readonly #counts: Readonly<Record<ClientGroup, Map<string, number>>> = {
    database: new Map(),
    user: new Map(),
  };
  /** By login user, then by database, as long as the user has clients. */
  readonly #limits = new Map<string, Map<string, () => ClientLimits>>();

  constructor(config: () => Config, logger: Logger, stats: PoolerStats) {
    this.#config = config;
    this.#logger = logger;
    this.#stats = stats;
  }

  *connections(): Generator<Connection, void, undefined> {
    for (const { connection } of this.all.values()) yield connection;
  }

  count(group: ClientGroup, name: string): number {
    return this.#counts[group].get(name) ?? 0;
  }

  /** @throws {ClientError} max_db_client_connections or max_user_client_connections leaves no room for one more */
  checkRoom(database: string, user: string): void {
    const { settings, databases, fallback, users } = this.#config();
    const entry = databases.get(database) ?? fallback;
    for (const [name, limit, count] of [
      [
        'max_db_client_connections',
        entry?.max_db_client_connections ?? settings.max_db_client_connections,
        this.count('database', database),
      ],
      [
        'max_user_client_connections',
        users.get(user)?.max_user_client_connections ?? settings.max_user_client_connections,
        this.count('user', user),
      ],
    ] as const) {
      if (limit === 0 || count < limit) continue;
      this.#stats.refusals.add(name);
      throw new ClientError(`client connections exceeded (${name})`, {
        sqlState: SqlState.tooManyConnections,
        detail: `The limit is ${limit}.`,
      });
    }
  }

  /** What holds for clients of this database and user, worked out once for each configuration and shared by them all. */
  limitsOf(database: string, user: string): () => ClientLimits {
    const known = this.#limits.get(user)?.get(database);
    if (known !== undefined) return known;
    const limits = ofConfig(this.#config, (config) => queryLimits(config, database, user));
    const ofUser = this.#limits.get(user) ?? new Map<string, () => ClientLimits>();
    this.#limits.set(user, ofUser.set(database, limits));
    return limits;
  }

  /** A client has logged in. Answers the key that its cancel requests will show. */
  join(client: ClientSession, longKeys: boolean): CancelKey {
    const key = this.#cancelKeys.issue(client, longKeys);
    this.#keyOf.set(client, key.processId);
    this.all.set(client.id, client);
    client.pool.pool.join();
    client.stats.clientLoginCount++;
    this.#change('database', client.pool.database, 1);
    this.#change('user', client.user, 1);
    this.#logger[this.#config().settings.log_connections ? 'info' : 'debug'](
      {
        database: client.pool.database,
        user: client.user,
        client: client.id,
        host: client.connection.remoteAddress,
        tls: client.connection.tls?.protocol,
      },
      'client connected',
    );
    return key;
  }

  left(client: ClientSession, reason: ClientDisconnectReason, detail: string | undefined): void {
    this.#stats.clientDisconnects.add(reason);
    this.all.delete(client.id);
    client.pool.pool.leave();
    this.#change('database', client.pool.database, -1);
    this.#change('user', client.user, -1);
    if (this.count('user', client.user) === 0) this.#limits.delete(client.user);
    const key = this.#keyOf.get(client);
    if (key !== undefined) this.#cancelKeys.revoke(key);
    const level = quietReasons.has(reason) && !this.#config().settings.log_disconnections ? 'debug' : 'info';
    this.#logger[level](
      { database: client.pool.database, user: client.user, client: client.id, reason, detail },
      'client disconnected',
    );
  }

  /** Whom a cancel request means. */
  find(key: CancelKey): ClientSession | undefined {
    return this.#cancelKeys.find(key);
  }

  #change(group: ClientGroup, name: string, by: number): void {
    const count = this.count(group, name) + by;
    if (count === 0) this.#counts[group].delete(name);
    else this.#counts[group].set(name, count);
  }
}

const quietReasons: ReadonlySet<ClientDisconnectReason> = new Set([
  'client_close_request',
  'client_unexpected_eof',
  'client_idle_timeout',
  'shutdown',
]);
