/**
 * A real PostgreSQL as a child of ours, for `ostler demo` and for tests: from the binaries that npm installed, on a port
 * of 127.0.0.1, gone when we are gone.
 *
 *     us ──pipe──▶ sh ─┬─▶ guard: reads the pipe; a line or its end ▶ SIGINT to postgres
 *                      └─▶ postgres
 *
 * The pipe ends with our process however that dies (also by kill -9), so no server is ever left behind. The shell is a
 * session of its own: Ctrl-C in a terminal must not stop the server before the connections to it are drained.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, open, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Account,
  type Binaries,
  binariesIn,
  type ClusterFiles,
  locateBinaries,
  persistentCluster,
  SERVER_ENVIRONMENT,
  serverAccount,
  SUPERUSER,
  temporaryCluster,
} from './postgres-files.ts';
import { StartError } from './start-error.ts';

export interface EmbeddedPostgresOptions {
  /** Keeps the cluster here (or, if its account cannot enter this folder, in a temp folder that goes with it). Without it the cluster is temporary. */
  readonly folder?: string;
  /** Of a cluster in a folder: a role and its database, made with the cluster. */
  readonly application?: string;
  /** A folder with the programs of another PostgreSQL; without it npm's are used. */
  readonly programs?: string;
  /** postgresql.conf settings, such as `{ max_connections: '50' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Files for the data folder by name, such as `pg_hba.conf` or `server.key`; owned by the server's account, 0600. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface EmbeddedPostgres {
  readonly host: string;
  readonly port: number;
  /** A superuser. */
  readonly user: string;
  readonly password: string;
  /** Everything that is kept of it: the data folder, the log and the password. */
  readonly home: string;
  readonly dataDir: string;
  /** Of the postmaster that runs now. */
  readonly pid: number;
  /** What the server has logged since its last start. */
  log(): Promise<string>;
  /** Stops the server (fast: sessions are cut) and keeps its files and port for `resume`. */
  halt(): Promise<void>;
  resume(): Promise<void>;
  /** Stops the server; a temporary cluster is removed. */
  stop(): Promise<void>;
}

interface Cluster extends ClusterFiles {
  readonly temporary: boolean;
  readonly binaries: Binaries;
  readonly account: Account | undefined;
  readonly settings: Readonly<Record<string, string>>;
}

interface Running {
  readonly shell: ChildProcess;
  readonly pid: number;
}

const HOST = '127.0.0.1';
const START_TIMEOUT = 30_000;
/** A fast shutdown takes some 10 ms; after this long the server is told not to care about its files. */
const STOP_TIMEOUT = 10_000;
const PORT_ATTEMPTS = 20;
const POLL_INTERVAL = 5;

/** $1 is what to remove should we die, or empty; the rest is the command. */
const GUARD_SCRIPT = `
doomed=$1; shift
orphaned=
trap 'orphaned=1' USR1
exec 3<&0 </dev/null
"$@" 3<&- & postgres=$!
{ read -r _ <&3 || kill -USR1 $$; kill -INT "$postgres"; } & guard=$!
exec 3<&-
wait "$postgres"; status=$?
while kill -0 "$postgres" 2>/dev/null; do wait "$postgres"; status=$?; done
kill "$guard" 2>/dev/null
[ -z "$orphaned" ] || [ -z "$doomed" ] || rm -rf "$doomed"
exit "$status"
`;

/** Throws with the server's own words when it does not start. */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions = {},
): Promise<EmbeddedPostgres> {
  const account = await serverAccount();
  const binaries = await (options.programs === undefined
    ? locateBinaries(account)
    : binariesIn(options.programs));
  const files =
    options.folder === undefined
      ? await temporaryCluster(binaries, account)
      : await persistentCluster(options.folder, options.application ?? 'app', binaries, account);
  const settings = options.settings ?? {};
  const cluster = { ...files, temporary: options.folder === undefined, binaries, account, settings };
  const removeTemporary = async (): Promise<void> => {
    if (cluster.temporary) await rm(cluster.home, { recursive: true, force: true });
  };

  for (const [name, content] of Object.entries(options.files ?? {})) {
    await writeOwned(join(files.dataDir, name), content, account);
  }
  const { port, running } = await launchOnFreePort(cluster).catch(async (error: unknown) => {
    await removeTemporary();
    throw error;
  });
  let current: Running | undefined = running;
  const halt = async (): Promise<void> => {
    const stopped = current;
    current = undefined;
    if (stopped !== undefined) await shutDown(stopped);
  };
  return {
    host: HOST,
    port,
    user: SUPERUSER,
    password: files.password,
    home: files.home,
    dataDir: files.dataDir,
    get pid() {
      if (current === undefined) throw new Error('the embedded PostgreSQL is halted');
      return current.pid;
    },
    log: () => readFile(logFile(cluster), 'utf8'),
    halt,
    resume: async () => {
      await halt();
      current = await launch(cluster, port);
    },
    stop: async () => {
      await halt();
      await removeTemporary();
    },
  };
}

/** Between the moment a port is found free and the server's bind somebody else may take it. */
async function launchOnFreePort(cluster: Cluster): Promise<{ port: number; running: Running }> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    try {
      return { port, running: await launch(cluster, port) };
    } catch (error) {
      const portTaken = error instanceof Error && error.message.includes('could not bind');
      if (!portTaken || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP listener has no port');
  return address.port;
}

async function launch(cluster: Cluster, port: number): Promise<Running> {
  await clearStalePid(cluster.dataDir);
  const settings = {
    listen_addresses: HOST,
    port: String(port),
    unix_socket_directories: '',
    ...cluster.settings,
  };
  const log = await open(logFile(cluster), 'w', 0o600);
  const shell = spawn(
    '/bin/sh',
    [
      '-c',
      GUARD_SCRIPT,
      'embedded-postgres',
      cluster.temporary ? cluster.home : '',
      cluster.binaries.postgres,
      '-D',
      cluster.dataDir,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    {
      ...cluster.account,
      cwd: '/',
      detached: true,
      env: SERVER_ENVIRONMENT,
      stdio: ['pipe', log.fd, log.fd],
    },
  );
  await log.close();
  // The server must not keep us alive: when we have nothing else to do we end, and it ends with us.
  shell.unref();
  // Writing to a guard that is gone already is no fault of ours.
  shell.stdin?.on('error', () => undefined);

  const giveUpAt = performance.now() + START_TIMEOUT;
  while (shell.exitCode === null && shell.signalCode === null && performance.now() < giveUpAt) {
    const lock = await readLock(cluster.dataDir);
    if (lock?.status === 'ready') return { shell, pid: lock.pid };
    await delay(POLL_INTERVAL);
  }
  shell.stdin?.end();
  throw new StartError(`PostgreSQL did not start: ${(await readFile(logFile(cluster), 'utf8')).trim()}`);
}

async function shutDown({ shell, pid }: Running): Promise<void> {
  if (shell.exitCode !== null || shell.signalCode !== null) return;
  shell.ref();
  const exited = once(shell, 'exit');
  const impatience = setTimeout(() => process.kill(pid, 'SIGQUIT'), STOP_TIMEOUT);
  shell.stdin?.end('stop\n');
  await exited;
  clearTimeout(impatience);
}

/** A run that was killed may still be shutting down; one that was killed with its server leaves only its lock file. */
async function clearStalePid(dataDir: string): Promise<void> {
  const giveUpAt = performance.now() + STOP_TIMEOUT;
  for (;;) {
    const lock = await readLock(dataDir);
    if (lock === undefined) return;
    if (!(await isServerOf(dataDir, lock.pid))) {
      // Its number may belong to another process by now, which PostgreSQL would take for a running server.
      await rm(join(dataDir, 'postmaster.pid'), { force: true });
      return;
    }
    if (performance.now() > giveUpAt) {
      throw new StartError(`the PostgreSQL in ${dataDir} is already running (pid ${String(lock.pid)})`);
    }
    await delay(POLL_INTERVAL);
  }
}

async function isServerOf(dataDir: string, pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
  if (process.platform !== 'linux') return true;
  try {
    return (await readlink(`/proc/${String(pid)}/cwd`)) === dataDir;
  } catch {
    return false;
  }
}

/** `postmaster.pid`: its first line is the process, its eighth what that process is doing. */
async function readLock(dataDir: string): Promise<{ pid: number; status: string } | undefined> {
  try {
    const lines = (await readFile(join(dataDir, 'postmaster.pid'), 'utf8')).split('\n');
    return { pid: Number(lines[0]), status: lines[7]?.trim() ?? '' };
  } catch {
    return undefined;
  }
}

async function writeOwned(path: string, content: string, account: Account | undefined): Promise<void> {
  await rm(path, { force: true });
  await writeFile(path, content, { mode: 0o600, flag: 'wx' });
  if (account !== undefined) await chown(path, account.uid, account.gid);
}

function logFile({ home }: ClusterFiles): string {
  return join(home, 'postgres.log');
}
