import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { startDemo } from '../../src/cli/demo.ts';
import { query } from '../support/postgres.ts';

test('the demo has a database that its user owns, and a configuration that leads there', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ostler-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const demo = await startDemo(folder);
  t.after(() => demo.stop());
  t.after(() => rm(join(demo.configFile, '..'), { recursive: true, force: true }));

  const text = await readFile(demo.configFile, 'utf8');
  const loaded = loadConfig({ path: demo.configFile, text, env: {}, readFile: () => '' });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const { host, port } = loaded.config.databases.get('app') ?? {};
  const password = loaded.config.users.get('app')?.password;
  assert.ok(host !== undefined && port !== undefined && password !== undefined);
  const target = { host, port, user: 'app', password, database: 'app' };
  assert.deepEqual(await query(target, 'CREATE TABLE mine (id int)'), []);
  assert.deepEqual(await query(target, 'SELECT rolsuper FROM pg_roles WHERE rolname = current_user'), [
    { rolsuper: false },
  ]);

  assert.equal((await stat(demo.configFile)).mode & 0o777, 0o600);
  const welcome = demo.welcome(6432, 9127);
  assert.match(welcome, /psql 'postgresql:\/\/app:[\w-]+@127\.0\.0\.1:6432\/app'/);
  assert.match(welcome, /"PORT": "6432"/);
  assert.match(welcome, /http:\/\/127\.0\.0\.1:9127\/metrics/);
});
