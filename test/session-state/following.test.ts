/** In transaction mode what a client sets in its session is there on whatever server it meets next, and nobody else has it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type pg from 'pg';
import { startDaemon } from '../support/daemon.ts';
import { backendPid, clientsOf, endsWell, leave, toml, useYard, value } from '../support/pooling.ts';
import * as m from '../support/messages.ts';
import { RawClient } from '../support/raw-client.ts';
import { openGate } from '../support/tcp-gate.ts';
import { until } from '../support/wait.ts';

const yard = useYard({
  roles: { app: 'SUPERUSER', groom: '' },
  schema: `CREATE SCHEMA barn; CREATE TABLE barn.hay (n int); GRANT USAGE ON SCHEMA barn TO groom;
    CREATE FUNCTION quietly(name text, value text) RETURNS text LANGUAGE plpgsql AS
      $$ BEGIN PERFORM set_config(name, value, false); RETURN value; END $$;`,
  configuration: {
    ostler: { default_pool_size: 3, min_pool_size: 3, server_round_robin: true },
    databases: {
      postgres: {},
      strict: { session_state: 'strict' },
      off: { session_state: 'off' },
      groomed: { connect_query: "SET work_mem = '9MB'" },
    },
  },
});

/** Runs `sql` until three different servers have answered, which is the whole pool; all answers. */
async function everywhere(client: pg.Client, sql: string): Promise<unknown[]> {
  const answers: unknown[] = [];
  const pids = new Set<unknown>();
  // The first time the pool may have to open them yet.
  for (let tries = 0; pids.size < 3 && tries < 1000; tries++) {
    const { rows } = await client.query<{ pid: number; answer: unknown }>(
      `SELECT pg_backend_pid() AS pid, (${sql}) AS answer`,
    );
    pids.add(rows[0]?.pid);
    answers.push(rows[0]?.answer);
  }
  assert.equal(pids.size, 3, 'the pool has three servers');
  return answers;
}

const all = (answers: readonly unknown[], expected: unknown): void =>
  assert.deepEqual([...new Set(answers)], [expected]);

describe('a setting that PostgreSQL does not report', () => {
  for (const [how, sql] of [
    ['SET', `SET work_mem = '5MB'`],
    ['set_config', `SELECT set_config('work_mem', '5MB', false)`],
    [
      'a function that the text does not show',
      `SELECT 1; DO $$ BEGIN PERFORM quietly('work_mem', '5MB'); END $$`,
    ],
  ] as const) {
    test(`set by ${how} follows its client and meets nobody else`, async () => {
      const client = await yard().client();
      const other = await yard().client();
      await client.query(sql);
      all(await everywhere(client, `SELECT current_setting('work_mem')`), '5MB');
      all(await everywhere(other, `SELECT current_setting('work_mem')`), '4MB');
      await client.query('RESET work_mem');
      all(await everywhere(client, `SELECT current_setting('work_mem')`), '4MB');
    });
  }

  test('of the custom kind follows too where only the body of a DO names it', async () => {
    const client = await yard().client();
    await client.query(
      `DO $x$ BEGIN SET app.hay = 'a'; PERFORM set_config('App.Straw', 'b', false); END $x$`,
    );
    all(await everywhere(client, `SELECT current_setting('app.hay') || current_setting('app.straw')`), 'ab');
  });

  test('survives a DO that drops every statement', async () => {
    const client = await yard().client();
    await client.query(`SET work_mem = '5MB'`);
    all(await everywhere(client, `SELECT current_setting('work_mem')`), '5MB');
    for (let n = 0; n < 4; n++) await client.query(`DO $x$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $x$`);
    all(await everywhere(client, `SELECT current_setting('work_mem')`), '5MB');
  });

  test('is undone with its transaction', async () => {
    const client = await yard().client();
    await client.query(`BEGIN; SET work_mem = '6MB'; ROLLBACK`);
    all(await everywhere(client, `SELECT current_setting('work_mem')`), '4MB');
    await client.query('BEGIN');
    await client.query(`SET work_mem = '6MB'`);
    await client.query('SAVEPOINT a');
    await client.query(`SET work_mem = '7MB'`);
    await client.query('ROLLBACK TO a');
    await client.query('COMMIT');
    all(await everywhere(client, `SELECT current_setting('work_mem')`), '6MB');
  });

  test('of the custom kind follows too', async () => {
    const client = await yard().client();
    await client.query(`SET app.tenant = 'Ä "quoted" \\ one'`);
    all(await everywhere(client, `SELECT current_setting('app.tenant', true)`), 'Ä "quoted" \\ one');
    const other = await yard().client();
    all(await everywhere(other, `SELECT NULLIF(current_setting('app.tenant', true), '')`), null);
  });
});

test('a setting is told from what is usual, also when that has just become another', async () => {
  const client = await yard().client();
  await client.query(`SET maintenance_work_mem = '5MB'`);
  await yard().sql(`ALTER SYSTEM SET maintenance_work_mem = '8MB'`);
  await yard().sql('SELECT pg_reload_conf()');
  const other = await yard().client();
  await until(async () => {
    const answers = await everywhere(other, `SELECT current_setting('maintenance_work_mem')`);
    return answers.every((answer) => answer === '8MB');
  });
  all(await everywhere(client, `SELECT current_setting('maintenance_work_mem')`), '5MB');
  await client.query(`SET maintenance_work_mem = '64MB'`);
  all(await everywhere(client, `SELECT current_setting('maintenance_work_mem')`), '64MB');
  await client.query('RESET maintenance_work_mem');
  all(await everywhere(client, `SELECT current_setting('maintenance_work_mem')`), '8MB');
  await yard().sql('ALTER SYSTEM RESET maintenance_work_mem');
  await yard().sql('SELECT pg_reload_conf()');
});

describe('what the server does not tell', () => {
  test('because the value is too long, stays with its client on one server', async () => {
    const client = await yard().client();
    await client.query(`SET app.large = '${'x'.repeat(2 << 20)}'`);
    for (let n = 0; n < 4; n++)
      assert.equal(await value(client, `SELECT length(current_setting('app.large'))`), 2 << 20);
    await client.query(`SET work_mem = '5MB'`);
    assert.equal(await value(client, 'SHOW work_mem'), '5MB');
    await leave(client);
  });

  test('because the client may not read it, stays with its client on one server', async () => {
    const client = await yard().client();
    await client.query(`SET dynamic_library_path = '/hay'`);
    await client.query('SET ROLE groom');
    for (let n = 0; n < 4; n++) assert.equal(await value(client, 'SELECT current_user::text'), 'groom');
    await client.query('RESET ROLE');
    assert.equal(await value(client, 'SHOW dynamic_library_path'), '/hay');
    await leave(client);
  });
});

test('a role follows its client, and is gone for the next', async () => {
  const client = await yard().client();
  const other = await yard().client();
  await client.query('SET ROLE groom');
  all(await everywhere(client, 'SELECT current_user::text'), 'groom');
  all(await everywhere(other, 'SELECT current_user::text'), 'app');
  await client.query('RESET ROLE');
  all(await everywhere(client, 'SELECT current_user::text'), 'app');
});

test('what connect_query has set is there again once a client has reset it, for itself and for others', async () => {
  const client = await yard().client({ database: 'groomed' });
  const other = await yard().client({ database: 'groomed' });
  for (const reset of ['RESET ALL', 'DO $$ BEGIN RESET work_mem; END $$']) {
    await client.query(`SET statement_timeout = '1min'`);
    await client.query(reset);
    all(await everywhere(other, `SELECT current_setting('work_mem')`), '9MB');
  }
  await client.query('RESET ALL');
  all(await everywhere(client, `SELECT current_setting('work_mem')`), '9MB');
});

test('a client that names a setting which it may not read loses none of its own', async () => {
  const client = await yard().client();
  await client.query(`SET statement_timeout = '1min'; SET app.tenant = 'one'; SET ROLE groom`);
  await assert.rejects(client.query(`SET session_preload_libraries = 'none'`), { code: '42501' });
  all(await everywhere(client, `SELECT current_setting('statement_timeout')`), '1min');
  all(await everywhere(client, `SELECT current_setting('app.tenant') || current_user`), 'onegroom');
});

test('a startup value is what RESET returns to', async () => {
  const client = await yard().client({}, { options: '-c search_path=barn -c work_mem=8MB' });
  await client.query('SELECT * FROM hay');
  await client.query('SET search_path = public');
  all(await everywhere(client, `SELECT current_setting('search_path')`), 'public');
  await client.query('RESET search_path');
  all(await everywhere(client, `SELECT current_setting('search_path')`), 'barn');
  await client.query(`SET work_mem = '9MB'`);
  await client.query('RESET ALL');
  all(await everywhere(client, `SELECT current_setting('work_mem')`), '8MB');
  all(await everywhere(client, `SELECT current_setting('search_path')`), 'barn');
});

describe('a startup value that is reset inside a transaction', () => {
  for (const [how, sql] of [
    ['RESET', 'RESET search_path'],
    ['RESET ALL', 'RESET ALL'],
    ['SET … TO DEFAULT', 'SET search_path TO DEFAULT'],
    ['set_config', `SELECT set_config('search_path', NULL, false)`],
  ] as const) {
    test(`by ${how} is there for the next statement`, async () => {
      const client = await yard().client({}, { options: '-c search_path=barn -c work_mem=8MB' });
      for (const end of ['COMMIT', 'ROLLBACK']) {
        await client.query('BEGIN; SET search_path = public');
        await client.query(sql);
        assert.equal(await value(client, 'SHOW search_path'), 'barn');
        assert.equal(await value(client, 'SHOW work_mem'), '8MB');
        await client.query(end);
        all(await everywhere(client, `SELECT current_setting('search_path')`), 'barn');
      }
    });
  }

  test('gives way to what the same Query sets behind it', async () => {
    const client = await yard().client({}, { options: '-c work_mem=8MB -c app.tenant=one' });
    await client.query('BEGIN');
    await client.query(`RESET ALL; SET work_mem = '4MB'; SET app.tenant = 'two'`);
    assert.equal(await value(client, 'SHOW work_mem'), '4MB');
    assert.equal(await value(client, 'SHOW app.tenant'), 'two');
    await client.query('RESET app.tenant');
    assert.equal(await value(client, 'SHOW app.tenant'), 'one');
    await client.query('COMMIT');
    all(
      await everywhere(client, `SELECT current_setting('work_mem') || current_setting('app.tenant')`),
      '4MBone',
    );
  });

  test('is what connect_query has set, where it has set something', async () => {
    const client = await yard().client({ database: 'groomed' });
    await client.query(`BEGIN; SET work_mem = '5MB'`);
    await client.query('RESET ALL');
    assert.equal(await value(client, 'SHOW work_mem'), '9MB');
    await client.query('COMMIT');
    assert.equal(await value(client, 'SHOW work_mem'), '9MB');
  });

  test('goes with its savepoint', async () => {
    const client = await yard().client({}, { options: '-c work_mem=8MB' });
    await client.query(`BEGIN; SET work_mem = '5MB'; SAVEPOINT here`);
    await client.query('RESET work_mem');
    assert.equal(await value(client, 'SHOW work_mem'), '8MB');
    await client.query('ROLLBACK TO here');
    assert.equal(await value(client, 'SHOW work_mem'), '5MB');
    await client.query('COMMIT');
    all(await everywhere(client, `SELECT current_setting('work_mem')`), '5MB');
  });

  test('is told right behind the RESET, and is there for a batch', async () => {
    const client = await RawClient.login(yard().through(), { TimeZone: 'Asia/Tokyo' });
    await client.query(`BEGIN; SET TimeZone = 'UTC'`);
    assert.equal(client.parameters.get('TimeZone'), 'UTC');
    await client.ask([m.parse('', 'RESET TimeZone'), m.bind(), m.execute(), m.sync]);
    assert.equal(client.parameters.get('TimeZone'), 'Asia/Tokyo');
    const shown = await client.ask([m.parse('', 'SHOW TimeZone'), m.bind(), m.execute(), m.sync]);
    assert.deepEqual(m.valuesOf(shown), ['Asia/Tokyo']);
    await client.query('COMMIT');
    assert.equal(client.parameters.get('TimeZone'), 'Asia/Tokyo');
    client.quit();
  });

  test('is there where a DO has dropped every statement', async () => {
    const client = await yard().client({}, { options: '-c work_mem=8MB' });
    await client.query('BEGIN');
    for (let n = 0; n < 2; n++) {
      await client.query(`DO $x$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $x$`);
      await client.query('RESET work_mem');
      assert.equal(await value(client, 'SHOW work_mem'), '8MB');
    }
    await client.query('COMMIT');
  });

  test('is there where a role may not set it, or its client is told', async () => {
    const client = await yard().client({}, { options: '-c session_replication_role=replica' });
    await client.query('BEGIN; SET LOCAL ROLE groom');
    await client.query('RESET ALL');
    await assert.rejects(client.query('SELECT 1'), {
      code: '42501',
      message: /cannot restore session settings: permission denied to set parameter/,
    });
  });
});

test('a startup value gives way to what is set, be that what would be usual without it', async () => {
  const client = await yard().client({}, { options: '-c work_mem=8MB' });
  await client.query(`SELECT set_config('work_mem', $1, false)`, ['4MB']);
  all(await everywhere(client, `SELECT current_setting('work_mem')`), '4MB');
  await client.query(`RESET ALL; SET work_mem = '4MB'`);
  all(await everywhere(client, `SELECT current_setting('work_mem')`), '4MB');
  await client.query('RESET work_mem');
  all(await everywhere(client, `SELECT current_setting('work_mem')`), '8MB');
});

test('a startup value is judged by the rights of its own client, whatever role the last one has taken', async () => {
  const others = await Promise.all([1, 2, 3].map(() => yard().client()));
  for (const other of others) await other.query('BEGIN; SET ROLE groom');
  await Promise.all(others.map((other) => other.query('COMMIT')));
  // A value that no server has been asked about.
  const client = await yard().client({}, { options: '-c session_replication_role=replica' });
  assert.equal(await value(client, 'SHOW session_replication_role'), 'replica');
});

test('who sets ever more settings keeps one server, and they are there', async () => {
  const client = await yard().client();
  const sets = (from: number): string =>
    Array.from({ length: 150 }, (_, n) => `SET app.s${String(from + n)} = 'x'`).join(';');
  for (const from of [0, 150, 300, 450]) await client.query(sets(from));
  const pids = new Set<unknown>();
  for (let n = 0; n < 4; n++) pids.add(await backendPid(client));
  assert.equal(pids.size, 1);
  for (const n of [0, 299, 450, 599])
    assert.equal(await value(client, `SELECT current_setting('app.s${String(n)}')`), 'x');
  await leave(client);
});

test('what is told behind a RESET of a startup value is what the next statement finds', async () => {
  const client = await RawClient.login(yard().through(), { TimeZone: 'Asia/Tokyo' });
  for (const [sql, told] of [
    [`SET TimeZone = 'UTC'`, 'UTC'],
    ['RESET TimeZone', 'Asia/Tokyo'],
    [`SET TimeZone = 'UTC'`, 'UTC'],
    ['RESET ALL', 'Asia/Tokyo'],
  ] as const) {
    await client.query(sql);
    assert.equal(client.parameters.get('TimeZone'), told);
    assert.deepEqual(m.valuesOf(await client.query('SHOW TimeZone')), [told]);
  }
  client.quit();
});

describe('what cannot move', () => {
  const pinnedBy: readonly (readonly [what: string, begin: string, end: string])[] = [
    ['a cursor WITH HOLD', 'DECLARE c CURSOR WITH HOLD FOR SELECT 1', 'CLOSE c'],
    ['a session advisory lock', 'SELECT pg_advisory_lock(42)', 'SELECT pg_advisory_unlock(42)'],
    ['a temporary table', 'CREATE TEMP TABLE t (n int)', 'DROP TABLE t'],
    ['LISTEN', 'LISTEN stable', 'UNLISTEN stable'],
    ['a statement of PREPARE', 'PREPARE p AS SELECT 1', 'DEALLOCATE p'],
  ];
  for (const [what, begin, end] of pinnedBy) {
    test(`${what} keeps its client on one server, and only while it lasts`, async () => {
      const client = await yard().client();
      await client.query(begin);
      const pids = new Set<unknown>();
      for (let n = 0; n < 6; n++) pids.add(await backendPid(client));
      assert.equal(pids.size, 1);
      await client.query(end);
      await everywhere(client, 'SELECT 1');
    });

    test(`${what} is gone when its client is`, async () => {
      const client = await yard().client();
      await client.query(begin);
      const pid = await backendPid(client);
      await client.end();
      const next = await yard().client();
      await everywhere(next, 'SELECT 1');
      await until(async () => {
        const [row] = await yard().sql<{ locks: string }>(
          `SELECT count(*) AS locks FROM pg_locks WHERE locktype = 'advisory' AND pid = $1`,
          [pid],
        );
        return row?.locks === '0';
      });
      all(
        await everywhere(
          next,
          `SELECT (SELECT count(*) FROM pg_cursors WHERE is_holdable) + (SELECT count(*) FROM pg_listening_channels())
             + (SELECT count(*) FROM pg_prepared_statements WHERE from_sql)
             + (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema())`,
        ),
        '0',
      );
    });
  }

  test('notifications reach a client that idles', async () => {
    const client = await yard().client();
    const heard: string[] = [];
    client.on('notification', ({ payload }) => heard.push(payload ?? ''));
    await client.query('LISTEN stable');
    await yard().sql(`NOTIFY stable, 'hay'`);
    await until(() => heard.includes('hay'));
  });

  test('notifications reach a client whose startup values are just being restored', async () => {
    const { host, port } = yard().postgres;
    const gate = await openGate(port);
    const daemon = await startDaemon({
      config: toml({ host, port: gate.port }, { ostler: { server_tls_sslmode: 'disable' } }),
    });
    const other = await clientsOf(daemon).client();
    const client = await clientsOf(daemon).client({}, { options: '-c work_mem=8MB' });
    const heard: string[] = [];
    client.on('notification', ({ payload }) => heard.push(payload ?? ''));
    await client.query('LISTEN stable');
    const pid = await backendPid(client);
    const hasRun = (sql: string): Promise<unknown> =>
      until(async () => {
        const [found] = await yard().sql('SELECT query, state FROM pg_stat_activity WHERE pid = $1', [pid]);
        return found?.['query'] === sql && found['state'] === 'idle';
      });
    await client.query('RESET ALL');
    // What it has left is known now: whoever comes later has been answered.
    await hasRun('ROLLBACK');
    assert.equal(await value(other, 'SELECT 1'), 1);
    gate.hold();
    await yard().sql(`NOTIFY stable, 'straw'`);
    await until(() => gate.held() > 0);
    const shown = value(client, 'SHOW work_mem');
    await hasRun('SHOW work_mem');
    gate.pass();
    assert.equal(await shown, '8MB');
    assert.deepEqual(heard, ['straw']);
    await Promise.all([client, other].map((one) => leave(one)));
    await endsWell(daemon);
    gate.close();
  });
});

test('"off" is as PgBouncer is: what is not reported stays where it was set', async () => {
  const client = await yard().client({ database: 'off' });
  await client.query(`SET work_mem = '5MB'`);
  assert.notDeepEqual(
    new Set(await everywhere(client, `SELECT current_setting('work_mem')`)),
    new Set(['5MB']),
  );
  assert.equal(await value(client, 'SELECT 1'), 1);
});
