/** The daemon: everything put together, kept running, and taken apart again. */
import { systemClock } from '../base/clock.ts';
import { Console } from '../admin/console.ts';
import { databaseConditions } from '../admin/health.ts';
import { metricsSource } from '../admin/metrics-source.ts';
import type { ConsoleHost, ReloadResult, SetResult, ShutdownMode } from '../admin/console-host.ts';
import { changes, type Changes } from '../config/changes.ts';
import type { Config } from '../config/config.ts';
import { formatProblem, type Problem } from '../config/problem.ts';
import { setSetting } from '../config/show.ts';
import { type HttpEndpoint, listenHttp } from '../http/server.ts';
import { Resolver } from '../net/dns.ts';
import { decideOnLimit, descriptorLimit } from '../net/file-limits.ts';
import { relayWorks } from '../net/relay-check.ts';
import { hostAndPort, listenError, Listener } from '../net/listener.ts';
import { StatsAverages } from '../observability/averages.ts';
import { openLog, type LogSink } from '../observability/log-sink.ts';
import { createScrape } from '../observability/metrics.ts';
import type { Logger } from '../observability/logger.ts';
import { ClientError } from '../protocol/errors.ts';
import { SqlState } from '../protocol/sql-state.ts';
import type { TlsContexts } from '../proxy/pool-context.ts';
import { Pooler } from '../proxy/pooler.ts';
import { expectedServers } from '../proxy/server-capacity.ts';
import { drain, shuttingDown } from './drain.ts';
import { type LoadedConfig, type LoadOutcome, withTls } from './load-config.ts';
import { StartError } from './start-error.ts';
import { version } from './version.ts';

/** How often timeouts are looked at, ms; PgBouncer does so three times a second. */
const TICK = 100;

export interface RunOptions {
  readonly loaded: LoadedConfig;
  readonly warnings: readonly Problem[];
  /** Reads everything again, for RELOAD. */
  readonly reload: () => LoadOutcome;
  /** Called once clients may come. `httpPort` 0: no HTTP. */
  readonly listening?: (port: number, httpPort: number) => void;
}

/** Runs until it is told to stop; resolves to the exit status. @throws {StartError} */
export async function runDaemon(options: RunOptions): Promise<number> {
  const { settings } = options.loaded.config;
  const log = await openLog({
    level: settings.log_level,
    clock: systemClock,
    pretty: process.stdout.isTTY,
  });
  try {
    return await new Daemon(options, log).run();
  } finally {
    await log.close();
  }
}

class Daemon implements ConsoleHost {
  readonly #options: RunOptions;
  readonly #log: LogSink;
  readonly #logger: Logger;
  readonly pooler: Pooler;
  readonly averages = new StatsAverages(systemClock);
  readonly version = version;
  readonly #console = new Console(this);
  #listener: Listener | undefined;
  #readiness: 'starting' | 'ready' | 'draining' = 'starting';
  /** The number of the last RELOAD: what comes of each is logged, however soon one follows another. */
  #reloads = 0;
  /** When the last stats_period ended; monotonic ms. */
  #statsAt = systemClock.now();
  #exit: (status: number) => void = () => {};

  constructor(options: RunOptions, log: LogSink) {
    this.#options = options;
    this.#log = log;
    this.#logger = log.logger;
    this.pooler = new Pooler({
      ...withinDescriptors(options.loaded.config, log.logger),
      tls: options.loaded.tls,
      clock: systemClock,
      logger: log.logger,
      resolver: new Resolver({ ttl: () => this.pooler.settings().dns_max_ttl }),
      onFault: (error) => {
        log.logger.error({ error }, 'bug: a connection was closed because of it');
      },
    });
  }

  async run(): Promise<number> {
    await relayWorks();
    for (const warning of this.#options.warnings) this.#logger.warn({}, formatProblem(warning));
    this.pooler.console = this.#console;
    this.#listener = await this.#listen();
    const http = await this.#listenHttp();
    this.pooler.openConfiguredPools();
    const ended = new Promise<number>((resolve) => {
      this.#exit = resolve;
    });
    const stopSignals = this.#handleSignals();
    const ticker = setInterval(() => this.#tick(), TICK);
    this.#readiness = 'ready';
    const first = this.#listener.bound.find((bound) => bound.kind === 'tcp');
    this.#options.listening?.(first?.port ?? 0, http?.address.port ?? 0);
    const status = await ended;
    clearInterval(ticker);
    stopSignals();
    this.#listener.close();
    await http?.close();
    return status;
  }

  async #listen(): Promise<Listener> {
    const { settings } = this.pooler.config;
    let listener: Listener;
    try {
      listener = await Listener.open(
        {
          addresses: settings.listen_addr,
          port: settings.listen_port,
          backlog: settings.listen_backlog,
          unixSocketDir: settings.unix_socket_dir === '' ? undefined : settings.unix_socket_dir,
          unixSocketMode: settings.unix_socket_mode,
          keepAlive: this.pooler.context.keepAlive,
        },
        {
          accepted: (connection) => this.pooler.accept(connection),
          acceptFailed: (error, place) => {
            this.#logger.error({ host: place, error }, 'accept() failed');
          },
          onFault: this.pooler.context.onFault,
        },
      );
    } catch (error) {
      throw new StartError(error instanceof Error ? error.message : String(error));
    }
    for (const bound of listener.bound) {
      const place = bound.kind === 'tcp' ? { addr: bound.address, port: bound.port } : { addr: bound.path };
      this.#logger.info(place, 'listening');
    }
    return listener;
  }

  async #listenHttp(): Promise<HttpEndpoint | undefined> {
    const { http_addr: host, http_port: port } = this.pooler.settings();
    if (port === 0) return undefined;
    const source = this.#console;
    const scrape = await createScrape(
      metricsSource({ source, version, droppedLogLines: () => this.#log.droppedLines() }),
    );
    try {
      const http = await listenHttp({
        host,
        port,
        logger: this.#logger,
        health: {
          readiness: () => ({ kind: this.#readiness }),
          databases: () => databaseConditions(source),
        },
        scrape,
      });
      this.#logger.info({ for: 'http', addr: host, port: http.address.port }, 'listening');
      return http;
    } catch (error) {
      this.#listener?.close();
      if (!(error instanceof Error)) throw error;
      throw new StartError(`http: ${listenError(hostAndPort(host, port), error).message}`);
    }
  }

  // --- signals -------------------------------------------------------------------------------------------------------------

  #handleSignals(): () => void {
    const handlers: readonly (readonly [NodeJS.Signals, () => void])[] = [
      ['SIGTERM', () => this.#stop('SIGTERM', this.pooler.settings().shutdown_delay)],
      ['SIGINT', () => this.#stop('SIGINT', 0)],
      ['SIGQUIT', () => this.#exitAtOnce('SIGQUIT', 'exiting at once')],
      ['SIGHUP', () => void this.reload()],
    ];
    for (const [signal, handler] of handlers) process.on(signal, handler);
    return () => {
      for (const [signal, handler] of handlers) process.off(signal, handler);
    };
  }

  #stop(signal: string, delay: number): void {
    if (this.#readiness === 'draining') {
      this.#exitAtOnce(signal, 'second signal: exiting at once');
      return;
    }
    this.#readiness = 'draining';
    this.#logger.info({ signal }, 'shutting down');
    void drain({
      pooler: this.pooler,
      logger: this.#logger,
      delay,
      timeout: this.pooler.settings().shutdown_timeout,
      stopListening: () => this.#listener?.close(),
      dismissConsole: (error) => this.#console.dismiss(error),
    }).then(() => this.#exit(0));
  }

  #exitAtOnce(signal: string, message: string): void {
    this.#logger.warn({ signal }, message);
    this.#exit(0);
  }

  // --- RELOAD --------------------------------------------------------------------------------------------------------------

  /** All or nothing; whoever asks for it, what comes of it is logged. */
  reload(): ReloadResult {
    const reload = ++this.#reloads;
    const result = this.#takeOver(reload);
    if (result.kind === 'failed') {
      for (const problem of result.problems) this.#logger.error({ reload }, problem);
      this.#logger.error({ reload }, 'RELOAD failed: nothing was changed');
    } else {
      this.#logger.info({ reload, changed: result.changed, needRestart: result.needRestart }, 'RELOAD');
    }
    return result;
  }

  #takeOver(reload: number): ReloadResult {
    const outcome = this.#options.reload();
    if (!outcome.ok) return { kind: 'failed', problems: outcome.problems.map(formatProblem) };
    for (const warning of outcome.warnings) this.#logger.warn({ reload }, formatProblem(warning));
    const shown = this.pooler.context.tls.clients;
    let found: Changes;
    let outdated: readonly string[];
    try {
      // A max_client_conn that is lowered again is no change.
      found = changes(this.pooler.config, withinDescriptors(outcome.config, this.#logger).config);
      outdated = this.#apply(found, outcome.tls);
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      return { kind: 'failed', problems: [error.message] };
    }
    const { settings, databases, users } = found;
    const renewed =
      shown?.digest !== outcome.tls.clients?.digest &&
      !settings.some((name) => name.startsWith('client_tls'));
    return {
      kind: 'reloaded',
      changed: [
        ...settings,
        ...(renewed ? ['client_tls_* (files)'] : []),
        ...databases.added.map((name) => `databases.${name} (new)`),
        ...databases.changed.map((name) => `databases.${name}`),
        ...databases.removed.map((name) => `databases.${name} (gone)`),
        ...outdated.map((name) => `databases.${name} (TLS files)`),
        ...[...users.added, ...users.changed, ...users.removed].map((name) => `users.${name}`),
      ],
      needRestart: found.needRestart,
    };
  }

  set(key: string, text: string): SetResult {
    const result = setSetting(this.pooler.config, key, text);
    if (!result.ok) return { kind: 'refused', message: result.message, hint: result.hint };
    const outcome = withTls(result.config);
    if (!outcome.ok) return { kind: 'refused', message: outcome.problems.map(formatProblem).join('; ') };
    try {
      this.#apply(changes(this.pooler.config, result.config), outcome.tls);
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      return { kind: 'refused', message: error.message };
    }
    return { kind: 'set' };
  }

  shutdown(mode: ShutdownMode): void {
    this.#logger.info({ mode }, 'SHUTDOWN from the console');
    if (mode === 'now') {
      this.#exit(0);
      return;
    }
    this.#readiness = 'draining';
    // Over the Unix socket the console stays within reach, to see who is still there.
    this.#listener?.closeTcp();
    this.pooler.admission.refuseAll(shuttingDown());
    if (mode === 'wait_for_servers') {
      const stopped = new ClientError('server shutting down', { sqlState: SqlState.adminShutdown });
      void this.pooler.pools.drain(stopped).then(() => this.#exit(0));
      return;
    }
    const watch = setInterval(() => {
      if (this.pooler.admission.connections > 0) return;
      clearInterval(watch);
      this.#exit(0);
    }, TICK);
  }

  /**
   * Puts a checked configuration into force. Answers the databases whose servers are made anew only because of what is in their TLS
   * files. @throws {StartError} before anything is changed
   */
  #apply(found: Changes, tls: TlsContexts): readonly string[] {
    const { config, refusalRoom } = withinDescriptors(found.config, this.#logger);
    const { added, removed, reconnect } = found.databases;
    const outdated = this.pooler.context
      .outdatedBy(found.config, tls)
      .filter((name) => !reconnect.includes(name));
    this.pooler.reconfigure(config, tls, refusalRoom);
    this.#log.setLevel(config.settings.log_level);
    const gone = new ClientError('database removed', { sqlState: SqlState.adminShutdown });
    const meant = (entries: readonly string[]): string[] =>
      entries.flatMap((name) => (name === '*' ? [...this.pooler.madeFromFallback()] : [name]));
    // Also where "*" takes its place: that is another database, maybe with another user.
    for (const name of meant(removed)) this.pooler.removeDatabase(name, gone);
    // What is new may have been made from "*" so far.
    for (const name of meant([...added, ...reconnect, ...outdated])) {
      this.pooler.pools.reconnect(name);
    }
    this.pooler.openConfiguredPools();
    return outdated;
  }

  #tick(): void {
    this.pooler.tick();
    const now = systemClock.now();
    if (now - this.#statsAt < this.pooler.settings().stats_period) return;
    this.#statsAt = now;
    const all = [...this.pooler.databaseStats.values()];
    this.averages.tick(all);
    this.#logger.debug({ ...this.averages.read(all) }, 'stats');
  }
}

/** The configuration with a max_client_conn that the process has file descriptors for, and what is left beyond. @throws {StartError} */
function withinDescriptors(config: Config, logger: Logger): { config: Config; refusalRoom: number } {
  const { settings, explicit } = config;
  const decision = decideOnLimit(
    {
      maxClientConn: settings.max_client_conn,
      servers: expectedServers(config),
      cancels: 2 * settings.default_pool_size,
      listeners: settings.listen_addr.length + 2,
    },
    descriptorLimit(),
    explicit.has('max_client_conn'),
  );
  switch (decision.kind) {
    case 'enough':
      return { config, refusalRoom: decision.refusals };
    case 'lowered':
      logger.warn({}, decision.warning);
      return {
        config: { ...config, settings: { ...settings, max_client_conn: decision.maxClientConn } },
        refusalRoom: decision.refusals,
      };
    case 'too low':
      throw new StartError(decision.error);
    default:
      throw new Error('bug: unknown decision');
  }
}
