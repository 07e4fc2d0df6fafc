/**
 * Poolers that tests and benchmarks can exchange for each other: one set of options, a pooler of either kind running as
 * a process of its own, and what a client needs to reach it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import type { Account } from '../../../src/cli/postgres-files.ts';
import { query } from '../postgres.ts';
import { until } from '../wait.ts';

export interface PoolerOptions {
  /** The PostgreSQL behind it. */
  readonly server: { readonly host: string; readonly port: number };
  /** Name → password; clients log in to the pooler with it and the pooler to PostgreSQL. */
  readonly users: Readonly<Record<string, string>>;
  /** Named alike on both sides; "*" stands for all that are not listed. */
  readonly databases: readonly string[];
  readonly poolSize: number;
  readonly authType?: 'scram-sha-256' | 'trust';
  /** Paths of PEM files. With it clients may use TLS, without it they cannot. */
  readonly certificate?: { readonly certFile: string; readonly keyFile: string };
  /** Further settings, in the names that PgBouncer and ostler share. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
}

export interface Pooler {
  /** With its version where that says something. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  /** What it has written to its log. */
  log(): string;
  /** Ends it and waits for the end; clients still connected are cut off. Throws when it ended badly. */
  stop(): Promise<void>;
}

export interface PoolerKind {
  readonly name: string;
  /** Does `poolSize` bound the connections to PostgreSQL? */
  readonly limitsServers: boolean;
  /** Can clients in transaction mode use named prepared statements of the protocol? */
  readonly namedPreparedStatements: boolean;
  /** Does what a client has set, listens to, locks or keeps in temporary tables last longer than a transaction? */
  readonly sessionState: boolean;
  start(options: PoolerOptions): Promise<Pooler>;
}

export const HOST = '127.0.0.1';
const START_TIMEOUT = 20_000;
const STOP_TIMEOUT = 35_000;
/** Of the log, kept for error messages; a benchmark must not gather a long one. */
const LOG_LIMIT = 1 << 20;

export interface Launch {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly account?: Account | undefined;
  readonly port: number;
  /** Removed when the pooler has ended. */
  readonly folder: string;
  readonly stopSignal: NodeJS.Signals;
  readonly options: PoolerOptions;
}

/** Starts the process and waits until a client of it gets an answer. */
export async function launch(what: Launch): Promise<Pooler> {
  const child = spawn(what.command, what.args, {
    ...what.account,
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  const keep = (text: string): void => {
    log = (log + text).slice(-LOG_LIMIT);
  };
  child.stdout.setEncoding('utf8').on('data', keep);
  child.stderr.setEncoding('utf8').on('data', keep);
  let failure: string | undefined;
  child.once('error', (error) => {
    failure = error.message;
  });
  child.once('exit', (code, signal) => {
    failure ??= `it ended (${String(code ?? signal)})`;
  });
  const killWithUs = (): void => void child.kill('SIGKILL');
  process.once('exit', killWithUs);
  try {
    await untilItAnswers(what, () => failure);
  } catch (error) {
    child.kill('SIGKILL');
    process.off('exit', killWithUs);
    await rm(what.folder, { recursive: true, force: true });
    throw new Error(`${what.name} did not start: ${String(error)}\n${log}`, { cause: error });
  }
  return {
    name: what.name,
    host: HOST,
    port: what.port,
    pid: child.pid ?? 0,
    log: () => log,
    stop: async () => {
      await end(child, what);
      process.off('exit', killWithUs);
      await rm(what.folder, { recursive: true, force: true });
    },
  };
}

async function untilItAnswers(
  { name, port, options }: Launch,
  failure: () => string | undefined,
): Promise<void> {
  const [user = '', password = ''] = Object.entries(options.users)[0] ?? [];
  const [database = ''] = options.databases;
  let lastError: unknown;
  await until(
    async () => {
      const failed = failure();
      if (failed !== undefined) throw new Error(failed);
      try {
        return await query({ host: HOST, port, user, password, database }, 'SELECT 1');
      } catch (error) {
        lastError = error;
        return undefined;
      }
    },
    { timeout: START_TIMEOUT, interval: 50, what: () => `${name} answers a query (${String(lastError)})` },
  );
}

async function end(child: ChildProcess, { name, stopSignal }: Launch): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit');
    child.kill(stopSignal);
    const impatience = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT);
    await exited;
    clearTimeout(impatience);
  }
  const { exitCode, signalCode } = child;
  if (exitCode !== 0 && signalCode !== stopSignal) {
    throw new Error(`${name} did not end by itself: ${String(exitCode ?? signalCode)}`);
  }
}
