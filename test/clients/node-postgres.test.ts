/** node-postgres with its pool: what a checked out client has set, locked or declared is there until it is taken back. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import pg from 'pg';
import { useArena } from '../support/arena.ts';
import { chosenPooler } from '../support/poolers/chosen.ts';
import { until } from '../support/wait.ts';
import { each, where } from './support/in-process.ts';
import { TAKING_TURNS } from './support/scenarios.ts';
import { SESSION_TABLES, TENANTS } from './support/sessions.ts';

const CLIENTS = 9;
/** Of the servers two may be taken for good; with the third go those that talk to them. */
const LISTENERS = 2;
const ZONES = ['Asia/Tokyo', 'America/Denver', 'UTC'];
const HOURS = ['2026-07-01 21:00:00+09', '2026-07-01 06:00:00-06', '2026-07-01 12:00:00+00'];

const pooler = await chosenPooler();
const skip = pooler.sessionState ? false : `${pooler.name} does not keep the state of a session`;

const SETTINGS = `
  SELECT (SELECT tenant FROM who), current_setting('app.tenant') AS name, current_setting('work_mem') AS memory,
    current_setting('statement_timeout') AS timeout, '2026-07-01 12:00+00'::timestamptz::text AS hour`;

async function rowOf(client: pg.PoolClient, text: string, values?: unknown[]): Promise<unknown> {
  const { rows } = await client.query<Record<string, unknown>>(text, values);
  assert.equal(rows.length, 1);
  return rows[0];
}

describe(`A session of node-postgres through ${pooler.name}`, { skip }, () => {
  const arena = useArena({ ...TAKING_TURNS, pooler, setup: SESSION_TABLES });
  let pool: pg.Pool;
  before(() => {
    pool = new pg.Pool({ ...where(arena()), max: CLIENTS });
    arena().beforeItEnds(() => pool.end());
  });

  /** Each in a session of its own, at the same time; ended and not pooled, since it leaves something behind. */
  const sessions = (work: (client: pg.PoolClient, n: number) => Promise<void>): Promise<number> =>
    arena().watching(() =>
      each(CLIENTS, async (n) => {
        const client = await pool.connect();
        try {
          await work(client, n);
        } finally {
          client.release(true);
        }
      }),
    );

  test('keeps what each of its clients has set', async () => {
    await sessions(async (client, n) => {
      const tenant = n % TENANTS;
      await client.query(
        `SET search_path TO tenant_${String(tenant)}; SET app.tenant TO 'tenant ${String(n)}'`,
      );
      await client.query(`SET work_mem TO '${String(n + 1)}MB'`);
      await client.query(`SELECT set_config('statement_timeout', $1, false)`, [`${String(60 + n)}s`]);
      await client.query(`SET TIME ZONE '${ZONES[n % 3] ?? ''}'`);
      const wanted = {
        tenant,
        memory: `${String(n + 1)}MB`,
        timeout: n === 0 ? '1min' : `${String(60 + n)}s`,
        hour: HOURS[n % 3],
      };
      const servers = new Set<unknown>();
      for (let round = 0; round < 12; round += 1) {
        const name = `tenant ${String(n)}${round === 0 ? '' : `.${String(round - 1)}`}`;
        assert.deepEqual(await rowOf(client, SETTINGS), { name, ...wanted });
        await client.query('BEGIN');
        await client.query(`SET app.tenant TO 'tenant ${String(n)}.${String(round)}'`);
        await client.query(`SET LOCAL work_mem TO '99MB'`);
        servers.add((await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid);
        await client.query('COMMIT');
        await client.query(`BEGIN; SET search_path TO public; SET app.tenant TO 'lost'; ROLLBACK`);
      }
      if (pooler.limitsServers) assert.ok(servers.size > 1, 'several servers took turns');
      await client.query('RESET ALL');
      assert.deepEqual(
        await rowOf(client, `SELECT current_schema(), current_setting('work_mem') AS memory`),
        {
          current_schema: 'public',
          memory: '4MB',
        },
      );
    });
  });

  test('prepares one text for many tenants and time zones', async () => {
    await sessions(async (client, n) => {
      for (let round = 0; round < 20; round += 1) {
        const tenant = (n + Math.floor(round / 4)) % TENANTS;
        if (round % 4 === 0) await client.query(`SET search_path TO tenant_${String(tenant)}`);
        const who = { name: 'who', text: 'SELECT tenant, $1::int AS round FROM who', values: [round] };
        assert.deepEqual((await client.query(who)).rows, [{ tenant, round }]);
        // The time zone goes into the constant when the statement is prepared.
        if (round === 0) await client.query(`SET TIME ZONE '${ZONES[n % 3] ?? ''}'`);
        const noon = {
          name: 'noon',
          text: `SELECT '2026-07-01 12:00'::timestamptz AT TIME ZONE 'UTC' AS noon`,
        };
        const { rows } = await client.query<{ noon: Date }>(noon);
        assert.equal(rows[0]?.noon.getHours(), [3, 18, 12][n % 3]);
      }
    });
  });

  test('hears what it listens to, and nothing else', async () => {
    const heard: string[][] = Array.from({ length: LISTENERS }, () => []);
    await each(LISTENERS, async (n) => {
      const listener = await pool.connect();
      try {
        listener.on('notification', ({ channel, payload }) => heard[n]?.push(`${channel} ${payload ?? ''}`));
        await listener.query(`LISTEN channel_${String(n)}`);
        // Nothing is asked meanwhile: they come by themselves.
        await each(3, async (sender) => {
          for (let message = 0; message < 5; message += 1) {
            await pool.query(`BEGIN; NOTIFY channel_${String(n)}, 'lost'; ROLLBACK`);
            await pool.query('SELECT pg_notify($1, $2), pg_notify($3, $2)', [
              `channel_${String(n)}`,
              `${String(sender)}.${String(message)}`,
              `nobody_${String(n)}`,
            ]);
          }
        });
        await until(() => (heard[n]?.length ?? 0) >= 15, { what: 'all notifications have come' });
        await listener.query('UNLISTEN *');
        await pool.query(`NOTIFY channel_${String(n)}, 'too late'`);
        await listener.query('SELECT 1');
      } finally {
        listener.release(true);
      }
    });
    const sent = [0, 1, 2].flatMap((sender) =>
      [0, 1, 2, 3, 4].map((message) => `${String(sender)}.${String(message)}`),
    );
    for (const [n, messages] of heard.entries())
      assert.deepEqual(
        messages.toSorted(),
        sent.map((message) => `channel_${String(n)} ${message}`),
      );
  });

  test('keeps a temporary table over transactions', async () => {
    await sessions(async (client, n) => {
      for (let round = 0; round < 2; round += 1) {
        await client.query('CREATE TEMP TABLE basket (article int)');
        for (let article = 0; article < 5; article += 1) {
          await client.query('INSERT INTO basket VALUES ($1)', [n * 10 + article]);
          await client.query('BEGIN; INSERT INTO basket VALUES (-1); ROLLBACK');
        }
        assert.deepEqual(
          await rowOf(client, 'SELECT array_agg(article ORDER BY article) AS basket FROM basket'),
          {
            basket: [0, 1, 2, 3, 4].map((article) => n * 10 + article),
          },
        );
        await client.query('DROP TABLE basket');
        assert.deepEqual(await rowOf(client, `SELECT to_regclass('pg_temp.basket') AS basket`), {
          basket: null,
        });
      }
    });
  });

  test('keeps an advisory lock over transactions', async () => {
    await arena().query('UPDATE counter SET value = 0');
    await sessions(async (client, n) => {
      const key = n % 2;
      for (let round = 0; round < 5; round += 1) {
        await client.query('SELECT pg_advisory_lock($1)', [key]);
        const { rows } = await client.query<{ value: number }>('SELECT value FROM counter WHERE key = $1', [
          key,
        ]);
        // Only the lock keeps others from counting between these two.
        await client.query('UPDATE counter SET value = $2 WHERE key = $1', [key, (rows[0]?.value ?? 0) + 1]);
        assert.deepEqual(await rowOf(client, 'SELECT pg_advisory_unlock($1) AS unlocked', [key]), {
          unlocked: true,
        });
      }
    });
    const counted = await arena().query('SELECT value FROM counter ORDER BY key');
    assert.deepEqual(counted, [{ value: 25 }, { value: 20 }]);
  });

  test('reads cursors over transactions and within one', async () => {
    await sessions(async (client, n) => {
      const fetched = async (): Promise<number[]> => {
        const { rows } = await client.query<{ row: number }>('FETCH 60 FROM rows');
        return rows.map(({ row }) => row);
      };
      const wanted = (part: number): number[] => Array.from({ length: 60 }, (_, row) => n + part * 60 + row);
      for (const [begin, hold, end] of [
        ['', 'WITH HOLD', 'CLOSE rows'],
        ['BEGIN', '', 'COMMIT'],
      ]) {
        await client.query(begin ?? '');
        const rows = `SELECT generate_series(${String(n)}, ${String(n)} + 299) AS row`;
        await client.query(`DECLARE rows CURSOR ${hold ?? ''} FOR ${rows}`);
        for (let part = 0; part < 5; part += 1) {
          assert.deepEqual(await fetched(), wanted(part));
          assert.deepEqual(await rowOf(client, 'SELECT $1::int AS n', [n]), { n });
        }
        assert.deepEqual(await fetched(), []);
        await client.query(end ?? '');
        await assert.rejects(fetched(), { code: '34000' });
      }
    });
  });

  test('undoes with a transaction what was set in it, and nothing else', async () => {
    await arena().query('TRUNCATE visit');
    await sessions(async (client, n) => {
      const tenant = { tenant: `tenant ${String(n)}` };
      const own = (): Promise<unknown> => rowOf(client, `SELECT current_setting('app.tenant') AS tenant`);
      await client.query(`SET app.tenant TO 'tenant ${String(n)}'`);
      for (let round = 0; round < 5; round += 1) {
        await assert.rejects(client.query(`SET app.tenant TO 'lost'; SELECT 1 / 0`), { code: '22012' });
        assert.deepEqual(await own(), tenant);
        await client.query('BEGIN');
        await client.query(`SET app.tenant TO 'lost'`);
        await client.query('INSERT INTO visit VALUES ($1)', [n * 10 + round]);
        await client.query('SAVEPOINT before');
        await client.query(`SET LOCAL search_path TO tenant_0`);
        await assert.rejects(client.query('SELECT $1::int FROM nowhere', [n]), { code: '42P01' });
        await assert.rejects(own(), { code: '25P02' });
        await client.query('ROLLBACK TO before');
        assert.deepEqual(await own(), { tenant: 'lost' });
        await client.query(round % 2 === 0 ? 'ROLLBACK' : 'COMMIT');
        if (round % 2 === 1) await client.query(`SET app.tenant TO 'tenant ${String(n)}'`);
        assert.deepEqual(await own(), tenant);
        await assert.rejects(client.query('SELEKT'), { code: '42601' });
        await assert.rejects(client.query('INSERT INTO visit VALUES ($1)', ['x']), { code: '22P02' });
        assert.deepEqual(await rowOf(client, 'SELECT current_schema()'), { current_schema: 'public' });
      }
    });
    assert.deepEqual(await arena().query('SELECT count(*)::int FROM visit'), [{ count: CLIENTS * 2 }]);
  });
});
