/** Clients and servers that take too long: each timeout hits whom it is for, and nobody else. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import {
  clientsOf,
  endsWell,
  farewellTo,
  leave,
  refusalOf,
  toml,
  untilServers,
  useYard,
  value,
} from '../support/pooling.ts';
import { RawClient } from '../support/raw-client.ts';
import { query, told } from '../support/messages.ts';
import { openGate, type TcpGate } from '../support/tcp-gate.ts';
import { until } from '../support/wait.ts';

describe('a client', () => {
  const yard = useYard({
    roles: { app: '', query: '', transaction: '', dawdler: '', idler: '', deaf: '' },
    schema: 'CREATE TABLE stall (id int PRIMARY KEY); GRANT ALL ON stall TO PUBLIC',
    configuration: {
      ostler: { client_login_timeout: '400ms', tcp_user_timeout: '400ms', admin_users: ['deaf'] },
      databases: { postgres: {}, session: { pool_mode: 'session' } },
      users: {
        app: {},
        query: { query_timeout: '250ms' },
        transaction: { transaction_timeout: '250ms' },
        dawdler: { idle_transaction_timeout: '250ms' },
        idler: { client_idle_timeout: '250ms' },
        deaf: {},
      },
    },
  });

  const untilNothingRuns = (user: string): Promise<void> =>
    untilServers(yard(), 0, `usename = '${user}' AND state <> 'idle'`);

  test('whose query takes longer than query_timeout is told so, and the query is cancelled', async () => {
    const client = await yard().client({ user: 'query' });
    assert.equal(await value(client, 'SELECT 1 FROM pg_sleep(0.05)'), 1, 'a short query is no matter');
    const error = await refusalOf(client.query('SELECT pg_sleep(30)'));
    assert.equal(error.message, 'query timeout');
    assert.equal(error.code, '57014');
    assert.equal(error.severity, 'FATAL');
    await untilNothingRuns('query');
  });

  test('may do many short queries, for longer than query_timeout together', async () => {
    const client = await yard().client({ user: 'query' });
    await client.query('BEGIN');
    for (let round = 0; round < 5; round += 1) await client.query('SELECT pg_sleep(0.08)');
    await client.query('COMMIT');
    await leave(client);
  });

  test('whose transaction takes longer than transaction_timeout is told so, even while it is busy', async () => {
    const client = await yard().client({ user: 'transaction' });
    await client.query('BEGIN');
    await client.query('INSERT INTO stall VALUES (1)');
    const busy = async (): Promise<never> => {
      for (;;) await client.query('SELECT pg_sleep(0.02)');
    };
    // It may be told between two queries, too.
    const error = await Promise.any([farewellTo(client), refusalOf(busy())]);
    assert.equal(error.message, 'transaction timeout');
    assert.equal(error.code, '25P04');
    await untilNothingRuns('transaction');
    assert.deepEqual(await yard().sql('SELECT * FROM stall'), [], 'what it did is undone');
  });

  test('that does nothing inside a transaction for idle_transaction_timeout is told so, and blocks nobody any more', async () => {
    const client = await yard().client({ user: 'dawdler' });
    await client.query('BEGIN');
    await client.query('INSERT INTO stall VALUES (2)');
    const farewell = farewellTo(client);
    // Waits for the lock that the other one holds, which is longer than the timeout, but not idle.
    const other = await yard().client({ user: 'dawdler' });
    await other.query('INSERT INTO stall VALUES (2)');
    const error = await farewell;
    assert.equal(error.message, 'idle transaction timeout');
    assert.equal(error.code, '25P03');
    await leave(other);
  });

  for (const database of ['postgres', 'session']) {
    test(`that does nothing outside a transaction for client_idle_timeout is told so (${database})`, async () => {
      const client = await yard().client({ user: 'idler', database });
      await client.query('BEGIN');
      await client.query('SELECT pg_sleep(0.4)');
      const farewell = farewellTo(client);
      await client.query('COMMIT');
      const error = await farewell;
      assert.equal(error.message, 'client_idle_timeout');
      assert.equal(error.code, '57P05');
    });
  }

  test('without timeouts stays as long as it likes', async () => {
    const client = await yard().client();
    await client.query('BEGIN');
    await client.query('SELECT pg_sleep(0.6)');
    await client.query('COMMIT');
    await leave(client);
  });

  test('that has not logged in within client_login_timeout is told so', async () => {
    for (const beginning of [Buffer.alloc(0), Buffer.from([0, 0, 0, 40, 0, 3])]) {
      const client = await RawClient.open({ host: '127.0.0.1', port: yard().daemon.port });
      const opened = performance.now();
      client.send(beginning);
      assert.deepEqual((await client.untilClosed()).map(told), ['E 28000 client_login_timeout']);
      const taken = performance.now() - opened;
      assert.ok(taken > 350 && taken < 3_000, `after ${String(taken)} ms`);
    }
  });

  test('that takes nothing of what is queued for it for tcp_user_timeout is cut off', async () => {
    const client = await RawClient.login(yard().through({ user: 'deaf' }));
    client.pause();
    client.send(query("SELECT repeat('x', 1000000) FROM generate_series(1, 100)"));
    await untilServers(yard(), 1, "usename = 'deaf' AND state = 'active'");
    await untilNothingRuns('deaf');
    client.resume();
    await until(() => client.closed);
  });

  test('on the console that takes nothing of its answers is cut off too', async () => {
    const place = { user: 'deaf', database: 'pgbouncer' };
    const client = await RawClient.login(yard().through(place), { application_name: 'deaf' });
    client.pause();
    // More than both kernels keep.
    for (let count = 0; count < 3_000; count += 1) client.send(query('SHOW CONFIG'));
    const watcher = await yard().client(place);
    await until(async () => {
      const { rows } = await watcher.query<{ application_name: string }>('SHOW CLIENTS');
      return rows.every(({ application_name }) => application_name !== 'deaf');
    });
    await leave(watcher);
  });
});

describe('a server', () => {
  const yard = useYard({ configuration: {} });
  let gate: TcpGate;
  let daemon: Daemon;
  before(async () => {
    gate = await openGate(yard().postgres.port);
    daemon = await startDaemon({
      config: toml(
        { host: '127.0.0.1', port: gate.port },
        {
          ostler: {
            server_connect_timeout: '400ms',
            server_check_delay: 0,
            server_idle_timeout: '300ms',
            server_tls_sslmode: 'disable',
          },
          databases: { postgres: {}, other: {} },
        },
      ),
    });
  });
  after(async () => {
    await endsWell(daemon);
    gate.close();
  });

  test('that accepts and then says nothing is given up after server_connect_timeout', async () => {
    gate.swallow(true);
    const asked = performance.now();
    const error = await refusalOf(clientsOf(daemon).client({ database: 'other' }));
    gate.swallow(false);
    assert.equal(error.code, '08006');
    assert.equal(error.message, 'connect timeout');
    assert.match(error.detail ?? '', /did not finish the login within server_connect_timeout \(0\.4 s\)/);
    const waited = performance.now() - asked;
    assert.ok(waited >= 350 && waited < 3_000, `after ${String(waited)} ms`);
  });

  test('that died without a word while idle is found out by server_check_query and replaced', async () => {
    const client = await clientsOf(daemon).client();
    const pid = await value(client, 'SELECT pg_backend_pid()');
    gate.freeze();
    assert.notEqual(await value(client, 'SELECT pg_backend_pid()'), pid);
    await leave(client);
  });

  test('that is idle for server_idle_timeout is closed', async () => {
    // The dead one of the test before lives on behind the gate.
    gate.cut();
    const client = await clientsOf(daemon).client();
    await value(client, 'SELECT 1');
    await leave(client);
    await untilServers(yard(), 0, "usename = 'app'");
  });
});
