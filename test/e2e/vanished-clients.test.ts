/** Clients that go away in the middle of something: their server is cleaned and used again, and nobody else notices anything. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import * as m from '../support/messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { useStage } from '../support/stage.ts';
import { until } from '../support/wait.ts';

const stage = useStage({
  databases: {
    transactional: 'pool_size = 1',
    sessional: 'pool_size = 1\npool_mode = "session"',
  },
  schema: 'CREATE TABLE hay (n int); CREATE TABLE late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);',
});

beforeEach(async () => {
  await stage().sql('TRUNCATE hay');
});

type Leave = (client: RawClient) => void;
const leaves: Readonly<Record<string, Leave>> = {
  'with a FIN': (client) => client.end(),
  'with a reset': (client) => client.reset(),
  'with Terminate': (client) => client.quit(),
};

/** What a client was doing when it left: sends it, and waits until the server does it. */
const doings: Readonly<Record<string, (client: RawClient) => Promise<void>>> = {
  'was idle': async (client) => {
    await client.query('SELECT 1');
  },
  'had a transaction open': async (client) => {
    await client.query('BEGIN; INSERT INTO hay VALUES (1)');
  },
  'had a transaction open that had failed': async (client) => {
    await client.query('BEGIN; INSERT INTO hay VALUES (1)');
    await client.query('SELECT 1/0');
  },
  'was in the middle of a query': async (client) => {
    client.send(m.query('BEGIN; INSERT INTO hay VALUES (1); SELECT pg_sleep(30)'));
    await runs('pg_sleep(30)');
  },
  'was in the middle of a pipeline': async (client) => {
    client.send(m.query('SELECT 1'), m.query('BEGIN; INSERT INTO hay VALUES (1)'));
    client.send(
      m.run('SELECT pg_sleep(20)'),
      m.run('INSERT INTO hay VALUES (2)'),
      m.sync,
      m.query('SELECT 1'),
    );
    await runs('pg_sleep(20)');
  },
  'had sent a batch without its Sync': async (client) => {
    client.send(m.run('INSERT INTO hay VALUES (1)'), m.flush);
    await client.upTo('C');
  },
  'had not heard of an error yet': async (client) => {
    client.send(m.run('INSERT INTO hay VALUES (1)'), m.run('SELECT 1/0'), m.flush);
    await client.upTo('E');
  },
  'was in the middle of a COPY in': async (client) => {
    client.send(m.query('COPY hay FROM STDIN'), m.copyData('1\n2\n'));
    await client.upTo('G');
  },
  'was in the middle of a COPY in, inside a batch': async (client) => {
    client.send(m.run('COPY hay FROM STDIN'), m.copyData('1\n2\n'));
    await client.upTo('G');
  },
  'was in the middle of a COPY out that it did not read': async (client) => {
    client.pause();
    client.send(m.query("BEGIN; COPY (SELECT repeat('x', 1000) FROM generate_series(1, 100000)) TO STDOUT"));
    await runs('generate_series');
  },
  'did not read a large result': async (client) => {
    client.pause();
    client.send(m.query("BEGIN; SELECT repeat('x', 1000) FROM generate_series(1, 100000)"));
    await runs('generate_series');
  },
  'had a portal open': async (client) => {
    client.send(m.parse('', 'SELECT generate_series(1, 100)'), m.bind(), m.execute('', 1), m.flush);
    await client.upTo('s');
  },
};

/** Waits until a server runs what contains `text`. */
const runs = (text: string): Promise<unknown> =>
  until(
    async () => {
      const found = await stage().sql(
        `SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%${text}%' AND pid <> pg_backend_pid()`,
      );
      return found.length > 0;
    },
    { what: `${text} runs` },
  );

/** A round trip to the daemon, which has read by then what was sent before. */
async function settledDaemon(): Promise<void> {
  const client = await stage().login('sessional');
  client.quit();
}

async function rowsOfHay(): Promise<number> {
  const [row] = await stage().sql('SELECT count(*)::int AS n FROM hay');
  return Number(row?.['n']);
}

for (const database of ['transactional', 'sessional']) {
  for (const [how, leave] of Object.entries(leaves)) {
    describe(`a client in a ${database} pool of one that leaves ${how}`, () => {
      for (const [what, begin] of Object.entries(doings)) {
        // After Terminate a query may go on for two seconds before it is cancelled: shown once.
        const goesOn =
          what.includes('in the middle of a query') || what.includes('in the middle of a pipeline');
        if (how === 'with Terminate' && goesOn && (database === 'sessional' || what.includes('pipeline')))
          continue;
        test(`while it ${what} leaves its server to the next one, as new`, async () => {
          const client = await stage().login(database);
          const [pid] = m.valuesOf(await client.query('SELECT pg_backend_pid()'));
          if (database === 'sessional')
            await client.query('SET work_mem = 12345; CREATE TEMP TABLE straw ()');
          await begin(client);
          leave(client);

          const next = await stage().login(database);
          const replies = await next.query(
            "SELECT pg_backend_pid(), current_setting('work_mem'), to_regclass('straw')",
          );
          next.quit();
          assert.deepEqual(m.valuesOf(replies), [pid, '4MB', null]);
          assert.equal(next.status, 'I');
          assert.equal(await rowsOfHay(), 0, 'nothing was committed that its client did not commit');
        });
      }
    });
  }
}

describe('a client that leaves in the middle of a message that has gone to the server in part', () => {
  for (const [how, leave] of Object.entries(leaves)) {
    for (const size of [5000, 3_000_000]) {
      test(`${how} costs the pool this server, and nothing else (${String(size)} bytes)`, async () => {
        const client = await stage().login('transactional');
        const [pid] = m.valuesOf(await client.query('SELECT pg_backend_pid()'));
        const text = `INSERT INTO hay VALUES (1) RETURNING '${'x'.repeat(size)}'`;
        client.send(m.query(text).subarray(0, size / 2));
        await settledDaemon();
        leave(client);
        const next = await stage().login('transactional');
        assert.notEqual(m.valuesOf(await next.query('SELECT pg_backend_pid()'))[0], pid);
        assert.equal(await rowsOfHay(), 0);
        next.quit();
      });
    }
  }

  test('costs the pool nothing where that was so short that it was held', async () => {
    const client = await stage().login('transactional');
    const [pid] = m.valuesOf(await client.query('SELECT pg_backend_pid()'));
    client.send(m.query('INSERT INTO hay VALUES (1)').subarray(0, 20));
    await settledDaemon();
    client.reset();
    const next = await stage().login('transactional');
    assert.deepEqual(m.valuesOf(await next.query('SELECT pg_backend_pid()')), [pid]);
    assert.equal(await rowsOfHay(), 0);
    next.quit();
  });

  test('has its earlier query cancelled', async () => {
    const client = await stage().login('transactional');
    client.send(
      m.query('SELECT pg_sleep(25)'),
      m.query(`SELECT '${'x'.repeat(100_000)}'`).subarray(0, 60_000),
    );
    await runs('pg_sleep(25)');
    await settledDaemon();
    const leftAt = performance.now();
    client.reset();
    const next = await stage().login('transactional');
    assert.deepEqual(m.valuesOf(await next.query('SELECT 1')), ['1']);
    assert.ok(performance.now() - leftAt < 2000, 'it did not take a timeout to get rid of the server');
    next.quit();
  });
});

describe('a client that leaves while it waits', () => {
  for (const [how, leave] of Object.entries(leaves)) {
    test(`${how} is out of the line, and what it had sent never runs`, async () => {
      const [holder, leaver, next] = await Promise.all([1, 2, 3].map(() => stage().login('transactional')));
      assert.ok(holder && leaver && next);
      await holder.query('BEGIN');
      leaver.send(m.query('INSERT INTO hay VALUES (1)'));
      await settledDaemon();
      const answer = next.query("SELECT 'served'");
      await settledDaemon();
      leave(leaver);
      await leaver.untilClosed();
      await settledDaemon();
      await holder.query('COMMIT');
      assert.deepEqual(m.valuesOf(await answer), ['served']);
      if (how !== 'with Terminate') assert.equal(await rowsOfHay(), 0);
      holder.quit();
      next.quit();
    });
  }

  test('is noticed although it had sent more than is kept for a waiting client', async () => {
    const [holder, leaver, next] = await Promise.all([1, 2, 3].map(() => stage().login('transactional')));
    assert.ok(holder && leaver && next);
    await holder.query('BEGIN');
    leaver.send(...Array.from({ length: 1000 }, () => m.query(`SELECT '${'x'.repeat(1000)}'`)));
    await settledDaemon();
    leaver.reset();
    const answer = next.query("SELECT 'served'");
    await holder.query('COMMIT');
    assert.deepEqual(m.valuesOf(await answer), ['served']);
    holder.quit();
    next.quit();
  });
});

describe('a client that says goodbye behind its last query', () => {
  test('has that query carried out, as on a connection of its own', async () => {
    const client = await stage().login('transactional');
    client.send(m.query('INSERT INTO hay SELECT 1 FROM pg_sleep(0.3)'));
    client.quit();
    const next = await stage().login('transactional');
    await next.query('SELECT 1');
    assert.equal(await rowsOfHay(), 1);
    next.quit();
  });
});

test('many clients that vanish leave no server behind that cannot be used, and nothing of theirs', async () => {
  const hows = Object.values(leaves);
  for (let round = 0; round < 10; round++) {
    await Promise.all(
      Array.from({ length: 10 }, async (_, n) => {
        const client = await stage().login('transactional');
        client.send(m.query(`BEGIN; INSERT INTO hay VALUES (${String(n)}); SELECT pg_sleep(0.01)`));
        if (n % 3 === 0) await client.ready();
        hows[(n + round) % hows.length]?.(client);
      }),
    );
  }
  const next = await stage().login('transactional');
  assert.deepEqual(m.valuesOf(await next.query('SELECT 1')), ['1']);
  next.quit();
  assert.ok((await stage().idleServers()).length <= 2);
  assert.equal(await rowsOfHay(), 0);
});
