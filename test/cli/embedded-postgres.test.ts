import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { after, describe, test } from 'node:test';
import { startEmbeddedPostgres } from '../../src/cli/embedded-postgres.ts';
import { connect, query, startPostgres } from '../support/postgres.ts';
import { until } from '../support/wait.ts';

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const isGone = (path: string): Promise<boolean> =>
  access(path).then(
    () => false,
    () => true,
  );

/** Removed when every PostgreSQL in them has stopped, which happens after each test. */
const folders: string[] = [];
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

async function temporaryFolder(mode = 0o755): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ostler-test-'));
  folders.push(folder);
  await chmod(folder, mode);
  return folder;
}

describe('an embedded PostgreSQL', () => {
  test('asks for its generated password, applies settings and leaves nothing behind', async (t) => {
    const postgres = await startPostgres({ settings: { max_connections: '17' } });
    t.after(() => postgres.stop());
    assert.deepEqual(await query(postgres, 'SHOW max_connections'), [{ max_connections: '17' }]);
    await assert.rejects(query({ ...postgres, password: 'wrong' }, 'SELECT 1'), { code: '28P01' });
    const { pid, dataDir } = postgres;
    await postgres.stop();
    assert.equal(isAlive(pid), false);
    assert.equal(await isGone(dataDir), true);
  });

  test('takes files for its data folder, such as its own pg_hba.conf', async (t) => {
    const postgres = await startPostgres({ files: { 'pg_hba.conf': 'host all all 127.0.0.1/32 trust\n' } });
    t.after(() => postgres.stop());
    assert.deepEqual(await query({ ...postgres, password: 'any' }, 'SELECT 1 AS one'), [{ one: 1 }]);
  });

  test('comes back on the same port with the same data after a halt', async (t) => {
    const postgres = await startPostgres();
    t.after(() => postgres.stop());
    await query(postgres, 'CREATE TABLE kept (id int)');
    const { port } = postgres;
    const session = await connect(postgres);
    await postgres.halt();
    await assert.rejects(session.query('SELECT 1'));
    await assert.rejects(query(postgres, 'SELECT 1'), { code: 'ECONNREFUSED' });
    await postgres.resume();
    assert.equal(postgres.port, port);
    assert.deepEqual(await query(postgres, 'SELECT * FROM kept'), []);
  });

  test('keeps data and password in its folder from run to run, past a lock file of a run that was killed', async (t) => {
    const folder = await temporaryFolder();
    const first = await startEmbeddedPostgres({ folder });
    await query(first, 'CREATE TABLE kept (id int)');
    await first.stop();
    // This process is alive, so PostgreSQL alone would take the file for a running server's.
    await writeFile(join(first.dataDir, 'postmaster.pid'), `${String(process.pid)}\n${first.dataDir}\n`);
    const second = await startEmbeddedPostgres({ folder });
    t.after(() => second.stop());
    assert.equal(second.password, first.password);
    assert.deepEqual(await query(second, 'SELECT * FROM kept'), []);
  });

  test(
    'keeps its data elsewhere when the folder is closed to its account',
    { skip: process.getuid?.() === 0 ? false : 'only root runs PostgreSQL as another account' },
    async (t) => {
      const folder = await temporaryFolder(0o700);
      const first = await startEmbeddedPostgres({ folder });
      folders.push(join(first.dataDir, '..'));
      await first.stop();
      const second = await startEmbeddedPostgres({ folder });
      t.after(() => second.stop());
      assert.equal(second.dataDir, first.dataDir);
      assert.equal(second.dataDir.startsWith(folder), false);
      assert.equal(second.password, first.password);
    },
  );

  test('refuses data that another major version has made', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'data'));
    await writeFile(join(folder, 'data/PG_VERSION'), '9\n');
    await assert.rejects(startEmbeddedPostgres({ folder }), /made by PostgreSQL 9, this is 18/);
  });

  test('runs beside others', async (t) => {
    const servers = await Promise.all([startPostgres(), startPostgres(), startPostgres()]);
    t.after(() => Promise.all(servers.map((server) => server.stop())));
    assert.equal(new Set(servers.map((server) => server.port)).size, 3);
  });

  test('says in the words of the server why it does not start', async () => {
    await assert.rejects(startPostgres({ settings: { max_connections: 'many' } }), /max_connections.*"many"/);
  });

  test('stops when the process that started it is killed, and its files go too', async () => {
    const owner = runScript(`
      const { pid, dataDir } = await startEmbeddedPostgres();
      console.log(pid);
      console.log(dataDir);
      setInterval(() => {}, 1000);`);
    const lines = createInterface(owner.stdout)[Symbol.asyncIterator]();
    const pid = Number((await lines.next()).value);
    const dataDir = String((await lines.next()).value);
    assert.equal(isAlive(pid), true);
    owner.kill('SIGKILL');
    await until(() => !isAlive(pid), { what: 'postgres is gone' });
    await until(() => isGone(dataDir), { what: 'its files are gone' });
  });

  test('does not keep a process alive that has nothing else to do', async () => {
    const owner = runScript('await startEmbeddedPostgres();');
    await once(owner, 'exit');
    assert.equal(owner.exitCode, 0);
  });
});

/** A process of its own, with `startEmbeddedPostgres` at hand. */
function runScript(body: string): ChildProcessByStdio<null, Readable, null> {
  const module = JSON.stringify(new URL('../../src/cli/embedded-postgres.ts', import.meta.url).href);
  const script = `const { startEmbeddedPostgres } = await import(${module});\n${body}`;
  return spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}
