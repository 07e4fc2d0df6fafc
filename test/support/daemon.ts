/** The daemon as users run it: a process of its own, with a configuration file, seen only through its ports and its log. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { until } from './wait.ts';

export type LogLine = Readonly<Record<string, unknown>>;

export interface DaemonOptions {
  /**
   * TOML. Written beside `files`; `listen_port = 0` and `listen_addr = "127.0.0.1"` are for the configuration to say.
   * Without it the environment is all the configuration there is.
   */
  readonly config?: string;
  /** Further files next to the configuration, by name (certificates, user lists). */
  readonly files?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Of Node's, before the program. */
  readonly nodeOptions?: readonly string[];
  /** `ulimit -n`, soft and hard. */
  readonly openFiles?: number;
}

export interface Daemon {
  readonly pid: number;
  readonly child: ChildProcess;
  /** Holds the configuration and the files given with it; the daemon's working directory. */
  readonly folder: string;
  readonly configFile: string;
  /** The first TCP port it listens on for clients. */
  readonly port: number;
  /** Of the HTTP listener; 0 if there is none. */
  readonly httpPort: number;
  /** Everything it has logged, oldest first. A line that is not JSON appears as `{ text }`. */
  readonly log: readonly LogLine[];
  /** The first line logged from `since` on for which `accept` holds; waits for it. */
  waitForLog(accept: (line: LogLine) => boolean, since?: number): Promise<LogLine>;
  /** Replaces the configuration file; the daemon reads it at the next RELOAD. */
  writeConfig(config: string): Promise<void>;
  /** Sends a signal, waits for the end and says how it was: the status, or the name of the signal. */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals>;
}

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const START_TIMEOUT = 15_000;
const STOP_TIMEOUT = 40_000;

/** What still runs, by its folder: killed when this process ends, also by the test runner's SIGTERM after a timeout. */
const running = new Map<string, ChildProcess>();
process.on('exit', () => {
  for (const [folder, child] of running) {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});
process.once('SIGTERM', () => process.exit(143));

/** Starts it and waits until it listens. Throws with its log when it ends before. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const folder = await mkdtemp(join(tmpdir(), 'ostler-daemon-'));
  const configFile = join(folder, 'ostler.toml');
  if (options.config !== undefined) await writeFile(configFile, options.config);
  for (const [name, content] of Object.entries(options.files ?? {})) {
    await writeFile(join(folder, name), content, { mode: 0o600 });
  }

  const argv = [process.execPath, ...(options.nodeOptions ?? []), MAIN, 'run'];
  if (options.config !== undefined) argv.push(configFile);
  const limit = options.openFiles === undefined ? '' : `ulimit -n ${String(options.openFiles)}; `;
  const child = spawn('/bin/sh', ['-c', `${limit}exec "$@"`, 'sh', ...argv], {
    cwd: folder,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.set(folder, child);
  const log: LogLine[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (line) => log.push(parseLine(line)));
  }
  const closed = once(child, 'close').then(async () => {
    running.delete(folder);
    await rm(folder, { recursive: true, force: true });
  });

  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const waitForLog: Daemon['waitForLog'] = async (accept, since = 0) =>
    until(
      async () => {
        const found = log.slice(since).find(accept);
        if (found === undefined && hasEnded()) {
          // What it wrote last may still be in the pipe.
          await closed;
          const late = log.slice(since).find(accept);
          if (late === undefined) {
            const status = child.signalCode ?? child.exitCode;
            throw new Error(`the daemon ended (status ${String(status)}):\n${show(log)}`);
          }
          return late;
        }
        return found;
      },
      {
        timeout: START_TIMEOUT,
        what: () => `the daemon logs ${accept.toString()}; it logged:\n${show(log)}`,
      },
    );

  const stop: Daemon['stop'] = async (signal = 'SIGTERM') => {
    child.ref();
    const impatience = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT);
    child.kill(signal);
    await closed;
    clearTimeout(impatience);
    return child.signalCode ?? child.exitCode ?? 0;
  };

  try {
    await waitForLog((line) => isListener(line, 'client'));
  } catch (error) {
    await stop('SIGKILL');
    throw error;
  }
  // A test that forgets to stop it must end all the same; it is killed then.
  child.unref();
  for (const stream of [child.stdout, child.stderr]) if (stream instanceof Socket) stream.unref();
  return {
    pid: child.pid ?? 0,
    child,
    folder,
    configFile,
    port: portFromLog(log, 'client'),
    httpPort: portFromLog(log, 'http'),
    log,
    waitForLog,
    writeConfig: (config) => writeFile(configFile, config),
    stop,
  };
}

function portFromLog(log: readonly LogLine[], purpose: 'client' | 'http'): number {
  return Number(log.find((line) => isListener(line, purpose))?.['port'] ?? 0);
}

/** `{"msg":"listening","addr":…,"port":…}`, one line a listener; the one for metrics and health says `"for":"http"`. */
function isListener(line: LogLine, purpose: 'client' | 'http'): boolean {
  return line['msg'] === 'listening' && Number(line['port']) > 0 && (line['for'] ?? 'client') === purpose;
}

function parseLine(line: string): LogLine {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null) return { ...value };
  } catch {
    // Not from the logger: a stack trace, a warning of Node's.
  }
  return { text: line };
}

function show(log: readonly LogLine[]): string {
  return log.map((line) => JSON.stringify(line)).join('\n');
}
