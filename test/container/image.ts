/**
 * An image without a container engine: the Dockerfile's steps, in folders, with the Node 24 and the npm of this machine in
 * place of the base image. As root, the steps run as an account that owns nothing else here.
 */
import { execFile } from 'node:child_process';
import {
  chmod,
  chown,
  copyFile,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  symlink,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Instruction, parseDockerfile, parseDockerignore } from './dockerfile.ts';

const run = promisify(execFile);

const checkout = fileURLToPath(new URL('../../', import.meta.url));

/** Nobody's: the replay must not depend on an entry in /etc/passwd. */
const BUILDER = 54_321;

export interface Image {
  readonly instructions: readonly Instruction[];
  /** What the container would see as `/`. */
  readonly root: string;
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  /** The uid that the image runs as. */
  readonly uid: number;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly healthcheck: readonly string[];
  remove(): Promise<void>;
}

interface Stage {
  readonly root: string;
  workdir: string;
  readonly env: Record<string, string>;
  user: string;
  readonly argv: Record<'entrypoint' | 'command' | 'healthcheck', readonly string[]>;
}

export const isRoot = process.getuid?.() === 0;

/** The identity to run something as: another one than ours, if we may choose. */
export function identity(uid: number): { uid: number; gid: number } | undefined {
  return isRoot ? { uid, gid: uid } : undefined;
}

export async function buildImage(): Promise<Image> {
  const folder = await mkdtemp(join(tmpdir(), 'ostler-image-'));
  await chmod(folder, 0o755);
  const remove = (): Promise<void> => removeReadOnly(folder);
  try {
    const replay = new Replay(folder);
    const instructions = parseDockerfile(await readFile(join(checkout, 'Dockerfile'), 'utf8'));
    await replay.prepare();
    for (const instruction of instructions) await replay.perform(instruction);
    const { root, workdir, env, user, argv } = replay.stage;
    await run('chmod', ['-R', 'a-w', root]);
    const uid = Number(user.split(':')[0]);
    return { instructions, root, workdir, env, uid, ...argv, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** A command line of the Dockerfile's: absolute paths moved into the image, programs taken from the base. */
export function inImage(image: Image, argv: readonly string[]): { program: string; args: string[] } {
  const [program = '', ...args] = argv.map((word) => (word.startsWith('/') ? join(image.root, word) : word));
  return { program: join(image.root, '../base/bin', program), args };
}

class Replay {
  readonly #folder: string;
  readonly #stages = new Map<string, Stage>();
  #current: Stage | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  get stage(): Stage {
    if (this.#current === undefined) throw new Error('the Dockerfile does not begin with FROM');
    return this.#current;
  }

  /** The base image's programs, the build context (read-only, without what .dockerignore keeps out) and a home. */
  async prepare(): Promise<void> {
    const bin = join(this.#folder, 'base/bin');
    await mkdir(bin, { recursive: true });
    await copyFile(process.execPath, join(bin, 'node'));
    await chmod(join(bin, 'node'), 0o755);
    const npm = await findNpm();
    await cp(npm, join(this.#folder, 'base/npm'), { recursive: true });
    await symlink('../npm/bin/npm-cli.js', join(bin, 'npm'));
    await run('chmod', ['-R', 'a+rX', join(this.#folder, 'base')]);

    const context = join(this.#folder, 'context');
    await mkdir(context);
    const letIn = parseDockerignore(await readFile(join(checkout, '.dockerignore'), 'utf8'));
    for (const name of await readdir(checkout)) {
      if (letIn(name)) await cp(join(checkout, name), join(context, name), { recursive: true });
    }
    await run('chmod', ['-R', 'a-w', context]);

    await this.#mkdir(join(this.#folder, 'home'));
  }

  async perform(instruction: Instruction): Promise<void> {
    switch (instruction.kind) {
      case 'from':
        await this.#begin(instruction.image, instruction.name);
        break;
      case 'workdir':
        this.stage.workdir = instruction.path;
        await this.#mkdir(this.#inStage(instruction.path));
        break;
      case 'copy':
        await this.#copy(instruction.from, instruction.sources, instruction.target);
        break;
      case 'run':
        await this.#run(instruction.command);
        break;
      case 'env':
        this.stage.env[instruction.name] = instruction.value;
        break;
      case 'user':
        this.stage.user = instruction.user;
        break;
      case 'entrypoint':
      case 'command':
      case 'healthcheck':
        this.stage.argv[instruction.kind] = instruction.argv;
        break;
      case 'expose':
      case 'stopsignal':
      case 'label':
        break;
    }
  }

  async #begin(image: string, name: string | undefined): Promise<void> {
    const major = process.version.split('.')[0]?.slice(1);
    if (image !== `node:${String(major)}-slim`)
      throw new Error(`${image} cannot be replayed on Node ${String(major)}`);
    const root = join(this.#folder, `stage-${name ?? 'final'}`);
    await this.#mkdir(root);
    const argv = { entrypoint: [], command: [], healthcheck: [] };
    this.#current = { root, workdir: '/', env: {}, user: 'root', argv };
    if (name !== undefined) this.#stages.set(name, this.#current);
  }

  async #copy(from: string | undefined, sources: readonly string[], target: string): Promise<void> {
    const source = from === undefined ? join(this.#folder, 'context') : this.#stages.get(from)?.root;
    if (source === undefined) throw new Error(`COPY --from=${String(from)}: there is no such stage`);
    for (const name of sources) {
      const to = join(this.#inStage(target), target.endsWith('/') ? basename(name) : '');
      await run('cp', ['-R', join(source, name), to]);
      // What COPY makes belongs to the user of the steps, whatever the context's modes are.
      await run('chmod', ['-R', 'u+w', to]);
      if (isRoot) await run('chown', ['-R', `${String(BUILDER)}:${String(BUILDER)}`, to]);
    }
  }

  async #run(command: string): Promise<void> {
    if (/(?:^|\s)\/\w/.test(command))
      throw new Error(`a RUN with absolute paths cannot be replayed: ${command}`);
    const home = join(this.#folder, 'home');
    const PATH = [join(this.#folder, 'base/bin'), '/usr/local/bin', '/usr/bin', '/bin'].join(delimiter);
    try {
      await run('/bin/sh', ['-c', command], {
        ...identity(BUILDER),
        cwd: this.#inStage('.'),
        env: { ...networkEnvironment(), ...this.stage.env, PATH, HOME: home },
        maxBuffer: 64 << 20,
      });
    } catch (error) {
      const output = error instanceof Error && 'stdout' in error ? String(error.stdout) : '';
      throw new Error(`RUN ${command} failed\n${output}`, { cause: error });
    }
  }

  #inStage(path: string): string {
    return join(this.stage.root, path.startsWith('/') ? '/' : this.stage.workdir, path);
  }

  async #mkdir(path: string): Promise<void> {
    await mkdir(path, { recursive: true });
    if (isRoot) await chown(path, BUILDER, BUILDER);
  }
}

/** The npm package in PATH: the pinned Node comes without one. */
async function findNpm(): Promise<string> {
  for (const folder of process.env['PATH']?.split(delimiter) ?? []) {
    const program = await realpath(join(folder, 'npm')).catch(() => undefined);
    if (program?.endsWith('npm-cli.js')) return dirname(dirname(program));
  }
  throw new Error('there is no npm in PATH');
}

/** How this machine reaches the registry; nothing else of its environment gets into the image. */
function networkEnvironment(): Record<string, string> {
  const names =
    /^(?:https?_proxy|no_proxy|node_extra_ca_certs|ssl_cert_file|npm_config_(?:registry|cafile|https?_proxy|proxy|noproxy))$/i;
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (names.test(name) && value !== undefined) found[name] = value;
  }
  return found;
}

async function removeReadOnly(folder: string): Promise<void> {
  if ((await lstat(folder)).isDirectory()) await run('chmod', ['-R', 'u+w', folder]);
  await rm(folder, { recursive: true, force: true });
}
