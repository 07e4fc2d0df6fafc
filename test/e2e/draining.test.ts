/** How the daemon stops: clients are let go one by one, the rest is cut off in time, and the exit status is 0. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import {
  clientsOf,
  type Configuration,
  createRoles,
  farewellTo,
  refusalOf,
  toml,
  value,
} from '../support/pooling.ts';
import { freePort } from '../support/ports.ts';
import { startup, told } from '../support/messages.ts';
import { RawClient } from '../support/raw-client.ts';
import { query, usePostgres } from '../support/postgres.ts';
import { until } from '../support/wait.ts';

describe('a daemon that is told to stop', () => {
  const postgres = usePostgres();
  before(() => createRoles(postgres()));

  const start = (ostler: Configuration['ostler'] = {}): Promise<Daemon> =>
    startDaemon({
      config: toml(postgres(), {
        ostler,
        databases: { postgres: {}, single: { pool_size: 1 }, session: { pool_mode: 'session' } },
      }),
    });

  /** The exit status, which must be there after `time` ms. */
  async function stopsWithin(stopped: Promise<unknown>, time: number): Promise<unknown> {
    const began = performance.now();
    const status = await stopped;
    const taken = performance.now() - began;
    assert.ok(taken < time, `it took ${String(taken)} ms`);
    return status;
  }

  async function untilRuns(sql: string): Promise<void> {
    await until(
      async () => {
        const rows = await query(
          postgres(),
          `SELECT 1 FROM pg_stat_activity WHERE query = $1 AND state = 'active'`,
          [sql],
        );
        return rows.length > 0;
      },
      { what: `PostgreSQL runs ${sql}` },
    );
  }

  test('closes idle clients at once and others after their transaction, whose answers they get', async () => {
    const daemon = await start();
    const { client } = clientsOf(daemon);
    const idle = await client();
    const idleInSession = await client({ database: 'session' });
    await value(idleInSession, 'SELECT 1');
    const busy = await client();
    await busy.query('BEGIN');
    await value(busy, 'SELECT 1');
    const holder = await client({ database: 'single' });
    await holder.query('BEGIN');
    await value(holder, 'SELECT 1');
    const waiter = await client({ database: 'single' });
    const farewells = [idle, idleInSession].map((one) => farewellTo(one));
    const busyFarewell = farewellTo(busy);
    const waited = value(waiter, 'SELECT 7');
    const waiterFarewell = farewellTo(waiter);
    const holderFarewell = farewellTo(holder);

    const stopped = daemon.stop('SIGTERM');
    for (const farewell of await Promise.all(farewells)) {
      assert.equal(farewell.code, '57P01');
      assert.equal(farewell.severity, 'FATAL');
      assert.equal(farewell.message, 'terminating connection due to administrator command');
    }
    await assert.rejects(client(), { code: 'ECONNREFUSED' });
    await busy.query('ROLLBACK');
    assert.equal((await busyFarewell).code, '57P01');
    await holder.query('COMMIT');
    assert.equal((await holderFarewell).code, '57P01');
    assert.equal(await waited, 7, 'who was in line is served');
    assert.equal((await waiterFarewell).code, '57P01');
    assert.equal(await stopsWithin(stopped, 2_000), 0);
  });

  test('is not held up by who is still logging in, or never says a word, or does not hang up', async () => {
    const daemon = await start({ shutdown_timeout: '4s' });
    const place = { host: '127.0.0.1', port: daemon.port };
    const silent = await RawClient.open(place);
    const dawdling = await RawClient.open(place);
    dawdling.send(startup({ user: 'app', database: 'postgres' }));
    await dawdling.upTo('R');
    const deaf = await RawClient.login(clientsOf(daemon).through());
    deaf.pause();
    const stopped = daemon.stop('SIGTERM');
    for (const client of [silent, dawdling]) {
      assert.deepEqual((await client.untilClosed()).map(told), ['E 57P03 pooler is shutting down']);
    }
    assert.equal(await stopsWithin(stopped, 3_000), 0);
    deaf.resume();
    await deaf.untilClosed();
  });

  test('lets a query finish, and gives its client the answer before the farewell', async () => {
    const daemon = await start();
    const client = await clientsOf(daemon).client();
    const farewell = farewellTo(client);
    const answer = value(client, 'SELECT 5 FROM pg_sleep(0.3)');
    await untilRuns('SELECT 5 FROM pg_sleep(0.3)');
    const stopped = daemon.stop('SIGTERM');
    assert.equal(await answer, 5);
    assert.equal((await farewell).code, '57P01');
    assert.equal(await stopsWithin(stopped, 2_000), 0);
  });

  test('cuts off who is left at the end of shutdown_timeout, and cancels what they run', async () => {
    const daemon = await start({ shutdown_timeout: '1s' });
    const { client } = clientsOf(daemon);
    const running = await client();
    const dawdling = await client();
    await dawdling.query('BEGIN');
    const cut = refusalOf(running.query('SELECT pg_sleep(60)'));
    const farewell = farewellTo(dawdling);
    await untilRuns('SELECT pg_sleep(60)');
    assert.equal(await stopsWithin(daemon.stop('SIGTERM'), 1_500), 0);
    assert.equal((await cut).code, '57P01');
    assert.equal((await farewell).code, '57P01');
    await until(async () => {
      const rows = await query(
        postgres(),
        `SELECT 1 FROM pg_stat_activity WHERE usename = 'app' AND backend_type = 'client backend'`,
      );
      return rows.length === 0;
    });
  });

  test('answers /ready with 503 from the first moment, and still takes clients for shutdown_delay', async () => {
    const httpPort = await freePort();
    const daemon = await start({ http_port: httpPort, shutdown_delay: '500ms', shutdown_timeout: '5s' });
    const ready = async (): Promise<number> =>
      (await fetch(`http://127.0.0.1:${String(httpPort)}/ready`)).status;
    assert.equal(await ready(), 200);
    const stopped = daemon.stop('SIGTERM');
    await until(async () => (await ready()) === 503);
    const late = await clientsOf(daemon).client();
    assert.equal(await value(late, 'SELECT 1'), 1);
    assert.equal((await farewellTo(late)).code, '57P01');
    assert.equal(await stopsWithin(stopped, 2_000), 0);
  });

  test('does the same for SIGINT, without the delay', async () => {
    const daemon = await start({ shutdown_delay: '20s' });
    const farewell = farewellTo(await clientsOf(daemon).client());
    assert.equal(await stopsWithin(daemon.stop('SIGINT'), 2_000), 0);
    assert.equal((await farewell).code, '57P01');
  });

  for (const second of ['SIGTERM', 'SIGINT'] as const) {
    test(`exits at once at a second signal (${second}), whoever is still busy`, async () => {
      const daemon = await start();
      const client = await clientsOf(daemon).client();
      await client.query('BEGIN');
      const ended = new Promise((resolve) => client.once('end', resolve));
      const stopped = daemon.stop('SIGTERM');
      await assert.doesNotReject(
        until(
          async () =>
            (await clientsOf(daemon)
              .client()
              .catch(() => 'refused')) === 'refused',
        ),
      );
      daemon.child.kill(second);
      await stopsWithin(stopped, 1_000);
      await ended;
    });
  }

  test('exits at once at SIGQUIT', async () => {
    const daemon = await start();
    const client = await clientsOf(daemon).client();
    await client.query('BEGIN');
    const ended = new Promise((resolve) => client.once('end', resolve));
    await stopsWithin(daemon.stop('SIGQUIT'), 1_000);
    await ended;
    assert.ok(
      daemon.log.some(({ signal }) => signal === 'SIGQUIT'),
      'it says why',
    );
  });
});
