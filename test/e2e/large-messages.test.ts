/** Messages of any size pass through, piece by piece: what is large is never gathered in the daemon. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createHash } from 'node:crypto';
import pg from 'pg';
import * as m from '../support/messages.ts';
import { useStage } from '../support/stage.ts';

const stage = useStage({ databases: { one: 'pool_size = 1' }, schema: 'CREATE TABLE hay (straw text)' });

const MB = 1_048_576;
/** How much the daemon's memory may grow whatever passes through it, in MB: its buffers, and garbage that has not been collected. */
const ROOM = 60;

/** Runs `work` while the daemon's memory is watched, and asserts that it stays within `ROOM`. */
async function flat(work: () => Promise<void>): Promise<void> {
  const before = await stage().memory();
  let peak = before;
  const sampling = setInterval(() => {
    void stage()
      .memory()
      .then((now) => (peak = Math.max(peak, now)));
  }, 20);
  try {
    await work();
  } finally {
    clearInterval(sampling);
  }
  peak = Math.max(peak, await stage().memory());
  assert.ok(peak < before + ROOM, `from ${before.toFixed()} to ${peak.toFixed()} MB`);
}

/** Pieces of a message of type Query or Bind that is too large to be built at once: `head`, then `size` times the letter x, then `tail`. */
async function* pieces(type: string, head: Buffer, size: number, tail: Buffer): AsyncGenerator<Buffer> {
  const length = Buffer.alloc(5, type);
  length.writeInt32BE(4 + head.length + size + tail.length, 1);
  yield Buffer.concat([length, head]);
  const piece = Buffer.alloc(MB, 'x');
  for (let left = size; left > 0; left -= MB) yield piece.subarray(0, Math.min(left, MB));
  yield tail;
}

describe('a message of 64 MB', () => {
  test('passes as a query text', async () => {
    const client = await stage().login('one');
    await flat(async () => {
      const end = Buffer.from("')\0");
      for await (const piece of pieces('Q', Buffer.from("SELECT length('"), 64 * MB, end))
        await client.sendSlowly(piece);
      assert.deepEqual(m.valuesOf(await client.ready()), [String(64 * MB)]);
    });
    client.quit();
  });

  test('passes as a parameter, of an unnamed and of a named statement, and comes back as a result', async () => {
    const client = await stage().login('one');
    await client.ask([m.parse('', 'SELECT length($1::text)'), m.parse('named', 'SELECT $1::text'), m.sync]);
    for (const [statement, size] of [
      ['', 64 * MB],
      ['named', 64 * MB],
    ] as const) {
      const head = Buffer.concat([Buffer.from(`\0${statement}\0`), Buffer.from([0, 0, 0, 1]), int32(size)]);
      client.send(...(statement === '' ? [m.parse('', 'SELECT length($1::text)')] : []));
      let received = 0;
      await flat(async () => {
        for await (const piece of pieces('B', head, size, Buffer.from([0, 0])))
          await client.sendSlowly(piece);
        client.keepNothing();
        client.onReply = (type, length) => {
          if (type === 'D') received += length;
          if (type === 'Z') client.keepEverything();
        };
        client.send(m.execute(), m.sync);
        const replies = await client.ready();
        assert.deepEqual(replies.map(m.told), ['Z I']);
      });
      assert.equal(received, statement === '' ? 6 + String(size).length : 6 + size);
      client.onReply = undefined;
    }
    assert.deepEqual(m.valuesOf(await client.query('SELECT 1')), ['1']);
    client.quit();
  });

  test('passes as COPY data, one message of it', async () => {
    const client = await stage().login('one');
    client.send(m.query('COPY hay FROM STDIN'));
    await client.upTo('G');
    await flat(async () => {
      for await (const piece of pieces('d', Buffer.alloc(0), 64 * MB, Buffer.from('\n')))
        await client.sendSlowly(piece);
      client.send(m.copyDone);
      assert.deepEqual((await client.ready()).map(m.told), ['C COPY 1', 'Z I']);
    });
    assert.deepEqual(m.valuesOf(await client.query('SELECT length(straw) FROM hay')), [String(64 * MB)]);
    client.quit();
  });
});

describe('a result of 256 MB', () => {
  const ROWS = 32_768;
  const SIZE = 8192;
  test('passes with flat memory, and whole', async () => {
    const client = await stage().login('one');
    client.keepNothing();
    let rows = 0;
    let bytes = 0;
    client.onReply = (type, size) => {
      if (type === 'D') {
        rows++;
        bytes += size;
      } else if (type === 'C') client.keepEverything();
    };
    await flat(async () => {
      client.send(m.query(`SELECT repeat('x', ${String(SIZE)}) FROM generate_series(1, ${String(ROWS)})`));
      await client.ready();
    });
    assert.deepEqual([rows, bytes], [ROWS, ROWS * (SIZE + 6)]);
    client.quit();
  });

  test('passes as COPY data with flat memory', async () => {
    const client = await stage().login('one');
    client.keepNothing();
    let bytes = 0;
    client.onReply = (type, size) => {
      if (type === 'd') bytes += size;
      if (type === 'C') client.keepEverything();
    };
    await flat(async () => {
      client.send(
        m.query(
          `COPY (SELECT repeat('x', ${String(SIZE)}) FROM generate_series(1, ${String(ROWS)})) TO STDOUT`,
        ),
      );
      await client.ready();
    });
    assert.equal(bytes, ROWS * (SIZE + 1));
    client.quit();
  });
});

describe('messages around the sizes at which they are treated differently', () => {
  test('come back as they went, whatever driver and whatever name', async () => {
    const { host, port, user, password } = stage().through('one');
    const client = new pg.Client({ host, port, user, password, database: 'one' });
    await client.connect();
    for (const size of [1, 1000, 16_379, 16_384, 65_531, 65_536, 100_000, MB - 60, MB, MB + 60, 3 * MB]) {
      const text = createHash('sha256')
        .update(String(size))
        .digest('hex')
        .repeat(Math.ceil(size / 64))
        .slice(0, size);
      const plain = await client.query({ text: 'SELECT $1::text AS text', values: [text] });
      assert.ok(plain.rows[0]?.text === text, `unnamed, ${String(size)}`);
      const named = await client.query({ name: 'echo', text: 'SELECT $1::text AS text, 1', values: [text] });
      assert.ok(named.rows[0]?.text === text, `named, ${String(size)}`);
      const simple = await client.query(`SELECT '${text}' AS text`);
      assert.ok(simple.rows[0]?.text === text, `simple, ${String(size)}`);
      const literal = await client.query({ text: `SELECT '${text}' AS text, $1::int`, values: [1] });
      assert.ok(literal.rows[0]?.text === text, `literal, ${String(size)}`);
      const error = client.query(`DO $$ BEGIN RAISE EXCEPTION '${text}'; END $$`);
      await assert.rejects(error, (thrown: Error) => thrown.message === text);
    }
    const columns = Array.from({ length: 1600 }, (_, n) => `${String(n)} AS "column ${String(n)} of many"`);
    const wide = await client.query({ text: `SELECT ${columns.join(', ')}`, values: [] });
    assert.equal(wide.fields.length, 1600);
    await client.end();
  });
});

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
