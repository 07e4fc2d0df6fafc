/** The two drivers that most programs in Node use, as they come: with their pools, pipelines and prepared statements. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import postgres from 'postgres';
import { type Arena, useArena } from '../support/arena.ts';
import { chosenPooler } from '../support/poolers/chosen.ts';

const POOL_SIZE = 4;
const CLIENTS = 30;
const ACCOUNTS = 10;

const pooler = await chosenPooler();
const skip = pooler.namedPreparedStatements
  ? false
  : `${pooler.name} does not know named prepared statements`;

/** All from 0 to `count` - 1 at once. */
const each = <T>(count: number, work: (n: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => work(n)));

const where = ({ environment }: Arena) => ({
  host: environment['PGHOST'] ?? '',
  port: Number(environment['PGPORT']),
  user: environment['PGUSER'] ?? '',
  password: environment['PGPASSWORD'] ?? '',
  database: environment['PGDATABASE'] ?? '',
});

async function watched(arena: Arena, load: () => Promise<unknown>): Promise<void> {
  const peak = await arena.watching(load);
  if (pooler.limitsServers) assert.equal(peak, POOL_SIZE, 'the load kept the whole pool busy');
}

describe(`node-postgres through ${pooler.name}`, () => {
  const arena = useArena({ pooler, poolSize: POOL_SIZE });
  let pool: pg.Pool;
  before(async () => {
    pool = new pg.Pool({ ...where(arena()), max: CLIENTS });
    arena().beforeItEnds(() => pool.end());
    await pool.query(`CREATE TABLE account (id int PRIMARY KEY, coins int NOT NULL CHECK (coins >= 0));
      INSERT INTO account SELECT n, 100 FROM generate_series(0, ${String(ACCOUNTS - 1)}) n`);
  });

  test('gets the answer to each of its questions', async () => {
    await watched(arena(), () =>
      each(600, async (n) => {
        const { rows } = await pool.query<{ n: number; text: string }>(
          'SELECT $1::int AS n, $2::text AS text',
          [n, `question ${String(n)}`],
        );
        assert.deepEqual(rows, [{ n, text: `question ${String(n)}` }]);
      }),
    );
  });

  test('gets the answers to named prepared statements', { skip }, async () => {
    await watched(arena(), () =>
      each(600, async (n) => {
        const factor = n % 7;
        const text = `SELECT $1::int * ${String(factor)} AS product`;
        const { rows } = await pool.query<{ product: number }>({
          name: `times ${String(factor)}`,
          text,
          values: [n],
        });
        assert.deepEqual(rows, [{ product: n * factor }]);
      }),
    );
  });

  test('transfers within transactions, which a failed statement undoes', async () => {
    await watched(arena(), () => each(CLIENTS, (n) => transfer(pool, n)));
    const { rows } = await pool.query('SELECT sum(coins)::int AS sum FROM account');
    assert.deepEqual(rows, [{ sum: ACCOUNTS * 100 }]);
  });

  test('hears of its own mistakes and goes on', async () => {
    await each(CLIENTS, async (n) => {
      const client = await pool.connect();
      try {
        await assert.rejects(client.query('SELECT 1 / $1::int', [0]), { code: '22012' });
        await assert.rejects(client.query('SELEKT'), { code: '42601' });
        const { rows } = await client.query('SELECT $1::int AS n', [n]);
        assert.deepEqual(rows, [{ n }]);
      } finally {
        client.release();
      }
    });
  });

  test('receives many thousand rows, each once and in order', async () => {
    await each(8, async (n) => {
      const { rows } = await pool.query<{ n: number }>(
        'SELECT n FROM generate_series($1::int, $1 + 19999) n',
        [n],
      );
      assert.equal(rows.length, 20_000);
      assert.ok(rows.every((row, at) => row.n === n + at));
    });
  });
});

async function transfer(pool: pg.Pool, n: number): Promise<void> {
  const client = await pool.connect();
  try {
    for (let round = 0; round < 5; round += 1) {
      const [low = 0, high = 0] = [(n + round) % ACCOUNTS, (n * 3 + round + 1) % ACCOUNTS].toSorted(
        (a, b) => a - b,
      );
      await client.query('BEGIN');
      await client.query('SELECT FROM account WHERE id IN ($1, $2) ORDER BY id FOR UPDATE', [low, high]);
      await client.query('UPDATE account SET coins = coins + $2 WHERE id = $1', [high, n]);
      // More than there is, every other time: then nothing of the transaction may remain.
      const amount = round % 2 === 0 ? n : 100_000;
      try {
        await client.query('UPDATE account SET coins = coins - $2 WHERE id = $1', [low, amount]);
        await client.query('COMMIT');
      } catch (error) {
        assert.ok(error instanceof pg.DatabaseError && error.code === '23514', String(error));
        await client.query('ROLLBACK');
      }
    }
  } finally {
    client.release();
  }
}

describe(`postgres.js through ${pooler.name}`, { skip }, () => {
  const arena = useArena({ pooler, poolSize: POOL_SIZE });
  let sql: postgres.Sql;
  before(() => {
    sql = postgres({ ...where(arena()), max: CLIENTS, onnotice: () => undefined });
    arena().beforeItEnds(() => sql.end({ timeout: 5 }));
  });

  test('gets the answer to each of its questions, many under way on one connection', async () => {
    await watched(arena(), () =>
      each(1_000, async (n) => {
        const rows = await sql<
          { n: number; list: number[] }[]
        >`SELECT ${n}::int AS n, ${[n, n + 1]}::int[] AS list`;
        assert.deepEqual([...rows], [{ n, list: [n, n + 1] }]);
      }),
    );
  });

  test('commits transactions and undoes savepoints', async () => {
    await sql`CREATE TABLE stall (id int PRIMARY KEY, horse text)`;
    await watched(arena(), () =>
      each(CLIENTS, (n) =>
        sql.begin(async (transaction) => {
          await transaction`INSERT INTO stall VALUES (${n}, ${`horse ${String(n)}`})`;
          const again = transaction.savepoint((point) => point`INSERT INTO stall VALUES (${n}, 'again')`);
          await assert.rejects(again, { code: '23505' });
          const rows = await transaction`SELECT horse FROM stall WHERE id = ${n}`;
          assert.deepEqual([...rows], [{ horse: `horse ${String(n)}` }]);
        }),
      ),
    );
    assert.deepEqual([...(await sql`SELECT count(*)::int AS count FROM stall`)], [{ count: CLIENTS }]);
  });

  test('reads cursors in parts inside transactions', async () => {
    await each(10, (n) =>
      sql.begin(async (transaction) => {
        const seen: unknown[] = [];
        const rows = transaction<
          { n: number }[]
        >`SELECT n FROM generate_series(${n}::int, ${n + 499}::int) n`;
        for await (const part of rows.cursor(50)) seen.push(...part.map((row) => row.n));
        assert.deepEqual(
          seen,
          Array.from({ length: 500 }, (_, at) => n + at),
        );
      }),
    );
  });

  test('copies in and out', async () => {
    await sql`CREATE TABLE hay (owner int, n int)`;
    await each(10, async (owner) => {
      const lines = Array.from({ length: 2_000 }, (_, n) => `${String(owner)}\t${String(n)}\n`);
      await pipeline(Readable.from(lines), await sql`COPY hay FROM STDIN`.writable());
    });
    assert.deepEqual([...(await sql`SELECT count(*)::int AS count FROM hay`)], [{ count: 20_000 }]);
    await each(10, async (owner) => {
      let text = '';
      const query = sql`COPY (SELECT n FROM hay WHERE owner = ${sql.unsafe(String(owner))} ORDER BY n) TO STDOUT`;
      for await (const chunk of await query.readable()) text += String(chunk);
      assert.equal(text, Array.from({ length: 2_000 }, (_, n) => `${String(n)}\n`).join(''));
    });
  });

  test('cancels a query, and no other', async () => {
    const others = each(20, async (n) => {
      for (let round = 0; round < 20; round += 1) {
        const rows = await sql`SELECT ${n}::int AS n, pg_sleep(0.002)::text`;
        assert.equal(rows[0]?.['n'], n);
      }
    });
    const client = postgres({ ...where(arena()), max: 1 });
    await client`SELECT 1`;
    const sleep = client`SELECT pg_sleep(60)`;
    // Again and again, because a cancel that comes before its query got a server has nothing to cancel.
    const again = setInterval(() => {
      sleep.cancel();
    }, 50);
    try {
      await assert.rejects(sleep.execute(), { code: '57014' });
      await others;
    } finally {
      clearInterval(again);
      await client.end({ timeout: 5 });
    }
  });

  test('hears of its own mistakes and goes on', async () => {
    await each(50, async (n) => {
      await assert.rejects(async () => sql`SELECT 1 / ${0}::int`, { code: '22012' });
      await assert.rejects(async () => sql`SELECT * FROM nowhere`, { code: '42P01' });
      assert.deepEqual([...(await sql`SELECT ${n}::int AS n`)], [{ n }]);
    });
  });
});
