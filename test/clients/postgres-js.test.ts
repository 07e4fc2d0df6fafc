/** postgres.js: a client with one connection each, and connections reserved from the pool of one client. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import postgres from 'postgres';
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

type Startup = Readonly<Record<string, string>>;

const pooler = await chosenPooler();
const skip = pooler.sessionState ? false : `${pooler.name} does not keep the state of a session`;

describe(`A session of postgres.js through ${pooler.name}`, { skip }, () => {
  const arena = useArena({ ...TAKING_TURNS, pooler, setup: SESSION_TABLES });

  const connect = (max: number, connection: Startup = {}): postgres.Sql =>
    postgres({ ...where(arena()), max, connection, onnotice: () => undefined });

  /** Each on a connection of its own, at the same time. */
  const sessions = (
    work: (sql: postgres.Sql, n: number) => Promise<void>,
    startup: (n: number) => Startup = () => ({}),
  ): Promise<number> =>
    arena().watching(() =>
      each(CLIENTS, async (n) => {
        const sql = connect(1, startup(n));
        try {
          await work(sql, n);
        } finally {
          await sql.end({ timeout: 0 });
        }
      }),
    );

  test('keeps what each of its clients has set', async () => {
    await sessions(async (sql, n) => {
      const [tenant, name] = [n % TENANTS, `tenant ${String(n)}`];
      await sql`SET search_path TO ${sql(`tenant_${String(tenant)}`)}`;
      await sql`SELECT set_config('app.tenant', ${name}, false)`;
      await sql.unsafe(`SET work_mem TO '${String(n + 1)}MB'; SET TIME ZONE '${ZONES[n % 3] ?? ''}'`);
      const servers = new Set<unknown>();
      for (let round = 0; round < 12; round += 1) {
        const rows = await sql`
          SELECT (SELECT tenant FROM who), current_setting('app.tenant') AS name,
            current_setting('work_mem') AS memory, '2026-07-01 12:00+00'::timestamptz::text AS hour`;
        assert.deepEqual([...rows], [{ tenant, name, memory: `${String(n + 1)}MB`, hour: HOURS[n % 3] }]);
        await sql.begin(async (transaction) => {
          await transaction`SET LOCAL work_mem TO '99MB'`;
          servers.add((await transaction`SELECT pg_backend_pid() AS pid`)[0]?.['pid']);
        });
      }
      if (pooler.limitsServers) assert.ok(servers.size > 1, 'several servers took turns');
    });
  });

  test('keeps what each of its connections has said at its start', async () => {
    await sessions(
      async (sql, n) => {
        const tenant = n % TENANTS;
        const wanted = {
          tenant,
          memory: `${String(n + 1)}MB`,
          hour: HOURS[n % 3],
          name: `client ${String(n)}`,
        };
        const asked = async (): Promise<unknown> => {
          const rows = await sql`
            SELECT (SELECT tenant FROM who), current_setting('work_mem') AS memory,
              '2026-07-01 12:00+00'::timestamptz::text AS hour, current_setting('application_name') AS name`;
          return rows[0];
        };
        for (let round = 0; round < 10; round += 1) {
          assert.deepEqual(await asked(), wanted);
          await sql`SET work_mem TO '77MB'`;
          assert.deepEqual(await asked(), { ...wanted, memory: '77MB' });
          await sql`RESET work_mem`;
        }
      },
      (n) => ({
        application_name: `client ${String(n)}`,
        search_path: `tenant_${String(n % TENANTS)}`,
        work_mem: `${String(n + 1)}MB`,
        TimeZone: ZONES[n % 3] ?? '',
      }),
    );
  });

  test('prepares one text for many tenants and time zones', async () => {
    await sessions(async (sql, n) => {
      await sql`SELECT set_config('TimeZone', ${ZONES[n % 3] ?? ''}, false)`;
      for (let round = 0; round < 5; round += 1) {
        const tenant = (n + round) % TENANTS;
        await sql`SELECT set_config('search_path', ${`tenant_${String(tenant)}`}, false)`;
        // All under way at once: postgres.js sends them ahead.
        const asked = [1, 2, 3, 4].map(
          (question) =>
            sql`SELECT tenant, ${question}::int AS question, '2026-07-01 12:00'::timestamptz::text AS noon FROM who`,
        );
        const zone = HOURS[n % 3]?.slice(-3) ?? '';
        for (const [at, rows] of (await Promise.all(asked)).entries())
          assert.deepEqual([...rows], [{ tenant, question: at + 1, noon: `2026-07-01 12:00:00${zone}` }]);
      }
    });
  });

  test('hears what it listens to, and nothing else', async () => {
    const sql = connect(2);
    const heard: string[][] = Array.from({ length: LISTENERS }, () => []);
    await each(LISTENERS, async (n) => {
      const listener = connect(1);
      const listening = await listener.listen(`channel_${String(n)}`, (message) => heard[n]?.push(message));
      await each(3, async (sender) => {
        for (let message = 0; message < 5; message += 1) {
          const lost = sql.begin(async (transaction) => {
            await transaction`SELECT pg_notify(${`channel_${String(n)}`}, 'lost')`;
            throw new RangeError('rolled back');
          });
          await assert.rejects(lost, RangeError);
          await sql.notify(`channel_${String(n)}`, `${String(sender)}.${String(message)}`);
          await sql.notify(`nobody_${String(n)}`, 'to nobody');
        }
      });
      await until(() => (heard[n]?.length ?? 0) >= 15, { what: 'all notifications have come' });
      await listening.unlisten();
      await sql.notify(`channel_${String(n)}`, 'too late');
      await listener`SELECT 1`;
      await listener.end({ timeout: 5 });
    });
    await sql.end({ timeout: 5 });
    const sent = [0, 1, 2].flatMap((sender) =>
      [0, 1, 2, 3, 4].map((message) => `${String(sender)}.${String(message)}`),
    );
    assert.deepEqual(
      heard.map((messages) => messages.toSorted()),
      [sent, sent],
    );
  });

  test('keeps a temporary table over transactions', async () => {
    await sessions(async (sql, n) => {
      for (let round = 0; round < 2; round += 1) {
        await sql`CREATE TEMP TABLE basket (article int)`;
        const articles = [0, 1, 2, 3, 4].map((article) => n * 10 + article);
        for (const article of articles) {
          await sql`INSERT INTO basket ${sql({ article })}`;
          const lost = sql.begin(async (transaction) => {
            await transaction`INSERT INTO basket VALUES (-1)`;
            await transaction`SELECT 1 / 0`;
          });
          await assert.rejects(lost, { code: '22012' });
        }
        const rows = await sql`SELECT array_agg(article ORDER BY article) AS basket FROM basket`;
        assert.deepEqual([...rows], [{ basket: articles }]);
        await sql`DROP TABLE basket`;
        assert.deepEqual(
          [...(await sql`SELECT to_regclass('pg_temp.basket') AS basket`)],
          [{ basket: null }],
        );
      }
    });
  });

  test('keeps an advisory lock of a reserved connection', async () => {
    await arena().query('UPDATE counter SET value = 0');
    const sql = connect(CLIENTS);
    try {
      await each(CLIENTS, async (n) => {
        const key = n % 2;
        for (let round = 0; round < 5; round += 1) {
          const reserved = await sql.reserve();
          try {
            await reserved`SELECT pg_advisory_lock(${key})`;
            const [counter] = await reserved<
              { value: number }[]
            >`SELECT value FROM counter WHERE key = ${key}`;
            // Only the lock keeps others from counting between these two.
            await reserved`UPDATE counter SET value = ${(counter?.value ?? 0) + 1} WHERE key = ${key}`;
            const [unlocked] = await reserved`SELECT pg_advisory_unlock(${key}) AS unlocked`;
            assert.deepEqual(unlocked, { unlocked: true });
          } finally {
            reserved.release();
          }
        }
      });
    } finally {
      await sql.end({ timeout: 0 });
    }
    const counted = await arena().query('SELECT value FROM counter ORDER BY key');
    assert.deepEqual(counted, [{ value: 25 }, { value: 20 }]);
  });

  test('reads cursors over transactions and within one', async () => {
    await sessions(async (sql, n) => {
      const wanted = Array.from({ length: 300 }, (_, row) => n + row);
      const from = String(n);
      await sql.unsafe(
        `DECLARE rows CURSOR WITH HOLD FOR SELECT row FROM generate_series(${from}, ${from} + 299) row`,
      );
      const held: number[] = [];
      for (let part = 0; part < 5; part += 1) {
        const rows = await sql<{ row: number }[]>`FETCH 60 FROM rows`;
        held.push(...rows.map(({ row }) => row));
        await assert.rejects(sql`SELECT 1 / 0`, { code: '22012' });
      }
      assert.deepEqual(held, wanted);
      await sql`CLOSE rows`;
      await sql.begin(async (transaction) => {
        const seen: number[] = [];
        const rows = transaction<
          { row: number }[]
        >`SELECT generate_series(${n}::int, ${n + 299}::int) AS row`;
        for await (const part of rows.cursor(60)) seen.push(...part.map(({ row }) => row));
        assert.deepEqual(seen, wanted);
      });
    });
  });

  test('undoes with a transaction what was set in it, and nothing else', async () => {
    await sessions(async (sql, n) => {
      const name = `tenant ${String(n)}`;
      const own = async (on: postgres.Sql | postgres.TransactionSql = sql): Promise<unknown> =>
        (await on`SELECT current_setting('app.tenant') AS name`)[0]?.['name'];
      await sql`SELECT set_config('app.tenant', ${name}, false)`;
      for (let round = 0; round < 5; round += 1) {
        const undone = sql.begin(async (transaction) => {
          await transaction`SET app.tenant TO 'lost'`;
          assert.equal(await own(transaction), 'lost');
          const inner = transaction.savepoint(async (point) => {
            await point`SET app.tenant TO 'lost as well'`;
            await point`SELECT * FROM nowhere`;
          });
          await assert.rejects(inner, { code: '42P01' });
          assert.equal(await own(transaction), 'lost');
          throw new RangeError('rolled back');
        });
        await assert.rejects(undone, RangeError);
        assert.equal(await own(), name);
        await assert.rejects(sql.unsafe(`SET app.tenant TO 'lost'; SELECT 1 / 0`), { code: '22012' });
        assert.equal(await own(), name);
        await sql.begin((transaction) => transaction`SELECT set_config('app.tenant', ${name}, true)`);
        assert.equal(await own(), name);
      }
    });
  });
});
