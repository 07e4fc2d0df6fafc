/** The configuration with everything that it names outside itself: the user list, certificates; whole, or everything wrong with it. */
import { readFileSync } from 'node:fs';
import { clientAuthProblem, parseSecret, serverLoginProblem } from '../auth/secrets.ts';
import { parseUserList } from '../auth/user-list.ts';
import type { Config, DatabaseEntry, Settings, UserEntry } from '../config/config.ts';
import { inFileOrder, loadConfig } from '../config/load.ts';
import type { Origin, Problem } from '../config/problem.ts';
import { buildClientTls, buildServerTls, type Built, type ServerTls, type TlsSettings } from '../net/tls.ts';
import type { TlsContexts } from '../proxy/pool-context.ts';

export interface LoadedConfig {
  readonly config: Config;
  readonly tls: TlsContexts;
}

export type LoadOutcome =
  | ({ readonly ok: true; readonly warnings: readonly Problem[] } & LoadedConfig)
  | { readonly ok: false; readonly problems: readonly Problem[] };

type Locate = (path: readonly string[]) => Origin | undefined;

/** `path` undefined: from the environment alone. Never throws for what is written anywhere. */
export function loadEverything(path: string | undefined, env: NodeJS.ProcessEnv): LoadOutcome {
  const loaded = loadConfig({ path, env, readFile: (file) => readFileSync(file, 'utf8') });
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  if (!loaded.ok) {
    if (loaded.rest !== undefined) {
      const { config, locate } = loaded.rest;
      problems.push(...secretProblems(withUserList(config, locate, problems, warnings), locate));
    }
    return { ok: false, problems: inFileOrder([...loaded.problems, ...problems]) };
  }
  const { locate } = loaded;
  const config = withUserList(loaded.config, locate, problems, warnings);
  problems.push(...secretProblems(config, locate));
  const tls = buildTls(config, locate, problems);
  if (problems.length > 0 || tls === undefined) return { ok: false, problems: inFileOrder(problems) };
  return { ok: true, config, tls, warnings: [...loaded.warnings, ...warnings] };
}

/** TLS for a configuration that is right otherwise, after a setting was changed by hand. */
export function withTls(
  config: Config,
):
  | { readonly ok: true; readonly tls: TlsContexts }
  | { readonly ok: false; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const tls = buildTls(config, () => undefined, problems);
  return tls === undefined ? { ok: false, problems } : { ok: true, tls };
}

/** The users of auth_file join those of [users]; a password in [users] counts more. */
function withUserList(config: Config, locate: Locate, problems: Problem[], warnings: Problem[]): Config {
  const file = config.settings.auth_file;
  if (file === undefined || file === '') return config;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    problems.push({
      ...originOf(locate, ['ostler', 'auth_file']),
      message: `auth_file cannot be read: ${reason}`,
    });
    return config;
  }
  const { secrets, problems: found } = parseUserList(text);
  for (const { line, message, warning } of found) {
    (warning === true ? warnings : problems).push({ file, line, message });
  }
  const users = new Map<string, UserEntry>(config.users);
  for (const [name, password] of secrets) {
    const listed = users.get(name);
    if (listed === undefined) users.set(name, { name, password });
    else if (listed.password === undefined) users.set(name, { ...listed, password });
  }
  return { ...config, users };
}

/** Stored secrets that can never do what they are there for. */
function secretProblems(config: Config, locate: Locate): Problem[] {
  const problems: Problem[] = [];
  const { auth_type: authType, admin_users: admins, stats_users: readers } = config.settings;
  const entries = [...config.databases.values(), ...(config.fallback === undefined ? [] : [config.fallback])];
  const onServers = entries.some(({ user }) => user === undefined);
  const forced = new Set(entries.flatMap(({ user }) => (user === undefined ? [] : [user])));
  for (const [name, { password }] of config.users) {
    if (password === undefined) continue;
    const secret = parseSecret(password);
    const origin = originOf(locate, ['users', name, 'password'], config.settings.auth_file);
    const forServers = forced.has(name)
      ? entries.some((entry) => entry.user === name && entry.password === undefined)
      : onServers;
    const found = [
      forced.has(name) ? undefined : clientAuthProblem(name, secret, authType),
      forServers && !admins.includes(name) && !readers.includes(name)
        ? serverLoginProblem(name, secret)
        : undefined,
    ];
    for (const message of new Set(found)) if (message !== undefined) problems.push({ ...origin, message });
  }
  for (const entry of entries) {
    if (entry.password === undefined || entry.user === undefined) continue;
    const message = serverLoginProblem(entry.user, parseSecret(entry.password));
    if (message !== undefined) {
      problems.push({ ...originOf(locate, ['databases', entry.name, 'password']), message });
    }
  }
  return problems;
}

function buildTls(config: Config, locate: Locate, problems: Problem[]): TlsContexts | undefined {
  const { settings } = config;
  const built = <T>(result: Built<T>, path: readonly string[]): T | undefined => {
    if (result.kind === 'built') return result.value;
    problems.push({ ...originOf(locate, path), message: result.problem });
    return undefined;
  };
  const clients = built(buildClientTls(clientSide(settings)), ['ostler', 'client_tls_sslmode']);
  const servers = new Map<DatabaseEntry, ServerTls | undefined>();
  for (const entry of [
    ...config.databases.values(),
    ...(config.fallback === undefined ? [] : [config.fallback]),
  ]) {
    servers.set(entry, built(buildServerTls(serverSide(settings, entry)), ['databases', entry.name]));
  }
  if (problems.length > 0) return undefined;
  return { clients, serversOf: (entry) => servers.get(entry) };
}

const clientSide = (settings: Settings): TlsSettings => ({
  sslmode: settings.client_tls_sslmode,
  keyFile: settings.client_tls_key_file,
  certFile: settings.client_tls_cert_file,
  caFile: settings.client_tls_ca_file,
  protocols: settings.client_tls_protocols,
  ciphers: settings.client_tls_ciphers,
  tls13Ciphers: settings.client_tls13_ciphers,
});

const serverSide = (settings: Settings, entry: DatabaseEntry): TlsSettings => ({
  sslmode: entry.server_tls_sslmode ?? settings.server_tls_sslmode,
  keyFile: entry.server_tls_key_file ?? settings.server_tls_key_file,
  certFile: entry.server_tls_cert_file ?? settings.server_tls_cert_file,
  caFile: entry.server_tls_ca_file ?? settings.server_tls_ca_file,
  protocols: settings.server_tls_protocols,
  ciphers: settings.server_tls_ciphers,
  tls13Ciphers: settings.server_tls13_ciphers,
});

function originOf(locate: Locate, path: readonly string[], otherwise = 'configuration'): Origin {
  return locate(path) ?? locate(path.slice(0, 2)) ?? { file: otherwise };
}
