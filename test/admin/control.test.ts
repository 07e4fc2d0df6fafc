/** What the commands of the console do, as their users and the clients notice it. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, afterEach, describe, test } from 'node:test';
import type pg from 'pg';
import * as m from '../support/messages.ts';
import { connect, query, type Row } from '../support/postgres.ts';
import { cancel, type RawClient } from '../support/raw-client.ts';
import { useStage } from '../support/stage.ts';
import { until } from '../support/wait.ts';

const stage = useStage({
  expectedErrors: /RELOAD failed|pool_moode|query_timeout/,
  settings: `admin_users = ["boss"]
query_wait_timeout = "20s"
[users.boss]
password = "b"`,
  databases: { app: 'pool_size = 2', other: 'pool_size = 2', lasting: 'pool_mode = "session"' },
});

const PID = 'SELECT pg_backend_pid() AS pid';
const SLEEPERS = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(60)'";

/** What a failing test left open must not keep the next one, or the file, waiting. */
const opened = new Set<pg.Client>();
const closeAll = async (): Promise<void> => {
  await Promise.all(Array.from(opened, (each) => each.end().catch(() => undefined)));
  opened.clear();
};

const run = (command: string): Promise<Row[]> =>
  query({ ...stage().through('pgbouncer'), user: 'boss', password: 'b' }, command);

afterEach(async () => {
  await run('RESUME').catch(() => undefined);
  await run('RESUME app').catch(() => undefined);
  await closeAll();
});
after(closeAll);

const raw = (): Promise<RawClient> => stage().login('pgbouncer', { user: 'boss' });
const client = async (database = 'app', name = ''): Promise<pg.Client> => {
  const made = await connect(stage().through(database), { application_name: name });
  opened.add(made);
  return made;
};
const pidOf = async (from: pg.Client): Promise<unknown> => (await from.query<Row>(PID)).rows[0]?.['pid'];

type Failure = Error & { readonly code?: string; readonly detail?: string };

/** What a promise is rejected with. */
const failure = (promise: Promise<unknown>): Promise<Failure> =>
  promise.then(
    () => assert.fail('it has succeeded'),
    (error: unknown) => {
      assert.ok(error instanceof Error);
      return error;
    },
  );

/** What a client hears while it runs nothing. */
const disconnection = (of: pg.Client): Promise<Failure> =>
  new Promise((resolve) => of.once('error', (error) => resolve(error)));

/** The row of a SHOW command that begins with `name`. */
async function row(of: string, name: string): Promise<Row> {
  const found = (await run(`SHOW ${of}`)).find((each) => Object.values(each)[0] === name);
  assert.ok(found !== undefined);
  return found;
}

const isPaused = async (): Promise<boolean> => (await row('STATE', 'paused'))['value'] === 'yes';

const waiting = (count: number): Promise<unknown> =>
  until(async () => (await row('POOLS', 'app'))['cl_waiting'] === count, {
    what: `${count} clients wait`,
  });

/** It has not been answered, though what was asked after it has. */
const isOpen = async (promise: Promise<unknown>): Promise<boolean> => {
  let open = true;
  promise.then(
    () => (open = false),
    () => (open = false),
  );
  await run('SHOW VERSION');
  return open;
};

describe('PAUSE', () => {
  test('holds back queries until RESUME, and loses none', async () => {
    const one = await client();
    await one.query('SELECT 1');
    assert.deepEqual(await run('PAUSE'), []);
    assert.equal((await stage().servers()).length, 0, 'no server is left');
    assert.ok(await isPaused());
    const answer = one.query<Row>('SELECT 7 AS seven');
    await waiting(1);
    assert.ok(await isOpen(answer));
    await run('RESUME');
    assert.deepEqual((await answer).rows, [{ seven: 7 }]);
    assert.equal((await row('STATE', 'active'))['value'], 'yes');
  });

  test('answers when transactions that were open have ended', async () => {
    const one = await client();
    await one.query('BEGIN');
    const paused = run('PAUSE');
    await until(isPaused);
    await one.query('SELECT 1');
    assert.ok(await isOpen(paused));
    await one.query('COMMIT');
    await paused;
    assert.equal((await stage().servers()).length, 0);
  });

  test('of a database leaves the others alone', async () => {
    const other = await client('other');
    const one = await client();
    await run('PAUSE "app"');
    assert.equal((await row('DATABASES', 'app'))['paused'], 1);
    assert.equal((await other.query('SELECT 1')).rows.length, 1);
    const answer = one.query('SELECT 1');
    await waiting(1);
    await run('RESUME app');
    await answer;
    assert.equal((await row('DATABASES', 'app'))['paused'], 0);
  });

  test('is ended by a cancel request, which RESUMEs', async () => {
    const one = await client();
    await one.query('BEGIN');
    const console = await raw();
    console.send(m.query('PAUSE'));
    await until(isPaused);
    await cancel({ host: '127.0.0.1', port: stage().daemon.port }, console.key);
    assert.deepEqual((await console.ready()).map(m.told), [
      'E 57014 canceling statement due to user request',
      'Z I',
    ]);
    assert.equal(await isPaused(), false);
    console.quit();
  });

  for (const leave of ['quit', 'end', 'reset'] as const) {
    test(`stays when its console goes away (${leave}), but nothing else that it asked for is done`, async () => {
      const one = await client();
      await one.query('BEGIN');
      const console = await raw();
      console.send(m.query('PAUSE; DISABLE other'));
      await until(isPaused);
      console[leave]();
      // Whoever asks is a console too.
      await until(async () => (await row('POOLS', 'pgbouncer'))['cl_active'] === 1);
      await one.query('COMMIT');
      await until(async () => (await stage().servers()).length === 0);
      assert.ok(await isPaused());
      assert.equal((await row('DATABASES', 'other'))['disabled'], 0, 'what it had in mind is dropped');
    });
  }

  test('does not say that it has paused when RESUME came first', async () => {
    const one = await client();
    await one.query('BEGIN');
    const paused = failure(run('PAUSE'));
    await until(isPaused);
    await run('RESUME');
    assert.equal((await paused).message, 'PAUSE has been ended by RESUME');
  });

  test('and RESUME say what PgBouncer says when they cannot', async () => {
    const cases = {
      RESUME: ['55000', 'pooler is not paused/suspended'],
      'RESUME app': ['55000', 'database app is not paused'],
      'PAUSE nothing': ['3D000', 'no such database: nothing'],
      'PAUSE pgbouncer': ['55000', 'cannot pause admin db: pgbouncer'],
      'PAUSE ostler': ['55000', 'cannot pause admin db: ostler'],
      'PAUSE app other': ['42601', `invalid command 'PAUSE app other', use SHOW HELP;`],
    };
    for (const [command, [code, message]] of Object.entries(cases)) {
      const error = await failure(run(command));
      assert.deepEqual([error.code, error.message], [code, message], command);
    }
    await run('PAUSE');
    assert.equal((await failure(run('PAUSE'))).message, 'already suspended/paused');
  });
});

describe('KILL', () => {
  test('tells all clients of a database, ends its servers, and holds back new ones until RESUME', async () => {
    const [idle, busy, other] = [await client(), await client(), await client('other')];
    await busy.query('BEGIN');
    await other.query('SELECT 1');
    const told = [disconnection(idle), disconnection(busy)];
    await run('KILL app');
    for (const error of await Promise.all(told)) {
      assert.deepEqual([error.code, error.message], ['57P01', 'database removed']);
    }
    assert.equal((await other.query('SELECT 1')).rows.length, 1);
    const late = client().then((each) => each.query('SELECT 1'));
    await waiting(1);
    await run('RESUME app');
    assert.equal((await late).rows.length, 1);
  });

  test('tells a client that waits for a server too', async () => {
    const holders = [await client(), await client()];
    await Promise.all(holders.map((each) => each.query('BEGIN')));
    const told = holders.map(disconnection);
    const waiter = failure((await client()).query('SELECT 1'));
    await waiting(1);
    await run('KILL app');
    for (const error of await Promise.all([waiter, ...told])) assert.equal(error.message, 'database removed');
  });

  test('without a name ends everybody, and one RESUME is enough after it', async () => {
    const clients = [await client(), await client('other'), await client('lasting')];
    for (const each of clients) await each.query('SELECT 1');
    const told = clients.map(disconnection);
    await run('KILL');
    await Promise.all(told);
    assert.equal((await failure(run('KILL'))).message, 'already suspended/paused');
    await run('RESUME');
    assert.ok(Number(await pidOf(await client())) > 0);
  });
});

describe('KILL_CLIENT', () => {
  for (const column of ['id', 'ptr']) {
    test(`ends one client by its ${column} while it runs something, and nobody else`, async () => {
      const victim = await client('app', `victim ${column}`);
      const bystander = await client();
      const running = failure(victim.query('SELECT pg_sleep(60)'));
      const found = await until(async () =>
        (await run('SHOW CLIENTS')).find(
          (each) => each['application_name'] === `victim ${column}` && each['state'] === 'active',
        ),
      );
      // A cancel that comes before the query has begun is lost on PostgreSQL.
      await until(async () => (await stage().sql(SLEEPERS)).length > 0, {
        what: 'PostgreSQL runs the query',
      });
      await run(`KILL_CLIENT ${String(found[column])}`);
      const error = await running;
      assert.deepEqual([error.code, error.message], ['57P01', 'admin forced disconnect']);
      assert.equal((await bystander.query('SELECT 1')).rows.length, 1);
      await stage().idleServers();
    });
  }

  test('ends another console too', async () => {
    const victim = await stage().login('pgbouncer', { user: 'boss', application_name: 'another' });
    const found = (await run('SHOW CLIENTS')).find(({ application_name: name }) => name === 'another');
    await run(`KILL_CLIENT ${String(found?.['id'])}`);
    assert.deepEqual((await victim.untilClosed()).map(m.told), ['E 57P01 admin forced disconnect']);
  });

  test('says what PgBouncer says when there is no such client', async () => {
    assert.equal((await failure(run('KILL_CLIENT 999999'))).message, 'client not found');
    assert.equal((await failure(run('KILL_CLIENT app'))).message, 'invalid client pointer supplied');
    assert.equal((await failure(run('KILL_CLIENT'))).message, 'invalid client pointer supplied');
  });
});

describe('DISABLE and ENABLE', () => {
  test('keep new clients out and let them in again, and leave those alone that are in', async () => {
    const one = await client();
    await run('DISABLE app');
    assert.equal((await row('DATABASES', 'app'))['disabled'], 1);
    assert.equal((await failure(client())).message, 'database "app" is disabled');
    assert.equal((await one.query('SELECT 1')).rows.length, 1);
    await run('ENABLE app');
    assert.equal((await (await client()).query('SELECT 1')).rows.length, 1);
  });

  test('want a database', async () => {
    for (const command of ['DISABLE', 'ENABLE']) {
      assert.equal((await failure(run(command))).message, 'a database is required');
      assert.equal((await failure(run(`${command} nothing`))).message, 'no such database: nothing');
    }
  });
});

describe('RECONNECT', () => {
  test('gives a client a new server at its next transaction', async () => {
    const one = await client();
    const before = await pidOf(one);
    assert.equal(await pidOf(one), before);
    await run('RECONNECT app');
    assert.notEqual(await pidOf(one), before);
  });

  test('again and again, as fast as it answers, lets clients be served all the same', async () => {
    const console = await raw();
    const clients = await Promise.all([client(), client(), client()]);
    const done = new AbortController();
    const looping = (async () => {
      while (!done.signal.aborted) await console.query('RECONNECT app');
    })();
    const served = clients.map(async (one) => {
      const pids = new Set<unknown>();
      while (pids.size < 3) pids.add(await pidOf(one));
    });
    await Promise.all(served).finally(() => done.abort());
    await looping;
    console.quit();
  });

  test('lets open transactions finish, and WAIT_CLOSE waits for them', async () => {
    const one = await client();
    await one.query('BEGIN');
    const before = await pidOf(one);
    await run('RECONNECT');
    const waited = run('WAIT_CLOSE');
    assert.equal(await pidOf(one), before);
    const server = (await run('SHOW SERVERS')).find((each) => each['remote_pid'] === before);
    assert.equal(server?.['close_needed'], 1);
    assert.ok(await isOpen(waited));
    await one.query('COMMIT');
    await waited;
    assert.ok(!(await stage().servers()).some((pid) => pid === before));
    assert.notEqual(await pidOf(one), before);
    await run('WAIT_CLOSE app');
  });

  test('is not waited for by a console that has been cancelled, whose session goes on', async () => {
    const one = await client();
    await one.query('BEGIN');
    await run('RECONNECT app');
    const console = await stage().login('pgbouncer', { user: 'boss', application_name: 'waits' });
    console.send(m.query('WAIT_CLOSE app; SHOW STATE'));
    await until(async () =>
      (await run('SHOW CLIENTS')).some(
        (each) => each['application_name'] === 'waits' && Number(each['wait_us']) > 0,
      ),
    );
    await cancel({ host: '127.0.0.1', port: stage().daemon.port }, console.key);
    assert.deepEqual((await console.ready()).map(m.told), [
      'E 57014 canceling statement due to user request',
      'Z I',
    ]);
    assert.deepEqual((await console.query('RECONNECT other')).map(m.told), ['C RECONNECT', 'Z I']);
    console.quit();
  });
});

describe('SET', () => {
  test('changes what happens at once', async () => {
    const holders = [await client(), await client()];
    await Promise.all(holders.map((each) => each.query('BEGIN')));
    const late = await client();
    // Not before: a server may take longer to log in.
    await run("SET query_wait_timeout = '100ms'");
    assert.match((await failure(late.query('SELECT 1'))).message, /^query_wait_timeout/);
    assert.equal((await row('CONFIG', 'query_wait_timeout'))['value'], '0.1');
    await run('SET query_wait_timeout TO 20');
  });

  test('refuses what is wrong, with the reason, and changes nothing', async () => {
    const before = await run('SHOW CONFIG');
    const cases = {
      'SET pool_mode = statement': '22023',
      'SET pool_moode = session': '42704',
      'SET listen_port = 1': '22023',
      'SET default_pool_size = -5': '22023',
      'SET default_pool_size': '42601',
      'SET default_pool_size = 1 2': '42601',
      SET: '42601',
    };
    for (const [command, code] of Object.entries(cases)) {
      const error = await failure(run(command));
      assert.equal(error.code, code, command);
      if (code === '42601') continue;
      assert.equal(error.message, 'SET failed');
      assert.ok(error.detail?.includes(command.split(' ')[1] ?? ''), command);
    }
    assert.deepEqual(await run('SHOW CONFIG'), before);
  });
});

describe('RELOAD', () => {
  test('applies the file, and names what needs a restart', async () => {
    const { daemon } = stage();
    const original = await readFile(daemon.configFile, 'utf8');
    await daemon.writeConfig(
      original.replace('[ostler]', '[ostler]\nmax_client_conn = 321\nlisten_backlog = 77'),
    );
    const console = await raw();
    assert.deepEqual((await console.query('RELOAD')).map(m.told), [
      'N 00000 changes that need a restart: listen_backlog',
      'C RELOAD',
      'Z I',
    ]);
    assert.equal((await row('CONFIG', 'max_client_conn'))['value'], '321');
    assert.equal((await row('CONFIG', 'listen_backlog'))['value'], '4096');
    const { changed, needRestart } = await daemon.waitForLog(({ msg }) => msg === 'RELOAD');
    assert.deepEqual([changed, needRestart], [['max_client_conn'], ['listen_backlog']]);
    await daemon.writeConfig(original);
    assert.deepEqual((await console.query('RELOAD')).map(m.told), ['C RELOAD', 'Z I']);
    console.quit();
  });

  test('of a wrong file changes nothing, and says everything that is wrong, with lines', async () => {
    const { daemon } = stage();
    const original = await readFile(daemon.configFile, 'utf8');
    await daemon.writeConfig(
      original.replace('[ostler]', '[ostler]\nmax_client_conn = 322\npool_moode = "x"\nquery_timeout = "no"'),
    );
    const before = await run('SHOW CONFIG');
    const error = await failure(run('RELOAD'));
    await daemon.writeConfig(original);
    assert.deepEqual([error.code, error.message], ['F0000', 'RELOAD failed']);
    const problems = error.detail?.split('\n') ?? [];
    assert.equal(problems.length, 2);
    assert.match(problems[0] ?? '', /ostler\.toml:3.*pool_moode/);
    assert.match(problems[1] ?? '', /ostler\.toml:4.*query_timeout/);
    await daemon.waitForLog(({ msg }) => msg === 'RELOAD failed: nothing was changed');
    assert.deepEqual(await run('SHOW CONFIG'), before);
  });
});
