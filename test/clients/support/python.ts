/** A Python with the drivers of requirements.txt, in a virtual environment outside the checkout that later runs find again. */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asOneLine, cacheFolder, type Found, installDebianPackages, runProgram } from './programs.ts';

const REQUIREMENTS = join(import.meta.dirname, '../requirements.txt');
const PIP_TIMEOUT = 300_000;

/** Runs a script by its path relative to test/clients. */
export function pythonScript(file: string): () => Promise<Found<readonly string[]>> {
  return async () => {
    const python = await findPython();
    if (python.kind === 'missing') return python;
    return { kind: 'found', value: [python.value, join(import.meta.dirname, '..', file)] };
  };
}

/** Gives the path of its `python`. */
async function findPython(): Promise<Found<string>> {
  const wanted = createHash('sha256')
    .update(await readFile(REQUIREMENTS))
    .digest('hex');
  const folder = cacheFolder('test-clients');
  const python = join(folder, 'bin', 'python');
  const stamp = join(folder, 'requirements.sha256');
  if ((await readFile(stamp, 'utf8').catch(() => '')) === wanted) return { kind: 'found', value: python };
  try {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    await createEnvironment(folder);
    const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', REQUIREMENTS];
    await runProgram(python, args, { timeout: PIP_TIMEOUT });
    await writeFile(stamp, wanted);
    return { kind: 'found', value: python };
  } catch (error) {
    return {
      kind: 'missing',
      reason: `a Python with its database drivers cannot be had here: ${asOneLine(error)}`,
    };
  }
}

/** Debian's Python comes without the module that makes environments, hence the second try. */
async function createEnvironment(folder: string): Promise<void> {
  const create = (): Promise<unknown> => runProgram('python3', ['-m', 'venv', '--clear', folder]);
  try {
    await create();
  } catch (error) {
    if ((await installDebianPackages(['python3', 'python3-venv'])) !== undefined) throw error;
    await create();
  }
}
