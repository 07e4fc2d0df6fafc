/** Whose setting counts: the user's over the database's over the general one. Which user that is differs by setting. */
import type { Config } from '../config/config.ts';
import type { PoolSettings } from '../pool/pool-settings.ts';

/** Per client: what its login user and database set. Replaced by RELOAD. */
export interface ClientLimits {
  readonly queryWaitTimeout: number;
  readonly queryTimeout: number;
  readonly transactionTimeout: number;
  readonly idleTransactionTimeout: number;
  readonly pinTimeout: number;
  readonly clientIdleTimeout: number;
  readonly maxPreparedStatements: number;
  readonly maxPreparedStatementBytes: number;
  readonly maxWaitingBytes: number;
}

/** What `compute` makes of the configuration in force, made anew when that is replaced. */
export function ofConfig<T>(current: () => Config, compute: (config: Config) => T): () => T {
  let computed: { readonly config: Config; readonly value: T } | undefined;
  return () => {
    const config = current();
    if (computed?.config !== config) computed = { config, value: compute(config) };
    return computed.value;
  };
}

/** A limit of which 0 says that there is none. */
const orNone = (limit: number): number => (limit === 0 ? Infinity : limit);

/** For one pool; `user` is the pool user, the entry's own if it has one. */
export function poolSettings(
  { settings, databases, fallback, users }: Config,
  database: string,
  user: string,
): PoolSettings {
  const entry = databases.get(database) ?? fallback;
  const poolUser = users.get(user);
  return {
    poolSize: poolUser?.pool_size ?? entry?.pool_size ?? settings.default_pool_size,
    minPoolSize: entry?.min_pool_size ?? settings.min_pool_size,
    reservePoolSize: poolUser?.reserve_pool_size ?? entry?.reserve_pool_size ?? settings.reserve_pool_size,
    reservePoolTimeout: settings.reserve_pool_timeout,
    forcedUser: entry?.user !== undefined,
    serverRoundRobin: settings.server_round_robin,
    serverLifetime: entry?.server_lifetime ?? settings.server_lifetime,
    serverIdleTimeout: settings.server_idle_timeout,
    serverCheckDelay: settings.server_check_query === undefined ? undefined : settings.server_check_delay,
    serverLoginRetry: settings.server_login_retry,
    serverLoginConcurrency: settings.server_login_concurrency,
    serverCloseTimeout: settings.server_close_timeout,
    queryWaitNotify: settings.query_wait_notify,
  };
}

/** For one client; `user` is the user it logged in as. */
export function queryLimits(
  { settings, databases, fallback, users }: Config,
  database: string,
  user: string,
): ClientLimits {
  const entry = databases.get(database) ?? fallback;
  const loginUser = users.get(user);
  const poolUser = entry?.user === undefined ? loginUser : users.get(entry.user);
  return {
    queryWaitTimeout:
      loginUser?.query_wait_timeout ?? entry?.query_wait_timeout ?? settings.query_wait_timeout,
    clientIdleTimeout: loginUser?.client_idle_timeout ?? settings.client_idle_timeout,
    queryTimeout: poolUser?.query_timeout ?? settings.query_timeout,
    transactionTimeout: poolUser?.transaction_timeout ?? settings.transaction_timeout,
    idleTransactionTimeout: poolUser?.idle_transaction_timeout ?? settings.idle_transaction_timeout,
    pinTimeout: settings.pin_timeout,
    maxPreparedStatements: settings.max_prepared_statements,
    maxPreparedStatementBytes: orNone(settings.max_prepared_statement_bytes),
    maxWaitingBytes: settings.max_waiting_bytes,
  };
}
