/** How many connections there may be: to servers by PostgreSQL's own count, and of clients by what they are told. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type pg from 'pg';
import {
  backendPid,
  each,
  leave,
  peakOf,
  refusalOf,
  untilServers,
  useYard,
  value,
  type Yard,
} from '../support/pooling.ts';
import { startup, told } from '../support/messages.ts';
import type { Target } from '../support/postgres.ts';
import { RawClient } from '../support/raw-client.ts';
import { until } from '../support/wait.ts';

/** Where a limit is N, PostgreSQL's own CONNECTION LIMIT is N as well: it refuses what is too much for only a moment. */
const refusalsByPostgres = ({ daemon }: Yard, since: number): unknown[] =>
  daemon.log.slice(since).filter(({ msg }) => /too many connections/.test(String(msg)));

/** So many clients each ask so many things, one transaction after another, and get their own answers. */
async function load(
  yard: Yard,
  { clients, rounds, who }: { clients: number; rounds: number; who: (n: number) => Partial<Target> },
): Promise<void> {
  await each(clients, async (n) => {
    const asking = await yard.client(who(n));
    for (let round = 0; round < rounds; round += 1) {
      const question = n * 100 + round;
      assert.equal(await value(asking, `SELECT ${String(question)} FROM pg_sleep(0.003)`), question);
    }
    await leave(asking);
  });
}

describe('server connections', () => {
  const yard = useYard({
    roles: {
      app: '',
      sized: 'CONNECTION LIMIT 3',
      brief: 'CONNECTION LIMIT 3',
      spread: 'CONNECTION LIMIT 4',
      reserved: 'CONNECTION LIMIT 3',
      first: '',
      second: '',
      third: '',
      keeper: '',
      shrinking: '',
    },
    schema: 'CREATE DATABASE shared CONNECTION LIMIT 4',
    configuration: {
      ostler: {
        admin_users: ['boss'],
        default_pool_size: 10,
        reserve_pool_timeout: '150ms',
        server_login_retry: '50ms',
        query_wait_notify: 0,
      },
      databases: {
        small: { pool_size: 3 },
        fleeting: { pool_size: 3, server_lifetime: 0 },
        shared: { dbname: 'shared', max_db_connections: 4 },
        north: {},
        south: {},
        west: {},
        reserve: { pool_size: 2, reserve_pool_size: 1 },
        kept: { user: 'keeper', min_pool_size: 2 },
        warm: { min_pool_size: 2 },
      },
      users: {
        app: {},
        boss: {},
        sized: {},
        brief: {},
        spread: { max_user_connections: 4 },
        reserved: {},
        first: {},
        second: {},
        third: {},
        keeper: {},
      },
    },
  });

  async function neverMore(limit: number, condition: string, work: () => Promise<unknown>): Promise<void> {
    const since = yard().daemon.log.length;
    const peak = await peakOf(yard(), work, condition);
    assert.equal(peak, limit, 'the limit was reached and not passed');
    assert.deepEqual(refusalsByPostgres(yard(), since), []);
  }

  test('are never more than pool_size, while RECONNECT replaces them again and again', async () => {
    const console = await yard().client({ user: 'boss', database: 'pgbouncer' });
    await neverMore(3, "usename = 'sized'", async () => {
      const work = load(yard(), {
        clients: 30,
        rounds: 10,
        who: () => ({ user: 'sized', database: 'small' }),
      });
      for (let round = 0; round < 10; round += 1) {
        await console.query('RECONNECT small');
        await console.query('WAIT_CLOSE small');
      }
      await work;
    });
    await leave(console);
  });

  test('are never more than pool_size, while each is closed after its first use', async () => {
    await neverMore(3, "usename = 'brief'", () =>
      load(yard(), { clients: 20, rounds: 8, who: () => ({ user: 'brief', database: 'fleeting' }) }),
    );
  });

  test('are never more than max_db_connections, whichever of its users they are for', async () => {
    const users = ['first', 'second', 'third'];
    await neverMore(4, "datname = 'shared'", () =>
      load(yard(), {
        clients: 30,
        rounds: 8,
        who: (n) => ({ user: users[n % users.length] ?? '', database: 'shared' }),
      }),
    );
  });

  test('are never more than max_user_connections, whichever database they are for', async () => {
    const databases = ['north', 'south', 'west'];
    await neverMore(4, "usename = 'spread'", () =>
      load(yard(), {
        clients: 30,
        rounds: 8,
        who: (n) => ({ user: 'spread', database: databases[n % databases.length] ?? '' }),
      }),
    );
  });

  test('go to a user whose clients wait, though those of another keep all that max_db_connections allows busy', async () => {
    const greedy = await each(8, () => yard().client({ user: 'first', database: 'shared' }));
    const served = new AbortController();
    const grabbing = greedy.map(async (client) => {
      while (!served.signal.aborted) await client.query('SELECT pg_sleep(0.02)');
    });
    await untilServers(yard(), 4, "datname = 'shared' AND usename = 'first'");
    const modest = await yard().client({ user: 'second', database: 'shared' });
    assert.equal(await value(modest, 'SELECT session_user::text'), 'second');
    served.abort();
    await Promise.all(grabbing);
    await Promise.all([modest, ...greedy].map((client) => leave(client)));
  });

  test('come from the reserve only for a client that has waited reserve_pool_timeout, and are given back', async () => {
    const who = { user: 'reserved', database: 'reserve' };
    const holders = await each(2, async () => {
      const client = await yard().client(who);
      await client.query('BEGIN');
      await backendPid(client);
      return client;
    });
    const third = await yard().client(who);
    const before = performance.now();
    await value(third, 'SELECT 1');
    assert.ok(performance.now() - before >= 150, 'it had to wait');
    await untilServers(yard(), 3, "usename = 'reserved'");
    await Promise.all(holders.map((client) => client.query('COMMIT')));
    await untilServers(yard(), 2, "usename = 'reserved'");
    await Promise.all([third, ...holders].map((client) => leave(client)));
  });

  test('are kept open up to min_pool_size without any client where the entry names a user', async () => {
    await untilServers(yard(), 2, "usename = 'keeper'");
    await yard().sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keeper'");
    await untilServers(yard(), 2, "usename = 'keeper'");
  });

  test('are kept open up to min_pool_size where a client is', async () => {
    await untilServers(yard(), 0, "usename = 'first' AND datname = 'postgres'");
    const client = await yard().client({ user: 'first', database: 'warm' });
    await untilServers(yard(), 2, "usename = 'first' AND datname = 'postgres'");
    await leave(client);
  });

  test('are opened several at a time', async () => {
    const who = { user: 'second', database: 'north' };
    const waiting = await each(5, () => yard().client(who));
    const pids = await Promise.all(
      waiting.map((client) => value(client, 'SELECT pg_backend_pid() FROM pg_sleep(0.2)')),
    );
    assert.equal(new Set(pids).size, 5, 'nobody had to wait for another one’s query');
    await Promise.all(waiting.map((client) => leave(client)));
  });
});

describe('clients', () => {
  const yard = useYard({
    roles: { app: '', other: '', picky: '' },
    configuration: {
      ostler: { max_client_conn: 8 },
      databases: { postgres: {}, few: { max_db_client_connections: 2 } },
      users: { app: {}, other: {}, picky: { max_user_client_connections: 1 } },
    },
  });

  async function refusedWhile(
    admitted: Partial<Target>[],
    refused: Partial<Target>,
  ): Promise<{ error: pg.DatabaseError; clients: pg.Client[] }> {
    const clients = await Promise.all(admitted.map((who) => yard().client(who)));
    return { error: await refusalOf(yard().client(refused)), clients };
  }

  async function welcomeAgain(clients: pg.Client[], who: Partial<Target>): Promise<void> {
    const [first, ...others] = clients;
    assert.ok(first !== undefined);
    await leave(first);
    // Whether the place is free yet: the pooler learns of it after we have left.
    const next = await until(() =>
      yard()
        .client(who)
        .catch(() => undefined),
    );
    assert.equal(await value(next, 'SELECT 1'), 1);
    await Promise.all([next, ...others].map((client) => leave(client)));
  }

  test('beyond max_client_conn are told so, and come in once there is room', async () => {
    const { error, clients } = await refusedWhile(
      Array.from({ length: 8 }, () => ({})),
      {},
    );
    assert.equal(error.code, '53300');
    assert.equal(error.severity, 'FATAL');
    assert.equal(error.message, 'no more connections allowed (max_client_conn)');
    assert.match(error.detail ?? '', /8/);
    assert.equal(await value(clients[0] ?? assert.fail(), 'SELECT 1'), 1, 'those who are in stay in');
    await welcomeAgain(clients, {});
  });

  test('that come all at once fill max_client_conn, and each of the others is told why it gets nothing', async () => {
    const clients = await each(700, () => RawClient.open({ host: '127.0.0.1', port: yard().daemon.port }));
    for (const client of clients) client.send(startup({ user: 'app', database: 'postgres' }));
    const answers = await Promise.all(
      clients.map(async (client) => {
        const reply = await client.next();
        return reply.type === 'R' ? 'welcome' : told(reply);
      }),
    );
    const refused = answers.filter((answer) => answer !== 'welcome');
    assert.deepEqual(new Set(refused), new Set(['E 53300 no more connections allowed (max_client_conn)']));
    assert.equal(answers.length - refused.length, 8);
    for (const client of clients) client.reset();
    await leave(
      await until(() =>
        yard()
          .client()
          .catch(() => undefined),
      ),
    );
  });

  test('beyond max_db_client_connections are told so, whoever they are', async () => {
    const { error, clients } = await refusedWhile([{ database: 'few' }, { database: 'few', user: 'other' }], {
      database: 'few',
    });
    assert.equal(error.code, '53300');
    assert.match(error.message, /max_db_client_connections/);
    const elsewhere = await yard().client();
    await leave(elsewhere);
    await welcomeAgain(clients, { database: 'few' });
  });

  test('beyond max_user_client_connections are told so, whatever their database', async () => {
    const { error, clients } = await refusedWhile([{ user: 'picky' }], { user: 'picky', database: 'few' });
    assert.equal(error.code, '53300');
    assert.match(error.message, /max_user_client_connections/);
    await leave(await yard().client({ user: 'other' }));
    await welcomeAgain(clients, { user: 'picky' });
  });
});
