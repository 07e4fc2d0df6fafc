/** Clients that keep their server: who sees it, what ends it, and how much of a pool they may hold. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { backendPid, farewellTo, leave, refusalOf, useYard, value } from '../support/pooling.ts';
import * as m from '../support/messages.ts';
import { RawClient } from '../support/raw-client.ts';
import type { LogLine } from '../support/daemon.ts';
import { until } from '../support/wait.ts';

const databases = {
  postgres: { pool_size: 3 },
  shared: { pool_size: 2 },
  pinning: { pool_size: 2, session_state: 'pin' },
  audited: { pool_size: 1 },
  disguised: { dbname: 'postgres', pool_size: 1 },
  deaf: { pool_size: 1 },
  strict: { pool_size: 1, session_state: 'strict' },
  sequences: { pool_size: 2, min_pool_size: 2 },
  asked_simply: { dbname: 'postgres', pool_size: 1 },
  asked_in_batch: { dbname: 'postgres', pool_size: 1 },
  asked_late: { dbname: 'postgres', pool_size: 1 },
  asked_behind: { dbname: 'postgres', pool_size: 1 },
};
const yard = useYard({
  roles: { app: 'SUPERUSER', admin: '' },
  schema: `CREATE TABLE t (id serial, n int); CREATE SEQUENCE other; CREATE TABLE single (id serial, n int);
    CREATE FUNCTION draw() RETURNS int LANGUAGE sql AS $$ SELECT nextval('other')::int $$;
    CREATE FUNCTION draw_behind() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM draw(); RETURN OLD; END $$;
    CREATE TABLE drawing AS SELECT generate_series(1, 9) AS n;
    CREATE TRIGGER draw BEFORE DELETE ON drawing FOR EACH ROW EXECUTE FUNCTION draw_behind();
    INSERT INTO single VALUES (DEFAULT, 1);
    CREATE FUNCTION behind() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM set_config('work_mem', '7MB', false); RETURN NEW; END $$;
    CREATE FUNCTION dropping() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN EXECUTE 'DEALLOCATE ostler_locks'; RETURN NEW; END $$;
    CREATE TABLE deaf (n int);
    CREATE TRIGGER deaf BEFORE INSERT ON deaf FOR EACH ROW EXECUTE FUNCTION dropping();
    CREATE FUNCTION disguising() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM set_config('role', 'admin', false); RETURN NEW; END $$;
    CREATE TABLE disguise (n int);
    CREATE TRIGGER disguise AFTER INSERT ON disguise FOR EACH ROW EXECUTE FUNCTION disguising();
    CREATE TABLE sly (n int);
    CREATE TRIGGER sly BEFORE INSERT ON sly FOR EACH ROW EXECUTE FUNCTION behind();`,
  configuration: {
    ostler: { admin_users: ['admin'], server_round_robin: true },
    databases,
    users: { app: {}, admin: {} },
  },
});

const admin = (): Promise<pg.Client> => yard().client({ user: 'admin', database: 'pgbouncer' });

interface PinRow {
  readonly database: string;
  readonly application_name: string;
  readonly reason: string;
}

/** The first line of the log that begins so, about this application, which is written some time after it happened. */
async function logged(beginning: string, application: string): Promise<LogLine> {
  let line: LogLine | undefined;
  await until(() => {
    line = yard().daemon.log.find(
      ({ msg, applicationName }) => String(msg).startsWith(beginning) && applicationName === application,
    );
    return line !== undefined;
  });
  if (line === undefined) throw new Error('it was there');
  return line;
}

async function pins(console: pg.Client, database: string): Promise<PinRow[]> {
  const { rows } = await console.query<PinRow>('SHOW PINS');
  return rows.filter((row) => row.database === database);
}

test('SHOW PINS tells who keeps a server and why, and no more once it has ended', async () => {
  const console = await admin();
  const client = await yard().client({}, { application_name: 'stable' });
  await client.query('DECLARE c CURSOR WITH HOLD FOR SELECT 1; SELECT pg_advisory_lock(1)');
  await until(async () => (await pins(console, 'postgres')).length === 1);
  const [row] = await pins(console, 'postgres');
  assert.deepEqual([row?.application_name, row?.reason], ['stable', 'cursor, lock']);
  await logged('client keeps its server connection: cursor, lock', 'stable');
  await client.query('CLOSE c; SELECT pg_advisory_unlock(1)');
  await until(async () => (await pins(console, 'postgres')).length === 0);
});

test('a cursor WITH HOLD that is closed as a portal keeps nobody', async () => {
  const console = await admin();
  const { host, port, user, password } = yard().through({ database: 'shared' });
  const client = await RawClient.login({ host, port, user, password, database: 'shared' });
  await client.query('DECLARE c CURSOR WITH HOLD FOR SELECT 1');
  await until(async () => (await pins(console, 'shared')).length === 1);
  await client.ask([m.closePortal('c'), m.sync]);
  await until(async () => (await pins(console, 'shared')).length === 0);
  client.quit();
});

test('a statement_timeout that is too short for anything meets nobody else', async () => {
  const other = await yard().client({ database: 'audited' });
  await other.query(`SET work_mem = '9MB'`);
  let hasty: pg.Client | undefined;
  for (let n = 0; n < 100; n++) {
    // What its limit does to itself, up to the end of its session, is its own affair.
    try {
      hasty ??= await yard().client({ database: 'audited' });
      await hasty.query(`SET statement_timeout = '1ms'`);
      await hasty.query('SHOW statement_timeout');
    } catch {
      if (hasty !== undefined) await leave(hasty);
      hasty = undefined;
    }
    assert.equal(await value(other, 'SHOW work_mem'), '9MB');
  }
  if (hasty !== undefined) await leave(hasty);
  await leave(other);
});

test('pin_timeout ends a session that keeps its server and is silent', async () => {
  const console = await admin();
  await console.query("SET pin_timeout = '300ms'");
  const client = await yard().client();
  const farewell = farewellTo(client);
  await client.query('CREATE TEMP TABLE mine (n int)');
  const error = await farewell;
  assert.equal(error.code, '57P05');
  assert.match(error.message, /pin timeout.*temp/);
  await console.query('SET pin_timeout = 0');
});

test('max_pinned_share keeps part of a pool for the others', async () => {
  const console = await admin();
  await console.query('SET max_pinned_share = 0.5');
  const first = await yard().client({ database: 'shared' });
  await first.query('LISTEN a');
  const second = await yard().client({ database: 'shared' });
  const farewell = farewellTo(second);
  await second.query('LISTEN b');
  const error = await farewell;
  assert.equal(error.code, '53300');
  assert.match(String(error.detail), /listen/);
  const other = await yard().client({ database: 'shared' });
  assert.equal(await value(other, 'SELECT 1'), 1);
  await console.query('SET max_pinned_share = 1');
});

test('session_state "pin" keeps the server of who has changed anything, to the end', async () => {
  const client = await yard().client({ database: 'pinning' });
  await client.query(`SET work_mem = '9MB'`);
  const pid = await backendPid(client);
  for (let n = 0; n < 4; n++) assert.equal(await backendPid(client), pid);
  await client.query('RESET work_mem');
  assert.equal(await backendPid(client), pid);
  await leave(client);
  const next = await yard().client({ database: 'pinning' });
  for (let n = 0; n < 4; n++) assert.equal(await value(next, 'SHOW work_mem'), '4MB');
});

describe('what a trigger sets', () => {
  test('meets nobody else in strict mode', async () => {
    const client = await yard().client({ database: 'strict' });
    await client.query('INSERT INTO sly VALUES (1)');
    const next = await yard().client({ database: 'strict' });
    assert.equal(await value(next, 'SHOW work_mem'), '4MB');
  });

  test('is found by the audit in track mode too where it is a role', async () => {
    const client = await yard().client({ database: 'disguised' }, { application_name: 'disguised' });
    await client.query(`INSERT INTO disguise VALUES (1)`);
    const line = await logged('session state was found', 'disguised');
    assert.equal(line['found'], 'role');
    assert.equal(await value(client, 'SELECT current_user'), 'app');
  });

  test('is found by the audit in track mode, which turns the pool strict', async () => {
    const client = await yard().client({ database: 'audited' }, { application_name: 'sly' });
    await client.query('INSERT INTO sly VALUES (1)');
    const line = await logged('session state was found', 'sly');
    assert.equal(line['found'], 'work_mem');
    const next = await yard().client({ database: 'audited' });
    assert.equal(await value(next, 'SHOW work_mem'), '4MB');
    await client.query('INSERT INTO sly VALUES (1)');
    assert.equal(await value(next, 'SHOW work_mem'), '4MB');
  });
});

test('a server that cannot be audited is left in no transaction of ours', async () => {
  const client = await yard().client({ database: 'deaf' }, { application_name: 'deaf' });
  await client.query('SELECT pg_advisory_lock(7)');
  await client.query('SELECT pg_advisory_unlock(7)');
  await client.query('INSERT INTO deaf VALUES (1)');
  const line = await logged('session state was found', 'deaf');
  assert.match(String(line['found']), /ostler_locks/);
  assert.equal(await value(client, 'SELECT 1'), 1);
  const next = await yard().client({ database: 'deaf' });
  assert.equal(await value(next, 'SELECT 1'), 1);
});

test('currval and lastval never tell what another client has drawn', async () => {
  const one = await yard().client({ database: 'sequences' });
  const other = await yard().client({ database: 'sequences' });
  for (let n = 0; n < 4; n++) await one.query('INSERT INTO t (n) VALUES (1)');
  for (const sql of ['SELECT lastval()', `SELECT currval('t_id_seq')`]) {
    const error = await refusalOf(other.query(sql));
    assert.equal(error.code, '55000');
  }
  // Within a transaction they tell one's own.
  await other.query('BEGIN');
  const { rows } = await other.query<{ id: number }>('INSERT INTO t (n) VALUES (2) RETURNING id');
  assert.equal(await value(other, 'SELECT lastval()::int'), rows[0]?.id);
  await other.query('COMMIT');
  // Who has once relied on an earlier transaction keeps its server for the next time.
  await other.query('INSERT INTO t (n) VALUES (3)');
  const mine = await value(other, 'SELECT max(id) FROM t WHERE n = 3');
  await one.query('INSERT INTO t (n) VALUES (1)');
  assert.equal(await value(other, 'SELECT lastval()::int'), mine);
  await Promise.all([leave(one), leave(other)]);
});

describe('a sequence', () => {
  const twoOf = async (database: string): Promise<[pg.Client, pg.Client]> => [
    await yard().client({ database }),
    await yard().client({ database }),
  ];
  const draws = [
    ['UPDATE … = DEFAULT', 'UPDATE single SET id = DEFAULT'],
    ['a trigger', 'DELETE FROM drawing WHERE n IN (SELECT min(n) FROM drawing)'],
    ['a function', 'SELECT draw()'],
    ['what has failed', `SELECT draw() FROM (SELECT 1) AS one, LATERAL (SELECT 1 / (draw() * 0)) AS two`],
  ] as const;
  for (const [what, sql] of draws) {
    test(`that ${what} has drawn from tells so in a later transaction, from the second time on`, async () => {
      const [client, other] = await twoOf('sequences');
      await client.query('SELECT lastval()').catch(() => undefined);
      for (let n = 0; n < 3; n++) {
        await client.query(sql).catch(() => undefined);
        // Without a server of its own the client would be on the other one next.
        for (let turn = 0; turn < 2; turn++) await other.query('SELECT 1');
        const sequence = sql.includes('single') ? 'single_id_seq' : 'other';
        assert.equal(
          await value(client, 'SELECT lastval()'),
          await value(other, `SELECT last_value FROM ${sequence}`),
        );
      }
      await leave(client);
      await leave(other);
    });
  }

  for (const [database, name] of [
    ['asked_simply', undefined],
    ['asked_in_batch', 'a statement'],
  ] as const) {
    test(`that a function of another client has drawn from tells nothing to who asks first (${database})`, async () => {
      const one = await yard().client({ database });
      const other = await yard().client({ database }, { options: '-c work_mem=7MB' });
      const asks = (): Promise<unknown> => other.query({ text: 'SELECT lastval()', ...(name && { name }) });
      await one.query('SELECT draw()');
      assert.equal((await refusalOf(asks())).code, '55000');
      await leave(other);
      const third = await yard().client({ database });
      await one.query('SELECT draw()');
      for (const sql of ['BEGIN', 'SELECT 1']) await third.query(sql);
      assert.equal((await refusalOf(third.query('SELECT lastval()'))).code, '55000');
      await Promise.all([leave(one), leave(third)]);
    });
  }

  test('that a function of another client has drawn from tells nothing to who asks first, in a transaction', async () => {
    const [one, other] = await twoOf('asked_late');
    await one.query('SELECT draw()');
    for (const sql of ['BEGIN', 'SELECT 1']) await other.query(sql);
    assert.equal((await refusalOf(other.query('SELECT lastval()'))).code, '55000');
    await Promise.all([leave(one), leave(other)]);
  });

  test('that a function has drawn from tells so in the same transaction, from the first time on', async () => {
    const [one, other] = await twoOf('asked_behind');
    await one.query('SELECT draw()');
    await other.query('BEGIN');
    const drawn = await value(other, 'SELECT draw()');
    assert.equal(await value(other, 'SELECT lastval()::int'), drawn);
    await Promise.all([leave(one), leave(other)]);
  });

  test('that a client asks keeps it on its server beside what does so already, which is cleaned up after it', async () => {
    const [client, next] = await twoOf('asked_simply');
    for (const sql of ['LISTEN news', 'PREPARE own AS SELECT 1']) await client.query(sql);
    await client.query('SELECT lastval()').catch(() => undefined);
    const kept = await pins(await admin(), 'asked_simply');
    assert.deepEqual(
      kept.map(({ reason }) => reason),
      ['listen, prepare, sequence'],
    );
    await leave(client);
    await next.query('PREPARE own AS SELECT 2');
    await leave(next);
  });

  test('that another client has drawn from tells nothing, however it is asked', async () => {
    const [one, other] = await twoOf('sequences');
    const ways = [
      ['BEGIN', 'INSERT INTO sly VALUES (2)', 'SELECT lastval()'],
      ['BEGIN', `SELECT nextval('other')`, `SELECT currval('t_id_seq')`],
      ['BEGIN', 'SELECT 1', 'SELECT lastval()'],
    ];
    for (const way of ways) {
      // On both servers.
      for (let n = 0; n < 2; n++) await one.query('INSERT INTO t (n) VALUES (1)');
      const last = way.at(-1) ?? '';
      for (const sql of way.slice(0, -1)) await other.query(sql);
      const error = await refusalOf(other.query(last));
      assert.equal(error.code, '55000', last);
      await other.query('ROLLBACK');
    }
    await Promise.all([leave(one), leave(other)]);
  });
});

test('a setting whose name no text shows keeps its client on its server', async () => {
  const console = await admin();
  const client = await yard().client();
  await client.query({ text: 'SELECT set_config($1, $2, false)', values: ['app.hidden', 'here'] });
  await until(async () =>
    (await pins(console, 'postgres')).some(({ reason }) => reason === 'unknown_setting'),
  );
  for (let n = 0; n < 4; n++)
    assert.equal(await value(client, `SELECT current_setting('app.hidden', true)`), 'here');
  await leave(client);
  // One that is found needs no pin.
  const next = await yard().client();
  await next.query({ text: 'SELECT set_config($1, $2, false)', values: ['work_mem', '11MB'] });
  for (let n = 0; n < 4; n++) assert.equal(await value(next, 'SHOW work_mem'), '11MB');
  assert.deepEqual(await pins(console, 'postgres'), []);
});

describe('a custom setting whose name no text shows stays with its client, whatever else it has set', () => {
  const settings: Readonly<Record<string, readonly pg.QueryConfig[]>> = {
    'by its name': [
      { text: 'BEGIN' },
      { text: `SET work_mem = '11MB'; SET TimeZone = 'Asia/Tokyo'` },
      { text: 'SELECT set_config($1, $2, false)', values: ['app.unseen', 'here'] },
      { text: 'COMMIT' },
    ],
    'by another such name': [
      { text: 'BEGIN' },
      { text: 'SELECT set_config($1, $2, false)', values: ['work_mem', '11MB'] },
      { text: 'SELECT set_config($1, $2, false)', values: ['app.unseen', 'here'] },
      { text: 'COMMIT' },
    ],
    'row by row': [
      {
        text: `SELECT set_config(key, value, false) FROM json_each_text('{"work_mem": "11MB", "app.unseen": "here"}')`,
      },
    ],
    'though it is written there, in no plain ASCII': [{ text: `SET app.größe = 'here'` }],
  };
  for (const [how, queries] of Object.entries(settings)) {
    test(how, async () => {
      const [client, other] = [await yard().client(), await yard().client()];
      for (const query of queries) await client.query(query);
      for (let n = 0; n < 3; n++) {
        for (let turns = 0; turns <= n; turns++) await other.query(`SET TimeZone = 'America/Lima'`);
        const found = `SELECT 'here' IN (current_setting('app.unseen', true), current_setting('app.größe', true))`;
        assert.equal(await value(client, found), true);
      }
      await Promise.all([leave(client), leave(other)]);
    });
  }
});

test('what nothing takes back keeps its client to the end, and its server is closed', async () => {
  for (const [sql, reason] of [
    [`LOAD 'plpgsql'`, 'permanent'],
    ['SELECT setseed(0.5)', 'seed'],
  ] as const) {
    const console = await admin();
    const client = await yard().client();
    await client.query(sql);
    await until(async () => (await pins(console, 'postgres')).some((row) => row.reason === reason));
    const pid = await backendPid(client);
    assert.equal(await backendPid(client), pid);
    await leave(client);
    await until(async () => {
      const [row] = await yard().sql<{ count: string }>(
        'SELECT count(*) AS count FROM pg_stat_activity WHERE pid = $1',
        [pid],
      );
      return row?.count === '0';
    });
  }
});

test('idle_session_timeout is the client’s, and no server is closed by it', async () => {
  const client = await yard().client();
  const farewell = farewellTo(client);
  const pid = await backendPid(client);
  await client.query("SET idle_session_timeout = '400ms'");
  const error = await farewell;
  assert.equal(error.code, '57P05');
  // Both would come at the same time.
  await delay(100);
  assert.equal((await yard().sql('SELECT FROM pg_stat_activity WHERE pid = $1', [pid])).length, 1);
  const next = await yard().client();
  for (let n = 0; n < 6; n++) assert.equal(await value(next, 'SHOW idle_session_timeout'), '0');
});

test('idle_session_timeout brought at login lasts when something else is set, and is what RESET ALL returns to', async () => {
  const options = '-c idle_session_timeout=400ms';
  for (const run of [[`SET work_mem = '5MB'`], ['SET idle_session_timeout = 0', 'RESET ALL']]) {
    const client = await yard().client({}, { options });
    const farewell = farewellTo(client);
    for (const sql of run) await client.query(sql);
    assert.equal((await farewell).code, '57P05', run.join('; '));
  }
});

test('what only a login can set is refused with its name', async () => {
  for (const name of ['ignore_system_indexes', 'local_preload_libraries', 'session_preload_libraries']) {
    const error = await refusalOf(yard().client({}, { options: `-c ${name}=on` }));
    assert.equal(error.code, '0A000');
    assert.match(error.message, new RegExp(name));
  }
});
