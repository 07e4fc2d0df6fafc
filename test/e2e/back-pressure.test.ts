/** Who does not read is not sent more than the sockets hold: it waits, nobody else does, and the daemon keeps nothing for it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import * as m from '../support/messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { useStage } from '../support/stage.ts';
import { until } from '../support/wait.ts';

const stage = useStage({
  databases: {
    one: 'pool_size = 1',
    three: 'pool_size = 3',
    session: 'pool_size = 3\npool_mode = "session"',
  },
  schema: 'CREATE TABLE hay (straw text)',
});

/** How much memory may grow whatever clients do, in MB. */
const ROOM = 60;

/** Waits until the daemon's memory has not moved for a while, and gives it in MB. */
async function settledMemory(): Promise<number> {
  let last = await stage().memory();
  let same = 0;
  await until(
    async () => {
      const now = await stage().memory();
      same = Math.abs(now - last) < 1 ? same + 1 : 0;
      last = now;
      return same >= 5;
    },
    { interval: 30, timeout: 20_000, what: 'memory has settled' },
  );
  return last;
}

/** Waits until a backend of the pool is blocked because nobody takes what it sends. */
const blocked = (): Promise<unknown> =>
  until(
    async () => {
      const found = await stage().sql("SELECT FROM pg_stat_activity WHERE wait_event = 'ClientWrite'");
      return found.length > 0;
    },
    { what: 'a server waits for its result to be taken' },
  );

/** Counts the rows of a result that is too large to be kept. */
function counted(client: RawClient): () => number {
  let rows = 0;
  client.keepNothing();
  client.onReply = (type) => {
    if (type === 'D' || type === 'd') rows++;
    if (type === 'C') client.keepEverything();
  };
  return () => rows;
}

/** Waits until `progress` has stood still for a while. */
async function stopped(progress: () => number): Promise<void> {
  let last = -1;
  const stands = (): boolean => {
    const same = progress() === last;
    last = progress();
    return same;
  };
  await until(stands, { interval: 250, what: 'sending has come to a stop' });
}

const ROWS = 15_000;
const LARGE = `SELECT repeat('x', 8000) FROM generate_series(1, ${String(ROWS)})`;

describe('a client that does not read its large result', () => {
  for (const database of ['three', 'session']) {
    test(`stops its server, costs no memory, and gets it all once it reads (${database})`, async () => {
      const before = await settledMemory();
      const slow = await stage().login(database);
      const rows = counted(slow);
      slow.pause();
      slow.send(m.query(LARGE));
      await blocked();
      assert.ok((await settledMemory()) < before + ROOM);

      const others = await Promise.all([stage().login(database), stage().login(database)]);
      for (let round = 0; round < 20; round++) {
        const answers = await Promise.all(others.map((other) => other.query(`SELECT ${String(round)}`)));
        for (const answer of answers) assert.deepEqual(m.valuesOf(answer), [String(round)]);
      }
      slow.resume();
      await slow.ready();
      assert.equal(rows(), ROWS);
      assert.deepEqual(m.valuesOf(await slow.query('SELECT 1')), ['1']);
      for (const client of [slow, ...others]) client.quit();
      assert.ok((await settledMemory()) < before + ROOM);
    });
  }

  test('may read in fits and starts', async () => {
    const slow = await stage().login('one');
    const rows = counted(slow);
    slow.send(m.query(LARGE));
    for (let round = 0; round < 20; round++) {
      slow.pause();
      await delay(5);
      slow.resume();
      await delay(5);
    }
    await slow.ready();
    assert.equal(rows(), ROWS);
    slow.quit();
  });

  test('does not get more by asking again, each query in a transaction of its own', async () => {
    const before = await settledMemory();
    const slow = await stage().login('three');
    let answers = 0;
    slow.pause();
    slow.keepNothing();
    slow.onReply = (type) => {
      if (type === 'Z') answers++;
    };
    const queries = 1500;
    for (let n = 0; n < queries; n++) {
      slow.send(m.query("SELECT repeat('x', 60000)"));
      if (n % 10 === 0) await delay(1);
    }
    assert.ok((await settledMemory()) < before + ROOM);
    const other = await stage().login('three');
    assert.deepEqual(m.valuesOf(await other.query('SELECT 1')), ['1']);
    other.quit();
    slow.resume();
    await until(() => answers === queries, { what: () => `all answers come, not ${String(answers)}` });
    slow.quit();
  });

  test('does not get more of what no server has to be asked for', async () => {
    const client = await stage().login('three');
    await client.ask([m.parse('known', 'SELECT 1'), m.sync]);
    const before = await settledMemory();
    client.pause();
    client.keepNothing();
    const pair = Buffer.concat([m.closeStatement('known'), m.parse('known', 'SELECT 1')]);
    const batch = Buffer.concat(Array.from({ length: 5000 }, () => pair));
    const batches = 300;
    let sent = 0;
    const sending = (async () => {
      for (; sent < batches && !client.closed; sent++) await client.sendSlowly(batch);
    })();
    await stopped(() => sent);
    const sentBefore = sent;
    const memory = await settledMemory();
    client.reset();
    await sending;
    assert.ok(sentBefore < batches, 'it could not send everything');
    // So many small messages leave much that has not been collected.
    assert.ok(memory < before + 3 * ROOM, `from ${before.toFixed()} to ${memory.toFixed()} MB`);
  });
});

describe('a client that sends more than its server takes', () => {
  test('is not read any further, and its data arrives whole', async () => {
    const before = await settledMemory();
    const lock = await stage().direct();
    await lock.query('BEGIN; LOCK TABLE hay IN ACCESS EXCLUSIVE MODE');
    const fast = await stage().login('one');
    fast.send(m.query('COPY hay FROM STDIN'));
    const line = m.copyData(`${'x'.repeat(8000)}\n`);
    const lines = 10_000;
    let sent = 0;
    const sending = (async () => {
      const batch = Buffer.concat(Array.from({ length: 100 }, () => line));
      for (; sent < lines; sent += 100) await fast.sendSlowly(batch);
      fast.send(m.copyDone);
    })();
    await stopped(() => sent);
    assert.ok(sent < lines, 'it could not send everything');
    assert.ok((await settledMemory()) < before + ROOM);
    await lock.query('COMMIT');
    lock.quit();
    await sending;
    assert.deepEqual((await fast.ready()).map(m.told).slice(-2), [`C COPY ${String(lines)}`, 'Z I']);
    fast.quit();
  });

  test('while it waits for a server, is not read any further either', async () => {
    const before = await settledMemory();
    const [holder, fast] = [await stage().login('one'), await stage().login('one')];
    await holder.query('BEGIN');
    let sent = 0;
    const QUERIES = 1000;
    const sending = (async () => {
      for (; sent < QUERIES; sent++) await fast.sendSlowly(m.query(`SELECT length('${'x'.repeat(20_000)}')`));
    })();
    await stopped(() => sent);
    assert.ok(sent < QUERIES, 'it could not send everything');
    assert.ok((await settledMemory()) < before + ROOM);
    await holder.query('COMMIT');
    await sending;
    const replies = await fast.ready(QUERIES);
    assert.ok(m.valuesOf(replies).every((value) => value === '20000'));
    holder.quit();
    fast.quit();
  });
});

test('a million tiny queries in a row, not one answer read, do not grow the daemon', async () => {
  const before = await settledMemory();
  const eager = await stage().login('three');
  eager.pause();
  eager.keepNothing();
  let answers = 0;
  eager.onReply = (type) => {
    if (type === 'Z') answers++;
  };
  const batch = Buffer.concat(Array.from({ length: 10_000 }, () => m.query(';')));
  let sent = 0;
  const sending = (async () => {
    for (; sent < 1_000_000; sent += 10_000) await eager.sendSlowly(batch);
  })();
  await stopped(() => sent);
  assert.ok(sent < 1_000_000);
  assert.ok((await settledMemory()) < before + ROOM);
  const other = await stage().login('three');
  assert.deepEqual(m.valuesOf(await other.query('SELECT 1')), ['1']);
  other.quit();
  eager.reset();
  await sending.catch(() => undefined);
  assert.ok((await stage().idleServers()).length > 0);
  assert.ok(answers <= sent);
});
