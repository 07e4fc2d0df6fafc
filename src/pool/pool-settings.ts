/** The settings of one pool, resolved for it (user over database over global). Times in ms. Replaced as a whole by RELOAD. */

export interface PoolSettings {
  /** pool_size: servers of this pool; 0 = as many as the other limits allow. */
  readonly poolSize: number;
  /** min_pool_size: kept open while the pool has a client, or always if `forcedUser`. */
  readonly minPoolSize: number;
  /** reserve_pool_size: servers on top of pool_size for a client that has waited reserve_pool_timeout. */
  readonly reservePoolSize: number;
  /** reserve_pool_timeout; 0 = no reserve. */
  readonly reservePoolTimeout: number;
  /** The database entry has a `user=` of its own, so that the pool is the only one of its entry. */
  readonly forcedUser: boolean;
  /** server_round_robin: the longest-idle server first, instead of the last used. */
  readonly serverRoundRobin: boolean;
  /** server_lifetime; 0 = each server serves one client. */
  readonly serverLifetime: number;
  /** server_idle_timeout; 0 = never. */
  readonly serverIdleTimeout: number;
  /** server_check_delay: a server idle for that long is tested before it is handed out. undefined = no check query. */
  readonly serverCheckDelay: number | undefined;
  /** server_login_retry: no new login for that long after a failed one. */
  readonly serverLoginRetry: number;
  /** server_login_concurrency: logins of this pool in progress at a time. */
  readonly serverLoginConcurrency: number;
  /** server_close_timeout: after Terminate, a server that has not closed its side by then counts as gone. */
  readonly serverCloseTimeout: number;
  /** query_wait_notify; 0 = never. */
  readonly queryWaitNotify: number;
}
