/** The keys of [databases.NAME] and [users.NAME]. What is missing there comes from [ostler]. */
import { z } from 'zod';

import { choice, duration, host, integer, limit, optionalText, text } from './kinds.ts';

import { optional, required, setting } from './setting.ts';
import { sessionPolicy } from './settings-pooling.ts';
import { sslmode } from './tls-kinds.ts';

/** 'new connections': a change closes the servers of the entry as they become free, and new ones are opened. */
export const databaseFields = {
  host: required(host, {
    reload: 'new connections',
    help: 'Host name, IP address, or the folder of a Unix socket.',
  }),
  port: setting(integer(1, 65_535), { default: 5432, reload: 'new connections', help: 'Port.' }),
  dbname: optional(text, {
    reload: 'new connections',
    help: "The database's name on the server. By default the name that the client asked for.",
  }),
  user: optional(text, {
    reload: 'new connections',
    help: "Log in to the server as this user, whoever the client is. By default as the client's user.",
  }),
  password: optional(text, {
    reload: 'new connections',
    secret: true,
    help: 'Password for user. By default that of the user of this name in [users] or auth_file.',
  }),
  pool_mode: optional(choice('session', 'transaction'), { reload: 'live', help: 'Instead of pool_mode.' }),
  session_state: optional(sessionPolicy, { reload: 'live', help: 'Instead of session_state.' }),
  pool_size: optional(integer(1, 1_000_000), { reload: 'live', help: 'Instead of default_pool_size.' }),
  min_pool_size: optional(limit, { reload: 'live', help: 'Instead of min_pool_size.' }),
  reserve_pool_size: optional(limit, { reload: 'live', help: 'Instead of reserve_pool_size.' }),
  max_db_connections: optional(limit, { reload: 'live', help: 'Instead of max_db_connections.' }),
  max_db_client_connections: optional(limit, {
    reload: 'live',
    help: 'Instead of max_db_client_connections.',
  }),
  server_lifetime: optional(duration, { reload: 'live', help: 'Instead of server_lifetime.' }),
  query_wait_timeout: optional(duration, { reload: 'live', help: 'Instead of query_wait_timeout.' }),
  connect_query: optional(optionalText, {
    reload: 'new connections',
    help: 'SQL that is run once on each new server connection.',
  }),
  client_encoding: optional(text, { reload: 'new connections', help: 'Startup parameter for the server.' }),
  datestyle: optional(text, { reload: 'new connections', help: 'Startup parameter for the server.' }),
  timezone: optional(text, { reload: 'new connections', help: 'Startup parameter for the server.' }),
  application_name: optional(text, { reload: 'new connections', help: 'Startup parameter for the server.' }),
  server_tls_sslmode: optional(sslmode, {
    reload: 'new connections',
    help: 'Instead of server_tls_sslmode.',
  }),
  server_tls_ca_file: optional(optionalText, {
    reload: 'new connections',
    help: 'Instead of server_tls_ca_file.',
  }),
  server_tls_key_file: optional(optionalText, {
    reload: 'new connections',
    help: 'Instead of server_tls_key_file.',
  }),
  server_tls_cert_file: optional(optionalText, {
    reload: 'new connections',
    help: 'Instead of server_tls_cert_file.',
  }),
};

export const userFields = {
  password: optional(text, {
    reload: 'new connections',
    secret: true,
    help: 'Plain text, an MD5 hash ("md5…") or a SCRAM verifier ("SCRAM-SHA-256$…").',
  }),
  pool_mode: optional(choice('session', 'transaction'), { reload: 'live', help: 'Instead of pool_mode.' }),
  pool_size: optional(integer(1, 1_000_000), {
    reload: 'live',
    help: 'Instead of pool_size of the database.',
  }),
  reserve_pool_size: optional(limit, { reload: 'live', help: 'Instead of reserve_pool_size.' }),
  max_user_connections: optional(limit, { reload: 'live', help: 'Instead of max_user_connections.' }),
  max_user_client_connections: optional(limit, {
    reload: 'live',
    help: 'Instead of max_user_client_connections.',
  }),
  query_timeout: optional(duration, { reload: 'live', help: 'Instead of query_timeout.' }),
  query_wait_timeout: optional(duration, { reload: 'live', help: 'Instead of query_wait_timeout.' }),
  idle_transaction_timeout: optional(duration, {
    reload: 'live',
    help: 'Instead of idle_transaction_timeout.',
  }),
  transaction_timeout: optional(duration, { reload: 'live', help: 'Instead of transaction_timeout.' }),
  client_idle_timeout: optional(duration, { reload: 'live', help: 'Instead of client_idle_timeout.' }),
};

export const databaseSchema = z.strictObject(databaseFields);
export const userSchema = z.strictObject(userFields);
