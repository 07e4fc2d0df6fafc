/** What must hold between values. Each rule is a plain function of the whole configuration that yields what breaks it. */
import { isIPv4 } from 'node:net';

import type { Config, DatabaseEntry } from './config.ts';

export interface Finding {
  /** The setting to blame: `['ostler', KEY]`, `['databases', NAME]` or `['databases', NAME, KEY]`. */
  readonly path: readonly string[];
  readonly message: string;
  readonly hint?: string;
  /** A warning does not stop anything. */
  readonly warning?: true;
}

type Rule = (config: Config) => Iterable<Finding>;

/** Names of the console. */
const reservedNames = ['pgbouncer', 'ostler'];

const rules: readonly Rule[] = [
  somewhereToListen,
  portsDiffer,
  authenticationIsSafe,
  anyNeedsForcedUsers,
  somebodyCanLogIn,
  clientTlsHasFiles,
  serverTlsHasFiles,
  someDatabase,
  databaseNames,
  passwordsHaveUsers,
  poolSizesFit,
  reserveIsUsed,
  shutdownFits,
];

export function findings(config: Config): readonly Finding[] {
  return rules.flatMap((rule) => Array.from(rule(config)));
}

/** True for an address that only this machine can reach. */
export function isLoopback(address: string): boolean {
  const v4 = address.replace(/^::ffff:/i, '');
  return address === 'localhost' || address === '::1' || (isIPv4(v4) && v4.startsWith('127.'));
}

function* somewhereToListen({ settings }: Config): Iterable<Finding> {
  if (settings.listen_addr.length === 0 && settings.unix_socket_dir === undefined) {
    yield {
      path: ['ostler', 'listen_addr'],
      message: 'nowhere to listen on: listen_addr and unix_socket_dir are empty',
    };
  }
}

function* portsDiffer({ settings }: Config): Iterable<Finding> {
  if (settings.http_port === 0 || settings.http_port !== settings.listen_port) return;
  if (settings.listen_addr.length === 0) return;
  yield { path: ['ostler', 'http_port'], message: 'http_port must not be listen_port' };
}

function* authenticationIsSafe({ settings }: Config): Iterable<Finding> {
  const { auth_type: type, allow_insecure_auth: allowed, listen_addr: addresses } = settings;
  if ((type !== 'trust' && type !== 'any') || allowed || addresses.every(isLoopback)) return;
  yield {
    path: ['ostler', 'auth_type'],
    message: `auth_type "${type}" lets in everybody who can reach listen_addr`,
    hint: 'listen on 127.0.0.1 or a Unix socket only, or set allow_insecure_auth = true',
  };
}

function* anyNeedsForcedUsers(config: Config): Iterable<Finding> {
  if (config.settings.auth_type !== 'any') return;
  for (const { name, user } of entries(config)) {
    if (user !== undefined) continue;
    yield { path: ['databases', name], message: 'auth_type "any" needs a user in each database entry' };
  }
}

function* somebodyCanLogIn({ settings, users }: Config): Iterable<Finding> {
  if (settings.auth_file !== undefined || settings.auth_type === 'any') return;
  const ready = [...users.values()].filter(
    (user) => settings.auth_type === 'trust' || (user.password ?? '') !== '',
  );
  if (ready.length === 0) {
    yield {
      path: ['ostler', 'auth_type'],
      message: 'nobody can log in: no user has a password',
      hint: 'add [users.NAME] with a password, or set auth_file',
      warning: true,
    };
  }
  for (const key of ['admin_users', 'stats_users'] as const) {
    for (const name of settings[key].filter((user) => !users.has(user))) {
      yield {
        path: ['ostler', key],
        message: `${key} names "${name}", who is not in [users]`,
        warning: true,
      };
    }
  }
}

function* clientTlsHasFiles({ settings }: Config): Iterable<Finding> {
  const mode = settings.client_tls_sslmode;
  if (mode === 'disable') return;
  const path = ['ostler', 'client_tls_sslmode'];
  for (const key of ['client_tls_key_file', 'client_tls_cert_file'] as const) {
    if (settings[key] === undefined) yield { path, message: `client_tls_sslmode "${mode}" needs ${key}` };
  }
  if (mode.startsWith('verify-') && settings.client_tls_ca_file === undefined) {
    yield { path, message: `client_tls_sslmode "${mode}" needs client_tls_ca_file` };
  }
}

function* serverTlsHasFiles(config: Config): Iterable<Finding> {
  const { settings } = config;
  yield* serverTlsOf(settings, settings.server_tls_ca_file, ['ostler']);
  for (const entry of entries(config)) {
    const own = { ...entry, server_tls_sslmode: entry.server_tls_sslmode ?? settings.server_tls_sslmode };
    // What [ostler] lacks was said once; here only what the entry itself gets wrong.
    const inherits = entry.server_tls_sslmode === undefined && own.server_tls_ca_file === undefined;
    if (!inherits)
      yield* serverTlsOf(own, entry.server_tls_ca_file ?? settings.server_tls_ca_file, [
        'databases',
        entry.name,
      ]);
  }
}

interface ServerTls {
  readonly server_tls_sslmode?: string | undefined;
  readonly server_tls_key_file?: string | undefined;
  readonly server_tls_cert_file?: string | undefined;
}

function* serverTlsOf(
  tls: ServerTls,
  authorities: string | undefined,
  section: readonly string[],
): Iterable<Finding> {
  const mode = tls.server_tls_sslmode ?? '';
  if (mode.startsWith('verify-') && authorities === undefined) {
    yield {
      path: [...section, 'server_tls_sslmode'],
      message: `server_tls_sslmode "${mode}" needs server_tls_ca_file`,
      hint: 'give the file of the authority (for RDS its global-bundle.pem), or "system" for the public ones (in a URL: sslrootcert)',
    };
  }
  if ((tls.server_tls_key_file === undefined) !== (tls.server_tls_cert_file === undefined)) {
    yield {
      path: [
        ...section,
        tls.server_tls_key_file === undefined ? 'server_tls_cert_file' : 'server_tls_key_file',
      ],
      message: 'server_tls_key_file and server_tls_cert_file belong together',
    };
  }
}

function* someDatabase(config: Config): Iterable<Finding> {
  if ([...entries(config)].length > 0) return;
  yield { path: ['databases'], message: 'there is no database', hint: 'add [databases.NAME] with a host' };
}

function* databaseNames({ databases }: Config): Iterable<Finding> {
  for (const name of databases.keys()) {
    const path = ['databases', name];
    if (reservedNames.includes(name))
      yield { path, message: `database name "${name}" is reserved for the console` };
    if (name === '') yield { path, message: 'a database needs a name' };
    if (Buffer.byteLength(name) > 63) yield { path, message: 'a database name has at most 63 bytes' };
  }
}

function* passwordsHaveUsers(config: Config): Iterable<Finding> {
  for (const { name, user, password } of entries(config)) {
    if (password === undefined || user !== undefined) continue;
    yield { path: ['databases', name, 'password'], message: `databases.${name} has a password but no user` };
  }
}

function* poolSizesFit(config: Config): Iterable<Finding> {
  const { settings } = config;
  if (settings.min_pool_size > settings.default_pool_size) {
    yield { path: ['ostler', 'min_pool_size'], message: 'min_pool_size is larger than default_pool_size' };
  }
  for (const entry of entries(config)) yield* entrySizesFit(config, entry);
}

function* entrySizesFit({ settings }: Config, entry: DatabaseEntry): Iterable<Finding> {
  const size = entry.pool_size ?? settings.default_pool_size;
  const least = entry.min_pool_size ?? settings.min_pool_size;
  const most = entry.max_db_connections ?? settings.max_db_connections;
  const reserve = entry.reserve_pool_size ?? settings.reserve_pool_size;
  const path = ['databases', entry.name];
  if (least > size && (entry.pool_size ?? entry.min_pool_size) !== undefined) {
    yield {
      path: [...path, 'min_pool_size'],
      message: `min_pool_size is larger than pool_size in databases.${entry.name}`,
    };
  }
  if (most === 0) return;
  if (size > most) {
    const message = `pool_size ${size} cannot be reached in databases.${entry.name}: max_db_connections is ${most}`;
    yield { path: [...path, 'pool_size'], message, warning: true };
  } else if (reserve > 0 && size >= most) {
    const message = `reserve_pool_size is never used in databases.${entry.name}: max_db_connections is ${most}`;
    yield { path: [...path, 'reserve_pool_size'], message, warning: true };
  }
}

function* reserveIsUsed({ settings }: Config): Iterable<Finding> {
  if (settings.reserve_pool_size === 0 || settings.reserve_pool_timeout > 0) return;
  const message = 'reserve_pool_size is never used: reserve_pool_timeout is 0';
  yield { path: ['ostler', 'reserve_pool_timeout'], message, warning: true };
}

function* shutdownFits({ settings }: Config): Iterable<Finding> {
  if (settings.shutdown_delay === 0 || settings.shutdown_delay < settings.shutdown_timeout) return;
  yield {
    path: ['ostler', 'shutdown_delay'],
    message: 'shutdown_delay must be shorter than shutdown_timeout',
  };
}

function* entries({ databases, fallback }: Config): Iterable<DatabaseEntry> {
  yield* databases.values();
  if (fallback !== undefined) yield fallback;
}
