/** Programs of other people as clients: finding them, installing what is missing where that is possible, running them. */
import { execFile } from 'node:child_process';
import { access, constants, readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

const RUN_TIMEOUT = 120_000;
const INSTALL_TIMEOUT = 300_000;
const DEBIAN_POSTGRESQL = '/usr/lib/postgresql';

/** What cannot be had is said by the reason, in one line. */
export type Found<T> =
  { readonly kind: 'found'; readonly value: T } | { readonly kind: 'missing'; readonly reason: string };

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** In ms. */
  readonly timeout?: number;
}

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. Throws with everything it said unless its status is 0. */
export async function runProgram(
  program: string,
  args: readonly string[],
  { environment = {}, cwd = '/', timeout = RUN_TIMEOUT }: RunOptions = {},
): Promise<Output> {
  const options = { cwd, timeout, env: { ...process.env, ...environment }, maxBuffer: 64 << 20 };
  try {
    return await execute(program, args, options);
  } catch (error) {
    const { stdout, stderr } = outputOf(error);
    const said = `${stdout.slice(-8_000)}\n${(stderr || String(error)).slice(-8_000)}`;
    // oxlint-disable-next-line preserve-caught-error -- it would print all that once more
    throw new Error(`${[program, ...args].join(' ')} failed\n${said}`);
  }
}

function outputOf(error: unknown): Output {
  if (!(error instanceof Error) || !('stdout' in error) || !('stderr' in error))
    return { stdout: '', stderr: '' };
  return { stdout: String(error.stdout), stderr: String(error.stderr) };
}

/** A program (psql, pgbench, a compiler): from PATH, from Debian's folders, or installed there if we are root. */
export async function findProgram(name: string, debianPackage: string): Promise<Found<string>> {
  const found = await locate(name);
  if (found !== undefined) return { kind: 'found', value: found };
  const failure = await installDebianPackages([debianPackage]);
  const installed = await locate(name);
  if (installed !== undefined) return { kind: 'found', value: installed };
  return {
    kind: 'missing',
    reason: `${name} is not here and could not be installed (${failure ?? 'no such program'})`,
  };
}

async function locate(name: string): Promise<string | undefined> {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const versions = await readdir(DEBIAN_POSTGRESQL).catch(() => []);
  for (const version of versions.toSorted((a, b) => Number(b) - Number(a)))
    folders.push(join(DEBIAN_POSTGRESQL, version, 'bin'));
  for (const folder of folders) {
    const path = join(folder, name);
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}

/** Where later runs find again what one has downloaded or built. */
export function cacheFolder(name: string): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'ostler', name);
}

/** Gives the reason when that is impossible. */
export async function installDebianPackages(packages: readonly string[]): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root may install packages';
  const environment = { DEBIAN_FRONTEND: 'noninteractive' };
  try {
    await runProgram('apt-get', ['update'], { environment, timeout: INSTALL_TIMEOUT });
    const args = ['install', '--yes', '--no-install-recommends', ...packages];
    await runProgram('apt-get', args, { environment, timeout: INSTALL_TIMEOUT });
    return undefined;
  } catch (error) {
    return asOneLine(error);
  }
}

/** An error of `runProgram` as one line: what was run, and the last thing it said. */
export function asOneLine(error: unknown): string {
  const lines = String(error).trim().split('\n');
  return `${lines[0] ?? ''}: ${lines.at(-1) ?? ''}`.slice(0, 300);
}
