/** Settings of pools and their limits, and of the life of a server connection. */
import { boolean, checkQuery, choice, duration, integer, limit, list, share, size, text } from './kinds.ts';
import { setting } from './setting.ts';

export const sessionPolicy = choice('track', 'strict', 'pin', 'off');

export const pooling = {
  pool_mode: setting(choice('session', 'transaction'), {
    default: 'transaction',
    reload: 'live',
    help: 'When a server goes back to its pool: after each transaction, or when its client leaves.',
  }),
  session_state: setting(sessionPolicy, {
    default: 'track',
    reload: 'live',
    help: 'In transaction mode, what a client sets in its session follows it ("track"), the same with servers cleaned at every change of client ("strict"), keeps its server ("pin"), or only what PostgreSQL reports follows ("off", as PgBouncer).',
  }),
  max_pinned_share: setting(share, {
    default: 1,
    reload: 'live',
    help: 'How much of pool_size clients may hold that keep their server in transaction mode (SHOW PINS), 0 to 1. Who would exceed it is disconnected.',
  }),
  max_client_conn: setting(integer(1, 1_000_000), {
    default: 2000,
    reload: 'live',
    help: 'Client connections, all together. Each needs a file descriptor (ulimit -n).',
  }),
  default_pool_size: setting(integer(1, 1_000_000), {
    default: 20,
    reload: 'live',
    help: 'Server connections per pool; a pool serves one database entry and user.',
  }),
  min_pool_size: setting(limit, {
    default: 0,
    reload: 'live',
    help: 'Server connections that a pool keeps open while it has clients, or a forced user.',
  }),
  reserve_pool_size: setting(limit, {
    default: 0,
    reload: 'live',
    help: 'Further server connections for a pool whose oldest client has waited for reserve_pool_timeout.',
  }),
  reserve_pool_timeout: setting(duration, {
    default: '5s',
    reload: 'live',
    help: 'How long a client waits before the reserve is used. 0: never.',
  }),
  max_db_connections: setting(limit, {
    default: 0,
    reload: 'live',
    help: 'Server connections per database entry, over all its pools. 0: no limit.',
  }),
  max_user_connections: setting(limit, {
    default: 0,
    reload: 'live',
    help: 'Server connections per user, over all databases. 0: no limit.',
  }),
  max_db_client_connections: setting(limit, {
    default: 0,
    reload: 'live',
    help: 'Client connections per database entry. 0: no limit.',
  }),
  max_user_client_connections: setting(limit, {
    default: 0,
    reload: 'live',
    help: 'Client connections per user. 0: no limit.',
  }),
  server_round_robin: setting(boolean, {
    default: false,
    reload: 'live',
    help: 'Use the server that has been idle longest, not the one used last.',
  }),
  max_prepared_statements: setting(limit, {
    default: 200,
    reload: 'live',
    help: 'Prepared statements kept per server in transaction mode. 0: prepared statements are not tracked.',
  }),
  max_prepared_statement_bytes: setting(size, {
    default: '16MiB',
    reload: 'live',
    help: 'Named prepared statements that one client may have in transaction mode: their texts and names, and 1 KiB for each. Who would have more gets error 53400. A server keeps no more text than that. 0: no limit.',
  }),
  ignore_startup_parameters: setting(list, {
    default: [],
    reload: 'live',
    help: 'Startup parameters that are dropped. The others are set on the server for that client.',
  }),
  application_name_add_host: setting(boolean, {
    default: false,
    reload: 'new connections',
    help: "Append the client's address and port to its application_name.",
  }),
};

export const serverLife = {
  server_login_concurrency: setting(integer(1, 10_000), {
    default: 5,
    reload: 'live',
    help: 'Server logins in progress at a time, per pool. (PgBouncer: 1.)',
  }),
  server_reset_query: setting(text, {
    default: 'DISCARD ALL',
    reload: 'live',
    help: 'Sent when a client leaves its server in session mode. "": nothing.',
  }),
  server_check_query: setting(checkQuery, {
    default: '<empty>',
    reload: 'live',
    help: 'Sent to a server that was idle for server_check_delay, before it is used. "<empty>": an empty query. "": no check.',
  }),
  server_check_delay: setting(duration, {
    default: '30s',
    reload: 'live',
    help: 'How long a server may be idle and still be used without server_check_query. 0: it is checked each time.',
  }),
  server_lifetime: setting(duration, {
    default: '1h',
    reload: 'live',
    help: 'A server older than this is closed when nobody uses it, some earlier, so that not all go at once. 0: after its first use.',
  }),
  server_idle_timeout: setting(duration, {
    default: '10m',
    reload: 'live',
    help: 'A server idle for this long is closed, down to min_pool_size. 0: never.',
  }),
  server_connect_timeout: setting(duration, {
    default: '15s',
    reload: 'live',
    help: 'For connecting and logging in to a server. 0: no limit.',
  }),
  server_login_retry: setting(duration, {
    default: '1s',
    reload: 'live',
    help: 'Pause of a pool after a failed connection attempt. (PgBouncer: 15 s.)',
  }),
  server_close_timeout: setting(duration, {
    default: '5s',
    reload: 'live',
    help: 'How long a server may take to close after Terminate before its slot counts as free.',
  }),
  dns_max_ttl: setting(duration, {
    default: '5s',
    reload: 'live',
    help: 'How long the answer to a host name lookup is used. (PgBouncer: 15 s.)',
  }),
  autodb_idle_timeout: setting(duration, {
    default: '1h',
    reload: 'live',
    help: 'A database made from the "*" entry is forgotten, with its counters, when unused for this long.',
  }),
};
