/** A Go program of test/clients, built with the machine's Go; what it downloads and the program stay outside the checkout. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asOneLine, cacheFolder, findProgram, type Found, runProgram } from './programs.ts';

const BUILD_TIMEOUT = 300_000;

/** Builds the module in a folder relative to test/clients. */
export function goProgram(folder: string): () => Promise<Found<readonly string[]>> {
  return async () => {
    const go = await findProgram('go', 'golang-go');
    if (go.kind === 'missing') return go;
    const source = join(import.meta.dirname, '..', folder);
    const cache = cacheFolder('test-clients-go');
    const environment = {
      GOMODCACHE: join(cache, 'modules'),
      // So that the folder can be removed like any other.
      GOFLAGS: '-modcacherw -buildvcs=false',
      // Not another Go than the one that is here.
      GOTOOLCHAIN: 'local',
    };
    const wanted = /^go (\S+)$/m.exec(await readFile(join(source, 'go.mod'), 'utf8'))?.[1] ?? '';
    const version = await runProgram(go.value, ['env', 'GOVERSION'], { environment });
    const found = version.stdout.trim().replace(/^go/, '');
    if (found.localeCompare(wanted, 'en', { numeric: true }) < 0)
      return { kind: 'missing', reason: `its modules need Go ${wanted}, and this is ${found}` };
    const run = (...args: readonly string[]): Promise<unknown> =>
      runProgram(go.value, args, { environment, cwd: source, timeout: BUILD_TIMEOUT });
    try {
      await run('mod', 'download');
    } catch (error) {
      return { kind: 'missing', reason: `its modules cannot be had here: ${asOneLine(error)}` };
    }
    const program = join(cache, folder);
    await run('build', '-o', program, '.');
    return { kind: 'found', value: [program] };
  };
}
