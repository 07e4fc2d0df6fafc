/** What all pools share: the configuration in force and what it means for their servers, what they log in with, and what they count. */
import type { Derivations } from '../auth/derivations.ts';
import { parseSecret, type Secret } from '../auth/secrets.ts';
import { ServerKeys } from '../auth/verifiers.ts';
import type { Clock } from '../base/clock.ts';
import type { Config, DatabaseEntry, Settings } from '../config/config.ts';
import type { FaultListener } from '../net/connection.ts';
import type { Destination, DialOptions } from '../net/dial.ts';
import type { Resolver } from '../net/dns.ts';
import type { KeepAlive } from '../net/keep-alive.ts';
import type { ClientTls, ServerTls } from '../net/tls.ts';
import { unixSocketPath } from '../net/unix-socket.ts';
import { PoolerStats } from '../observability/counters.ts';
import type { Logger } from '../observability/logger.ts';
import { Cancels } from './cancel.ts';
import type { ProxyPoolContext } from './proxy-pool.ts';
import { ServerCapacity } from './server-capacity.ts';

/** TLS as it is now; replaced as a whole by RELOAD. */
export interface TlsContexts {
  readonly clients: ClientTls | undefined;
  serversOf(entry: DatabaseEntry): ServerTls | undefined;
}

export interface PoolContextOptions {
  readonly config: Config;
  readonly tls: TlsContexts;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly resolver: Resolver;
  readonly derivations: Derivations;
  readonly onFault: FaultListener;
}

export class PoolContext implements ProxyPoolContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly pooler = new PoolerStats();
  readonly keys: ServerKeys;
  readonly cancels: Cancels;
  readonly capacity: ServerCapacity;
  readonly resolver: Resolver;
  readonly onFault: FaultListener;
  leaveDatabasesUntil = 0;
  #config: Config;
  #tls: TlsContexts;
  #secrets: ReadonlyMap<string, Secret>;
  #lastId = 0;

  constructor({ config, tls, clock, logger, resolver, derivations, onFault }: PoolContextOptions) {
    this.clock = clock;
    this.logger = logger;
    this.resolver = resolver;
    this.onFault = onFault;
    this.keys = new ServerKeys({ derivations });
    this.cancels = new Cancels(this.pooler.cancels, () => 2 * this.settings().default_pool_size);
    this.capacity = new ServerCapacity(logger);
    this.#config = config;
    this.#tls = tls;
    this.#secrets = secretsOf(config);
  }

  /** Takes a new configuration over, which has been checked. */
  reconfigure(config: Config, tls: TlsContexts): void {
    this.#config = config;
    this.#tls = tls;
    this.#secrets = secretsOf(config);
    this.capacity.compare(config);
  }

  get config(): Config {
    return this.#config;
  }

  settings(): Settings {
    return this.#config.settings;
  }

  entry(database: string): DatabaseEntry | undefined {
    return this.#config.databases.get(database) ?? this.#config.fallback;
  }

  get tls(): TlsContexts {
    return this.#tls;
  }

  serverTls(entry: DatabaseEntry): ServerTls | undefined {
    return this.#tls.serversOf(entry);
  }

  /** Databases whose servers were logged in to with TLS files that have another content in `tls`; "*" for the fallback. */
  outdatedBy(config: Config, tls: TlsContexts): string[] {
    const outdated = (old: DatabaseEntry | undefined, next: DatabaseEntry | undefined): boolean =>
      old !== undefined &&
      next !== undefined &&
      this.#tls.serversOf(old)?.digest !== tls.serversOf(next)?.digest;
    const names = [...this.#config.databases]
      .filter(([name, entry]) => outdated(entry, config.databases.get(name)))
      .map(([name]) => name);
    return outdated(this.#config.fallback, config.fallback) ? [...names, '*'] : names;
  }

  /** Of all users that are known. */
  get secrets(): ReadonlyMap<string, Secret> {
    return this.#secrets;
  }

  secret(user: string): Secret | undefined {
    return this.#secrets.get(user);
  }

  parseSecret(text: string): Secret {
    return parseSecret(text);
  }

  mode(entry: DatabaseEntry, user: string): 'session' | 'transaction' {
    return this.#config.users.get(user)?.pool_mode ?? entry.pool_mode ?? this.settings().pool_mode;
  }

  destination(entry: DatabaseEntry): Destination {
    return entry.host.startsWith('/')
      ? { path: unixSocketPath(entry.host, entry.port) }
      : { host: entry.host, port: entry.port };
  }

  dialOptions(timeoutMs: number): DialOptions {
    const { resolver, onFault } = this;
    return { resolver, timeoutMs, onFault, keepAlive: this.keepAlive };
  }

  /** For sockets of clients and servers. */
  get keepAlive(): KeepAlive | undefined {
    const settings = this.settings();
    if (!settings.tcp_keepalive) return undefined;
    return { idle: settings.tcp_keepidle, interval: settings.tcp_keepintvl, count: settings.tcp_keepcnt };
  }

  nextId(): number {
    return ++this.#lastId;
  }
}

function secretsOf({ users }: Config): ReadonlyMap<string, Secret> {
  return new Map([...users].map(([name, { password }]) => [name, parseSecret(password ?? '')]));
}
