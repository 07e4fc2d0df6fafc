import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, afterEach, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort, portOf } from '../support/ports.ts';
import { query } from '../support/postgres.ts';
import { until } from '../support/wait.ts';

const START = fileURLToPath(new URL('../../src/cli/start.js', import.meta.url));

describe('npm start', () => {
  /** One for all tests: making a cluster takes longer than anything else here. */
  let folder = '';
  let child: ChildProcess | undefined;
  /** Of the shell that npm has begun, and of what that has begun. */
  let group: number | undefined;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ostler-test-'));
    // Where PostgreSQL's account can enter, so that its data stays inside.
    await chmod(folder, 0o755);
  });
  afterEach(() => {
    child?.kill('SIGKILL');
    if (group !== undefined && !isGone(-group)) process.kill(-group, 'SIGKILL');
    group = undefined;
  });
  after(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));

  /** Runs it as a terminal would, or as npm does, and returns the URL that it tells to paste. */
  async function start(port: number, by: 'terminal' | 'npm' = 'terminal'): Promise<URL> {
    const env = {
      ...process.env,
      OSTLER__OSTLER__LISTEN_PORT: String(port),
      OSTLER__OSTLER__HTTP_PORT: '0',
      ...(by === 'npm' && { npm_lifecycle_event: 'start' }),
    };
    const command: readonly [string, ...string[]] =
      by === 'npm'
        ? ['/bin/sh', '-c', '"$0" "$1"; exit $?', process.execPath, START]
        : [process.execPath, START];
    const [program, ...args] = command;
    const started = spawn(program, args, {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: by === 'npm',
    });
    if (by === 'npm') group = started.pid;
    child = started;
    let output = '';
    started.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
    return until(
      () => {
        assert.equal(started.exitCode, null, output);
        const url = /psql '(?<url>postgresql:.*\/app)'/.exec(output)?.groups?.['url'];
        return url === undefined ? undefined : new URL(url);
      },
      { what: () => `it tells how to connect; it said:\n${output}`, timeout: 30_000 },
    );
  }

  const ask = (url: URL, sql: string): Promise<unknown> =>
    query(
      {
        host: url.hostname,
        port: Number(url.port),
        user: url.username,
        password: url.password,
        database: url.pathname.slice(1),
      },
      sql,
    );

  const postmaster = async (): Promise<number> =>
    Number.parseInt(await readFile(join(folder, '.ostler/data/postmaster.pid'), 'utf8'), 10);

  const isGone = (pid: number): boolean => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  };

  test('pools a PostgreSQL of its own; Ctrl-C stops both, and the next start has password and data', async () => {
    const port = await freePort();
    const first = await start(port);
    await ask(first, 'CREATE TABLE kept AS SELECT 7 AS id');
    const pid = await postmaster();
    child?.kill('SIGINT');
    await once(child ?? assert.fail(), 'exit');
    assert.equal(child?.exitCode, 0);
    assert.ok(isGone(pid));

    const second = await start(port);
    assert.equal(second.href, first.href);
    assert.deepEqual(await ask(second, 'SELECT id FROM kept'), [{ id: 7 }]);
  });

  test('leaves no PostgreSQL behind when it is killed', async () => {
    await start(await freePort());
    const pid = await postmaster();
    child?.kill('SIGKILL');
    await until(() => isGone(pid), { what: 'postgres is gone' });
  });

  test('stops when npm is told to, which passes that on to its shell only', async () => {
    const port = await freePort();
    await start(port, 'npm');
    const pid = await postmaster();
    child?.kill('SIGTERM');
    await until(() => isGone(pid), { what: 'postgres is gone' });
    // Nobody listens there any more.
    const next = createServer().listen(port, '127.0.0.1');
    await once(next, 'listening');
    next.close();
  });

  test('says in one line that its port is taken, with status 1, and leaves no PostgreSQL behind', async () => {
    const squatter = createServer().listen(0, '127.0.0.1');
    await once(squatter, 'listening');
    const port = String(portOf(squatter));
    const started = spawn(process.execPath, [START], {
      cwd: folder,
      env: { ...process.env, OSTLER__OSTLER__LISTEN_PORT: port, OSTLER__OSTLER__HTTP_PORT: '0' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child = started;
    assert.equal(await text(started.stderr), `ostler: 127.0.0.1:${port} is in use\n`);
    assert.equal(started.exitCode ?? (await once(started, 'exit'))[0], 1);
    squatter.close();
    await assert.rejects(postmaster(), { code: 'ENOENT' });
  });

  test('runs a configuration when it is given one', async () => {
    const started = spawn(process.execPath, [START, join(folder, 'missing.toml')], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const complaint = await text(started.stderr);
    assert.match(complaint, /missing\.toml/);
    assert.equal(started.exitCode ?? (await once(started, 'exit'))[0], 2);
  });
});
