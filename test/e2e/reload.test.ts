/** RELOAD by SIGHUP: what changes at once, what needs a restart, and that a wrong file changes nothing at all. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { before, describe, test } from 'node:test';
import type { LogLine } from '../support/daemon.ts';
import {
  backendPid,
  type Configuration,
  each,
  farewellTo,
  leave,
  refusalOf,
  toml,
  untilServers,
  useYard,
  value,
  type Yard,
} from '../support/pooling.ts';

const users = { app: {}, other: {}, keeper: {} };
const databases = { postgres: {}, sized: { pool_size: 1 }, moving: {}, doomed: {} };

const yard = useYard({
  roles: { app: '', other: '', keeper: '' },
  schema: 'CREATE DATABASE elsewhere',
  configuration: { databases, users },
  expectedErrors: /RELOAD failed|default_pool_size|listen_prot|ENOENT/,
});

/** Puts a configuration in place, sends SIGHUP and gives the line that says what came of it. */
async function reload(configuration: Configuration, { daemon, postgres }: Yard = yard()): Promise<LogLine> {
  return reloadText(toml(postgres, { users, ...configuration }), daemon);
}

async function reloadText(text: string, daemon = yard().daemon): Promise<LogLine> {
  const since = daemon.log.length;
  await daemon.writeConfig(text);
  daemon.child.kill('SIGHUP');
  return daemon.waitForLog(({ msg }) => String(msg).startsWith('RELOAD'), since);
}

describe('RELOAD', () => {
  before(() => reload({ databases }));

  test('changes nothing at all when anything in the file is wrong, and says what', async () => {
    const client = await yard().client({ database: 'doomed' });
    const since = yard().daemon.log.length;
    const good = toml(yard().postgres, { databases: { fresh: {} }, users });
    const said = await reloadText(
      good.replace('[ostler]', '[ostler]\ndefault_pool_size = "many"\nlisten_prot = 1'),
    );
    assert.equal(said['level'], 'error');
    assert.equal(said['msg'], 'RELOAD failed: nothing was changed');
    const lines = yard()
      .daemon.log.slice(since)
      .map(({ msg }) => String(msg));
    assert.ok(
      lines.some((line) => /ostler\.toml:2:\d+: .*default_pool_size/.test(line)),
      lines.join('\n'),
    );
    assert.ok(
      lines.some((line) => /ostler\.toml:3:\d+: .*listen_prot/.test(line)),
      lines.join('\n'),
    );
    assert.equal(await value(client, 'SELECT 1'), 1);
    await leave(await yard().client({ database: 'doomed' }));
    assert.equal((await refusalOf(yard().client({ database: 'fresh' }))).code, '3D000');
    await leave(client);
  });

  test('changes nothing when the file is gone', async () => {
    const { daemon } = yard();
    const since = daemon.log.length;
    await rm(daemon.configFile);
    daemon.child.kill('SIGHUP');
    await daemon.waitForLog(({ msg }) => msg === 'RELOAD failed: nothing was changed', since);
    await leave(await yard().client());
  });

  test('tells the clients of a removed database so, closes its servers, and knows it no more', async () => {
    const idle = await yard().client({ database: 'doomed' });
    const busy = await yard().client({ database: 'doomed' });
    await busy.query('BEGIN');
    const pid = await backendPid(busy);
    const farewells = [farewellTo(idle), farewellTo(busy)];
    const { doomed: _, ...rest } = databases;
    const said = await reload({ databases: rest });
    assert.deepEqual(said['changed'], ['databases.doomed (gone)']);
    for (const farewell of await Promise.all(farewells)) {
      assert.equal(farewell.code, '57P01');
      assert.equal(farewell.message, 'database removed');
    }
    await untilServers(yard(), 0, `pid = ${String(pid)}`);
    const refused = await refusalOf(yard().client({ database: 'doomed' }));
    assert.equal(refused.code, '3D000');
    assert.equal(refused.message, 'no such database: doomed');
    await reload({ databases });
    const again = await yard().client({ database: 'doomed' });
    assert.equal(await value(again, 'SELECT 1'), 1, 'it comes back with its entry');
    await leave(again);
  });

  test('lets a larger pool serve at once who is in line, and a smaller one shrinks as servers become free', async () => {
    const clients = await each(3, () => yard().client({ database: 'sized' }));
    const begun = clients.map(async (client) => {
      await client.query('BEGIN');
      return backendPid(client);
    });
    await Promise.race(begun);
    await reload({ databases: { ...databases, sized: { pool_size: 3 } } });
    const pids = await Promise.all(begun);
    assert.equal(new Set(pids).size, 3);
    await reload({ databases });
    const ours = `pid IN (${pids.map(String).join(', ')})`;
    await untilServers(yard(), 3, ours);
    await Promise.all(clients.map((client) => client.query('COMMIT')));
    await untilServers(yard(), 1, ours);
    await Promise.all(clients.map((client) => leave(client)));
  });

  test('moves a database to another place between transactions', async () => {
    const client = await yard().client({ database: 'moving' });
    await client.query('BEGIN');
    const where = 'SELECT current_database()::text';
    assert.equal(await value(client, where), 'postgres');
    await reload({ databases: { ...databases, moving: { dbname: 'elsewhere' } } });
    assert.equal(await value(client, where), 'postgres');
    await client.query('COMMIT');
    assert.equal(await value(client, where), 'elsewhere');
    await leave(client);
    await reload({ databases });
  });

  test('parts an entry from what the "*" entry makes of its name', async () => {
    const where = 'SELECT current_database()::text';
    const fallback = { ...databases, '*': {} };
    await reload({ databases: fallback });
    const client = await yard().client({ database: 'named' });
    assert.equal(await value(client, where), 'postgres');
    await reload({ databases: { ...fallback, named: { dbname: 'elsewhere' } } });
    assert.equal(await value(client, where), 'elsewhere');
    const farewell = farewellTo(client);
    await reload({ databases: fallback });
    assert.equal((await farewell).message, 'database removed');
    const next = await yard().client({ database: 'named' });
    assert.equal(await value(next, where), 'postgres');
    const last = farewellTo(next);
    await reload({ databases });
    assert.equal((await last).message, 'database removed', 'nothing is made from "*" any more');
  });

  test('changes a timeout for clients that are connected already', async () => {
    const client = await yard().client();
    await value(client, 'SELECT 1 FROM pg_sleep(0.2)');
    await reload({ databases, ostler: { query_timeout: '100ms' } });
    assert.equal((await refusalOf(client.query('SELECT pg_sleep(30)'))).message, 'query timeout');
    await reload({ databases });
  });

  test('changes a password for logins to come, and leaves in who is in', async () => {
    const inside = await yard().client({ user: 'other', database: 'postgres' });
    await yard().sql("ALTER ROLE other PASSWORD 'a new one'");
    await reload({ databases, users: { ...users, other: { password: 'a new one' } } });
    assert.equal((await refusalOf(yard().client({ user: 'other' }))).code, '28P01');
    const anew = await yard().client({ user: 'other', password: 'a new one' });
    assert.equal(await value(anew, 'SELECT current_user::text'), 'other');
    assert.equal(await value(inside, 'SELECT current_user::text'), 'other');
    await Promise.all([inside, anew].map((client) => leave(client)));
  });

  test('opens the servers of a new entry with min_pool_size', async () => {
    const forced = { user: 'keeper', password: 'in the stable, 3 horses', min_pool_size: 2 };
    await reload({ databases: { ...databases, forced } });
    await untilServers(yard(), 2, "usename = 'keeper'");
    await reload({ databases });
    await untilServers(yard(), 0, "usename = 'keeper'");
  });

  test('says what needs a restart, and does the rest', async () => {
    const said = await reload({
      databases,
      ostler: { listen_port: 1, listen_backlog: 7, max_client_conn: 3 },
    });
    assert.equal(said['level'], 'info');
    assert.deepEqual(said['needRestart'], ['listen_port', 'listen_backlog']);
    assert.deepEqual(said['changed'], ['max_client_conn']);
    const clients = await each(3, () => yard().client());
    assert.equal((await refusalOf(yard().client())).code, '53300');
    await Promise.all(clients.map((client) => leave(client)));
    await reload({ databases });
  });
});
