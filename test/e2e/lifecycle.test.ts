/** The life of a server connection: which client gets it, what it brings along, what is cleaned, when it ends. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type pg from 'pg';
import { backendPid, each, leave, refusalOf, untilServers, useYard, value } from '../support/pooling.ts';
import { until } from '../support/wait.ts';

const yard = useYard({
  roles: { app: '', forced: '', sticky: '' },
  schema: 'CREATE TABLE visits (who text); GRANT ALL ON visits TO PUBLIC',
  configuration: {
    ostler: {
      admin_users: ['boss'],
      server_idle_timeout: '1h',
      server_connect_timeout: '1s',
      query_wait_timeout: '3s',
    },
    databases: {
      // Which of several idle servers a client gets is asked here: with "track" the audit borrows one of them now and then.
      postgres: { pool_size: 4, session_state: 'pin' },
      round: { pool_size: 3, session_state: 'pin' },
      single: { pool_size: 1 },
      session: { pool_mode: 'session', pool_size: 1 },
      forced: { user: 'forced', password: 'in the stable, 3 horses' },
      groomed: {
        connect_query: 'SET search_path = pg_catalog',
        pool_mode: 'session',
        pool_size: 1,
      },
      prepared: { connect_query: "SET application_name = 'groomed'; SET search_path = pg_catalog" },
      undone: { connect_query: 'BEGIN; SET search_path = pg_catalog', pool_size: 1 },
      stuck: { connect_query: 'SELECT pg_sleep(60)', pool_size: 1 },
      fleeting: { server_lifetime: '300ms' },
      '*': {},
    },
    users: { app: {}, boss: {}, forced: {}, sticky: { pool_mode: 'session' } },
  },
});

async function inTransactions(clients: readonly pg.Client[]): Promise<unknown[]> {
  const pids = [];
  for (const client of clients) {
    await client.query('BEGIN');
    pids.push(await backendPid(client));
  }
  for (const client of clients) await client.query('COMMIT');
  return pids;
}

describe('in transaction mode a server', () => {
  test('serves many clients, one transaction after another', async () => {
    const clients = await each(6, () => yard().client({ database: 'single' }));
    const pids = await Promise.all(clients.map((client) => backendPid(client)));
    assert.equal(new Set(pids).size, 1);
    await Promise.all(clients.map((client) => leave(client)));
  });

  test('is opened only when no other is free, and a client gets the one it had before', async () => {
    const clients = await each(3, () => yard().client());
    const pids = await inTransactions(clients);
    assert.equal(new Set(pids).size, 3);
    for (const [n, client] of clients.entries()) assert.equal(await backendPid(client), pids[n]);
    await Promise.all(clients.map((client) => leave(client)));
  });

  test('is with server_round_robin the one that has been idle longest', async () => {
    const console = await yard().client({ user: 'boss', database: 'pgbouncer' });
    await console.query('SET server_round_robin = 1');
    const clients = await each(3, () => yard().client({ database: 'round' }));
    const pids = await inTransactions(clients);
    assert.equal(new Set(pids).size, 3);
    const [client] = clients;
    assert.ok(client !== undefined);
    for (let n = 0; n < 6; n += 1) assert.equal(await backendPid(client), pids[n % 3]);
    await console.query('SET server_round_robin = 0');
    const last = await backendPid(client);
    for (let n = 0; n < 3; n += 1) assert.equal(await backendPid(client), last, 'else the one used last');
    await Promise.all([console, ...clients].map((one) => leave(one)));
  });

  test('is logged in as the user of its entry, whoever the client is', async () => {
    const client = await yard().client({ database: 'forced' });
    assert.equal(await value(client, 'SELECT session_user::text'), 'forced');
    await leave(client);
  });

  test('has run connect_query before its first client', async () => {
    const client = await yard().client({ database: 'prepared' });
    assert.equal(await value(client, 'SHOW application_name'), 'groomed');
    assert.equal(await value(client, 'SHOW search_path'), 'pg_catalog');
    const other = await yard().client({ database: 'prepared' }, { application_name: 'unkempt' });
    assert.equal(await value(other, 'SHOW application_name'), 'unkempt', 'what a client brings counts more');
    assert.equal(await value(other, 'SHOW search_path'), 'pg_catalog');
    assert.equal(await value(client, 'SHOW application_name'), 'groomed');
    await leave(other);
    await leave(client);
  });

  test('has no transaction of connect_query left open, and the log says what was undone', async () => {
    const client = await yard().client({ database: 'undone' });
    assert.equal(await value(client, 'SHOW search_path'), '"$user", public');
    const { rows } = await client.query('SELECT now() = statement_timestamp() AS fresh');
    assert.deepEqual(rows, [{ fresh: true }]);
    await yard().daemon.waitForLog(
      ({ level, msg }) => level === 'warn' && /connect_query leaves/.test(String(msg)),
    );
    await leave(client);
  });

  test('whose connect_query does not end in server_connect_timeout is given up, and the query cancelled', async () => {
    const refused = refusalOf(yard().client({ database: 'stuck' }));
    const { daemon } = yard();
    await daemon.waitForLog(({ msg }) => msg === 'connect_query took too long');
    assert.match((await refused).message, /^query_wait_timeout/);
    await untilServers(yard(), 0, "query LIKE '%pg_sleep(60)%'");
  });

  test('is opened in a database that only the "*" entry covers', async () => {
    const client = await yard().client({ database: 'anything' });
    assert.equal(await value(client, 'SELECT current_database()::text'), 'postgres');
    await leave(client);
  });

  test('is replaced after server_lifetime, between transactions and without a word', async () => {
    const client = await yard().client({ database: 'fleeting' });
    await client.query('BEGIN');
    const first = await backendPid(client);
    await client.query('SELECT pg_sleep(0.4)');
    assert.equal(await backendPid(client), first, 'not inside a transaction');
    await client.query('COMMIT');
    assert.notEqual(await backendPid(client), first);
    await leave(client);
    await untilServers(yard(), 0, `pid = ${String(first)}`);
  });
});

describe('in session mode a server', () => {
  test('belongs to its client until that leaves, and then to the next', async () => {
    const first = await yard().client({ database: 'session' });
    await first.query("SET work_mem = '7MB'");
    const pid = await backendPid(first);
    const second = await yard().client({ database: 'session' });
    let served = false;
    const waiting = backendPid(second).then((seen) => {
      served = true;
      return seen;
    });
    assert.equal(await value(first, 'SHOW work_mem'), '7MB');
    assert.equal(served, false);
    await leave(first);
    assert.equal(await waiting, pid);
    await leave(second);
  });

  test('comes without anything that its last client left', async () => {
    const first = await yard().client({ database: 'session' });
    const pid = await backendPid(first);
    await first.query(`SET work_mem = '7MB'; SET search_path = nowhere; SET client_encoding = 'LATIN1'`);
    await first.query(`CREATE TEMP TABLE leftovers (n int); PREPARE leftover AS SELECT 1; LISTEN leftover`);
    await first.query(`SELECT pg_advisory_lock(42); DECLARE leftover CURSOR WITH HOLD FOR SELECT 1`);
    await first.query({ name: 'named by the driver', text: 'SELECT 1' });
    await first.query("BEGIN; INSERT INTO public.visits VALUES ('first')");
    await leave(first);

    const second = await yard().client({ database: 'session' });
    assert.equal(await backendPid(second), pid, 'the same server');
    assert.equal(await value(second, 'SHOW work_mem'), '4MB');
    assert.equal(await value(second, 'SHOW search_path'), '"$user", public');
    assert.equal(await value(second, 'SHOW client_encoding'), 'UTF8');
    for (const leftover of [
      `SELECT count(*)::int FROM pg_class WHERE relname = 'leftovers'`,
      `SELECT count(*)::int FROM pg_prepared_statements WHERE name = 'leftover' OR name LIKE 'named%'`,
      `SELECT count(*)::int FROM pg_cursors WHERE name = 'leftover'`,
      'SELECT count(*)::int FROM pg_listening_channels()',
      `SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory'`,
      'SELECT count(*)::int FROM visits',
    ]) {
      assert.equal(await value(second, leftover), 0, leftover);
    }
    await leave(second);
  });

  test('keeps what its client sets, over transactions', async () => {
    const client = await yard().client({ database: 'session' });
    await client.query("SET work_mem = '9MB'; CREATE TEMP TABLE mine (n int)");
    await client.query('INSERT INTO mine VALUES (1)');
    assert.equal(await value(client, 'SHOW work_mem'), '9MB');
    assert.equal(await value(client, 'SELECT count(*)::int FROM mine'), 1);
    await leave(client);
  });

  test('is what a user with that pool_mode gets, in any database', async () => {
    const client = await yard().client({ user: 'sticky' });
    await client.query("SET work_mem = '11MB'");
    const others = await each(3, () => yard().client());
    await inTransactions(others);
    assert.equal(await value(client, 'SHOW work_mem'), '11MB');
    await Promise.all([client, ...others].map((one) => leave(one)));
  });

  test('still has what connect_query has set for the clients after the first', async () => {
    for (let round = 0; round < 2; round += 1) {
      const client = await yard().client({ database: 'groomed' });
      assert.equal(await value(client, 'SHOW search_path'), 'pg_catalog');
      await client.query('SET search_path = elsewhere');
      await leave(client);
    }
  });

  test('brings the startup parameters of its client', async () => {
    const client = await yard().client(
      { database: 'session' },
      { application_name: 'mucker', options: '-c work_mem=5MB' },
    );
    assert.equal(await value(client, 'SHOW application_name'), 'mucker');
    assert.equal(await value(client, 'SHOW work_mem'), '5MB');
    await leave(client);
    const next = await yard().client({ database: 'session' });
    assert.equal(await value(next, 'SHOW application_name'), '');
    assert.equal(await value(next, 'SHOW work_mem'), '4MB');
    await leave(next);
  });
});

test('pg_stat_activity names the application of the client that a server works for', async () => {
  const client = await yard().client({ database: 'single' }, { application_name: 'mucking out' });
  await client.query('BEGIN');
  const pid = await backendPid(client);
  const [row] = await yard().sql('SELECT application_name FROM pg_stat_activity WHERE pid = $1', [pid]);
  assert.deepEqual(row, { application_name: 'mucking out' });
  await leave(client);
  await until(async () => (await yard().sql('SELECT 1 FROM pg_locks WHERE pid = $1', [pid])).length === 0);
});
