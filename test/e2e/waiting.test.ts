/** Clients that find no free server: they wait in line, hear that they do, and are told why if it takes too long. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type pg from 'pg';
import { each, leave, refusalOf, useYard, value } from '../support/pooling.ts';
import { until } from '../support/wait.ts';

describe('a client that finds no free server', () => {
  const yard = useYard({
    schema: 'CREATE SEQUENCE turn; GRANT ALL ON turn TO PUBLIC',
    configuration: {
      ostler: { admin_users: ['boss'], query_wait_notify: '100ms' },
      databases: {
        single: { pool_size: 1 },
        impatient: { pool_size: 1, query_wait_timeout: '250ms' },
      },
      users: { app: {}, boss: {} },
    },
  });

  /** Holds the only server of a database in a transaction. */
  async function holder(database: string): Promise<pg.Client> {
    const client = await yard().client({ database }, { application_name: 'the holder' });
    await client.query('BEGIN');
    await value(client, 'SELECT 1');
    return client;
  }

  async function untilWaiting(console: pg.Client, count: number): Promise<void> {
    await until(async () => {
      const { rows } = await console.query<{ database: string; cl_waiting: unknown }>('SHOW POOLS');
      return rows.some(
        ({ database, cl_waiting: waiting }) => database === 'single' && Number(waiting) === count,
      );
    });
  }

  test('is served before all who come after it', async () => {
    const console = await yard().client({ user: 'boss', database: 'pgbouncer' });
    const holding = await holder('single');
    const clients = await each(12, () => yard().client({ database: 'single' }));
    const turns: Promise<unknown>[] = [];
    for (const [n, client] of clients.entries()) {
      turns.push(value(client, "SELECT nextval('turn')::int"));
      await untilWaiting(console, n + 1);
    }
    await holding.query('COMMIT');
    assert.deepEqual(
      await Promise.all(turns),
      clients.map((_, n) => n + 1),
    );
    await Promise.all([console, holding, ...clients].map((client) => leave(client)));
  });

  test('gets a NOTICE after query_wait_notify, once, and then its answer', async () => {
    const holding = await holder('single');
    const client = await yard().client({ database: 'single' });
    const notices: string[] = [];
    const noticed = new Promise<void>((resolve) => {
      client.on('notice', ({ message }) => {
        notices.push(message ?? '');
        resolve();
      });
    });
    const answer = value(client, 'SELECT 42');
    await noticed;
    await holding.query('COMMIT');
    assert.equal(await answer, 42);
    assert.deepEqual(notices, ['No server connection available in postgres backend, client being queued']);
    await Promise.all([holding, client].map((one) => leave(one)));
  });

  test('is told after query_wait_timeout what is full and who holds it', async () => {
    const holding = await holder('impatient');
    const client = await yard().client({ database: 'impatient' });
    const before = performance.now();
    const error = await refusalOf(client.query('SELECT 1'));
    const waited = performance.now() - before;
    assert.ok(waited >= 250 && waited < 2_000, `after ${String(waited)} ms`);
    assert.equal(error.message, 'query_wait_timeout');
    assert.equal(error.severity, 'FATAL');
    assert.equal(error.code, '53300');
    assert.match(
      error.detail ?? '',
      /^pool impatient\/app: 1 active of 1 server connections, pool_size 1; oldest transaction: \d+\.\d s, application_name "the holder"$/,
    );
    const logged = await yard().daemon.waitForLog(({ reason }) => reason === 'query_wait_timeout');
    assert.equal(logged['detail'], error.detail);
    assert.equal(await value(holding, 'SELECT 2'), 2, 'who holds the server notices nothing');
    await leave(holding);
  });

  test('that gives up leaves the line, and the server goes to the next', async () => {
    const holding = await holder('single');
    const [first, second] = await each(2, () => yard().client({ database: 'single' }));
    assert.ok(first !== undefined && second !== undefined);
    const abandoned = assert.rejects(first.query('SELECT pg_sleep(60)'));
    const console = await yard().client({ user: 'boss', database: 'pgbouncer' });
    await untilWaiting(console, 1);
    const answer = value(second, 'SELECT 7');
    await untilWaiting(console, 2);
    await leave(first);
    await abandoned;
    await untilWaiting(console, 1);
    await holding.query('COMMIT');
    assert.equal(await answer, 7);
    await Promise.all([holding, second, console].map((one) => leave(one)));
  });
});
