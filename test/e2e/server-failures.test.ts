/** Servers that are down, die or refuse: who is told what, who notices nothing, and when it works again. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import {
  backendPid,
  clientsOf,
  each,
  endsWell,
  leave,
  refusalOf,
  toml,
  untilServers,
  useYard,
  value,
} from '../support/pooling.ts';
import type { Target } from '../support/postgres.ts';
import { openGate, type TcpGate } from '../support/tcp-gate.ts';
import { until } from '../support/wait.ts';

describe('when a server', () => {
  const yard = useYard({
    roles: { app: '', other: '', wrong: '' },
    schema: 'CREATE TABLE stall (id int); GRANT ALL ON stall TO PUBLIC',
    configuration: {
      ostler: { server_login_retry: '200ms', query_wait_timeout: '20s' },
      databases: {
        postgres: { pool_size: 4 },
        other: {},
        missing: { dbname: 'no_such_database' },
        forced: { user: 'wrong', password: 'not this one' },
        forbidden: { user: 'nobody_at_all', password: 'whatever' },
      },
      users: { app: {}, other: {}, wrong: {} },
    },
  });

  const kill = (pid: unknown): Promise<unknown> => yard().sql('SELECT pg_terminate_backend($1)', [pid]);

  test('is killed during a query, its client gets the server’s own message, and others go on', async () => {
    const client = await yard().client();
    const other = await yard().client();
    await client.query('BEGIN');
    await client.query('INSERT INTO stall VALUES (1)');
    const pid = await backendPid(client);
    const failed = refusalOf(client.query('SELECT pg_sleep(60)'));
    await untilServers(yard(), 1, "query LIKE '%pg_sleep(60)%' AND state = 'active' AND usename = 'app'");
    await kill(pid);
    const error = await failed;
    assert.equal(error.code, '57P01');
    assert.equal(error.message, 'terminating connection due to administrator command');
    assert.equal(await value(other, 'SELECT count(*)::int FROM stall'), 0);
    await leave(other);
  });

  test('is killed between the queries of a transaction, its client hears of it, and the transaction is undone', async () => {
    const client = await yard().client();
    await client.query('BEGIN');
    await client.query('INSERT INTO stall VALUES (2)');
    const heard = new Promise<Error>((resolve) => {
      client.once('error', resolve);
    });
    await kill(await backendPid(client));
    await heard;
    assert.deepEqual(await yard().sql('SELECT * FROM stall'), []);
  });

  test('is killed while idle, nobody notices', async () => {
    const client = await yard().client();
    const pid = await backendPid(client);
    await kill(pid);
    await untilServers(yard(), 0, `pid = ${String(pid)}`);
    const [again, anew] = await Promise.all([
      backendPid(client),
      yard()
        .client()
        .then(async (fresh) => {
          const seen = await backendPid(fresh);
          await leave(fresh);
          return seen;
        }),
    ]);
    assert.notEqual(again, pid);
    assert.notEqual(anew, pid);
    await leave(client);
  });

  test('refuses the login, clients get its own error', async () => {
    const noDatabase = await refusalOf(yard().client({ database: 'missing' }));
    assert.equal(noDatabase.code, '3D000');
    assert.equal(noDatabase.message, 'database "no_such_database" does not exist');
    for (const [database, user] of [
      ['forced', 'wrong'],
      ['forbidden', 'nobody_at_all'],
    ] as const) {
      const refused = await refusalOf(yard().client({ database }));
      assert.equal(refused.code, '28P01');
      assert.equal(refused.message, `password authentication failed for user "${user}"`);
    }
  });

  test('has no room for the moment, clients wait for it', async () => {
    await yard().sql('ALTER ROLE other CONNECTION LIMIT 1');
    const who = { user: 'other', database: 'other' };
    const clients = await each(4, () => yard().client(who));
    const answers = await Promise.all(
      clients.map((client, n) => value(client, `SELECT ${String(n)} FROM pg_sleep(0.05)`)),
    );
    assert.deepEqual(answers, [0, 1, 2, 3]);
    await Promise.all(clients.map((client) => leave(client)));
  });

  test('is shut down, whoever asks is told at once, and is served again when it is back', async () => {
    const who = { user: 'app' };
    const idle = await yard().client(who);
    const busy = await yard().client(who);
    await value(idle, 'SELECT 1');
    const cut = assert.rejects(
      busy.query('SELECT pg_sleep(60)'),
      /terminating connection|server conn crashed/,
    );
    await untilServers(yard(), 1, "state = 'active' AND usename = 'app'");
    await yard().postgres.halt();
    await cut;

    const asked = performance.now();
    const told = await refusalOf(idle.query('SELECT 1'));
    assert.equal(told.code, '08006');
    assert.equal(told.message, `connection to 127.0.0.1:${String(yard().postgres.port)} refused`);
    // Its greeting is known, so a client may come in; it is told when it asks for something.
    const late = await refusalOf(
      yard()
        .client(who)
        .then((client) => client.query('SELECT 1')),
    );
    assert.equal(late.code, '08006');
    assert.match(late.detail ?? late.message, /refused/);
    // Nothing is known of this pool yet: no greeting, so the server's error comes at login.
    const stranger = await refusalOf(yard().client({ user: 'other', database: 'postgres' }));
    assert.equal(stranger.code, '08006');
    assert.ok(performance.now() - asked < 2_000, 'nobody waits for a server that is known to be down');

    await yard().postgres.resume();
    const back = await until(async () => {
      const client = await yard().client(who);
      return (await value(client, 'SELECT 1').catch(() => undefined)) === 1 && client;
    });
    await leave(back);
  });
});

describe('when a server is restarted under load', () => {
  const yard = useYard({
    configuration: {
      ostler: { admin_users: ['boss'], server_login_retry: '50ms' },
      databases: { postgres: { pool_size: 5 } },
      users: { app: {}, boss: {} },
    },
  });
  const plausible: ReadonlySet<unknown> = new Set(['57P01', '57P02', '57P03', '08006']);

  test('every error says why, every answer is right, and afterwards nothing is left of it', async () => {
    const { postgres } = yard();
    const client = (who?: Partial<Target>): Promise<pg.Client> => yard().client(who);
    const restarted = new AbortController();
    const failures: unknown[] = [];
    const load = each(30, async (n) => {
      for (let round = 0; !restarted.signal.aborted; round += 1) {
        try {
          const asking = await client();
          for (let question = 0; question < 50; question += 1) {
            const number = n * 1_000_000 + round * 1_000 + question;
            assert.equal(await value(asking, `SELECT ${String(number)} FROM pg_sleep(0.001)`), number);
          }
          await leave(asking);
        } catch (error) {
          if (!(error instanceof pg.DatabaseError)) throw error;
          failures.push(error.code);
        }
      }
    });
    for (let restart = 0; restart < 3; restart += 1) {
      await until(async () => (await value(await client(), 'SELECT 1').catch(() => 0)) === 1);
      await postgres.halt();
      await postgres.resume();
    }
    restarted.abort();
    await load;
    assert.ok(failures.length > 0);
    assert.deepEqual(
      failures.filter((code) => !plausible.has(code)),
      [],
    );
    const admin = await client({ user: 'boss', database: 'pgbouncer' });
    await until(async () => {
      const { rows } = await admin.query<Record<string, unknown>>('SHOW POOLS');
      const pool = rows.find(({ database }) => database === 'postgres');
      return ['cl_waiting', 'sv_active', 'sv_login', 'sv_tested'].every(
        (count) => Number(pool?.[count]) === 0,
      );
    });
    const clients = await each(10, () => client());
    assert.deepEqual(
      await Promise.all(clients.map((one, n) => value(one, `SELECT ${String(n)}`))),
      clients.map((_, n) => n),
    );
    await Promise.all([admin, ...clients].map((one) => leave(one)));
  });
});

describe('when the connection to a server', () => {
  const yard = useYard({ configuration: {} });
  let gate: TcpGate;
  let daemon: Daemon;
  let client: pg.Client;
  before(async () => {
    gate = await openGate(yard().postgres.port);
    const server = { host: '127.0.0.1', port: gate.port };
    daemon = await startDaemon({
      config: toml(server, {
        ostler: { server_tls_sslmode: 'disable' },
        databases: { postgres: {}, quiet: {} },
      }),
    });
    client = await clientsOf(daemon).client();
  });
  after(async () => {
    await endsWell(daemon);
    gate.close();
  });

  test('is lost during a query, its client is told 08006', async () => {
    const failed = refusalOf(client.query('SELECT pg_sleep(60)'));
    await untilServers(yard(), 1, "query LIKE '%pg_sleep(60)%' AND state = 'active' AND usename = 'app'");
    gate.cut();
    const error = await failed;
    assert.equal(error.code, '08006');
    assert.equal(error.severity, 'FATAL');
    assert.equal(error.message, 'server conn crashed?');
  });

  test('ends right behind an answer, its client gets the answer and goes on', async () => {
    client = await clientsOf(daemon).client();
    const pid = await backendPid(client);
    gate.hold();
    const answer = value(client, 'SELECT 7');
    await untilServers(yard(), 1, "query = 'SELECT 7' AND state = 'idle'");
    await yard().sql('SELECT pg_terminate_backend($1)', [pid]);
    assert.equal(await answer, 7);
    assert.notEqual(await backendPid(client), pid);
    await leave(client);
  });

  test('is lost while idle, the next query runs on another', async () => {
    client = await clientsOf(daemon).client({ database: 'quiet' });
    const pid = await backendPid(client);
    gate.cut();
    // A query sent before the pooler has noticed is lost with the server, as it would be on a direct connection.
    await daemon.waitForLog(
      ({ database, msg }) =>
        database === 'quiet' && /^server (?:closed the connection|connection lost)/.test(String(msg)),
    );
    assert.notEqual(await backendPid(client), pid);
    await leave(client);
  });
});
