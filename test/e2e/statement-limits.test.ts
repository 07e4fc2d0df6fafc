/** What prepared statements may take of the daemon's memory: those of one client, those of one server, and those on their way. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { tell } from '../support/as-direct.ts';
import * as m from '../support/messages.ts';
import { useStage } from '../support/stage.ts';

const KB = 1024;
const MB = 1_048_576;
const LIMIT = 2 * MB;
/** How much the daemon's memory may grow whatever clients prepare, in MB: its buffers, and garbage that has not been collected. */
const ROOM = 150;

const stage = useStage({
  settings: `max_prepared_statement_bytes = ${String(LIMIT)}`,
  databases: { one: 'pool_size = 1' },
});

/** Of about `size` bytes, and another one for each `n`. */
const long = (n: number, size: number): string => `SELECT ${String(n)} -- ${'x'.repeat(size)}`;
const REFUSED = 'E 53400 too many prepared statements for one client';

async function growth(work: () => Promise<void>): Promise<number> {
  const before = await stage().memory();
  await work();
  return (await stage().memory()) - before;
}

describe('a client that prepares more than one may have', () => {
  const fill = [1, 2, 3].map((n) => m.parse(`s${String(n)}`, long(n, 600 * KB)));
  const more = m.parse('more', long(4, 600 * KB));

  test('is told so, and goes on with what it has', async () => {
    const client = await stage().login('one');
    assert.deepEqual(await tell(client.ask([...fill, m.sync])), ['1', '1', '1', 'Z I']);
    assert.deepEqual(await tell(client.ask([m.parse('s1', 'SELECT 0'), m.sync])), [
      'E 42P05 prepared statement "s1" already exists',
      'Z I',
    ]);
    const pipeline = [m.run('SELECT 5'), more, m.runNamed('s1'), m.sync, m.runNamed('s2'), m.sync];
    const replies = await client.ask(pipeline, 2);
    assert.deepEqual(m.valuesOf(replies), ['5', '2']);
    assert.deepEqual(m.errorsOf(replies), ['53400']);
    assert.deepEqual(await tell(client.ask([m.runNamed('more'), m.sync])), [
      'E 26000 prepared statement "more" does not exist',
      'Z I',
    ]);
    assert.deepEqual(await tell(client.ask([m.parse('', long(6, 600 * KB)), m.sync])), ['1', 'Z I']);
    await client.query('BEGIN');
    assert.deepEqual(await tell(client.ask([more, m.sync])), [REFUSED, 'Z E']);
    await client.query('ROLLBACK');
    assert.deepEqual(m.valuesOf(await client.ask([m.runNamed('s3'), m.sync])), ['3']);
    client.quit();
  });

  test('has room again for what it does not need any more', async () => {
    const client = await stage().login('one');
    for (const end of [
      [m.closeStatement('s1'), m.sync],
      [m.query('DEALLOCATE s1')],
      [m.run('DEALLOCATE s1'), m.sync],
      [m.query('DEALLOCATE ALL')],
      [m.query('DISCARD ALL')],
    ]) {
      await client.ask([...fill, m.sync]);
      assert.deepEqual(await tell(client.ask([more, m.sync])), [REFUSED, 'Z I']);
      await client.ask(end);
      assert.deepEqual(await tell(client.ask([more, m.sync])), ['1', 'Z I']);
      await client.query('DEALLOCATE ALL');
    }
    // What failed or was skipped has taken nothing.
    const skipped = [m.run('SELECT 1/0'), ...fill, m.sync];
    for (let round = 0; round < 3; round++)
      assert.deepEqual(m.errorsOf(await client.ask(skipped)), ['22012']);
    assert.deepEqual(await tell(client.ask([...fill, m.sync])), ['1', '1', '1', 'Z I']);
    client.quit();
  });

  test('is told so by number too, long names and short', async () => {
    for (const prefix of ['n', 'n'.repeat(1000)]) {
      const client = await stage().login('one');
      const names = Array.from({ length: 3000 }, (_, n) => m.parse(`${String(n)}${prefix}`, ''));
      const replies = await client.ask([...names, m.sync]);
      const prepared = replies.filter(({ type }) => type === '1').length;
      assert.ok(prepared > LIMIT / (3 * KB) && prepared <= LIMIT / KB, String(prepared));
      assert.deepEqual(m.errorsOf(replies), ['53400']);
      client.quit();
    }
  });

  test('is told when one is too large by itself, and the rest of it is for nobody', async () => {
    const client = await stage().login('one');
    const large = m.parse('large', long(7, 5 * MB));
    const TOO_LARGE = 'E 54000 named prepared statement is too large to be shared';
    assert.deepEqual(await tell(client.ask([large, m.runNamed('large'), m.sync])), [TOO_LARGE, 'Z I']);
    const batches = [m.run('SELECT 8'), m.sync, large, m.sync, m.run('SELECT 9'), m.sync];
    const replies = await client.ask(batches, 3);
    assert.deepEqual(m.valuesOf(replies), ['8', '9']);
    assert.deepEqual(m.errorsOf(replies), ['54000']);
    client.send(m.run('SELECT 1/0'), m.flush);
    await client.upTo('E');
    assert.deepEqual(await tell(client.ask([large, m.sync])), ['Z I']);
    await client.sendCut([large, m.sync, m.query('SELECT 10')], [1000, 70_001]);
    assert.deepEqual(m.valuesOf(await client.ready(2)), ['10']);
    client.quit();
  });
});

describe('the memory of the daemon', () => {
  test('does not grow with what is on its way, though nobody asks for answers', async () => {
    const client = await stage().login('one');
    const grown = await growth(async () => {
      for (let n = 0; n < 300; n++) await client.sendSlowly(m.parse('', long(n, 900 * KB)));
      await client.ask([m.sync]);
    });
    assert.ok(grown < ROOM, `${grown.toFixed()} MB`);
    client.quit();
  });

  test('does not grow with what is refused, though it was referred to under other settings', async () => {
    const client = await stage().login('one');
    const set = m.run('SET search_path = public');
    const grown = await growth(async () => {
      for (let n = 0; n < 300; n++)
        await client.ask([
          m.parse('s', `SELEKT ${long(n, 900 * KB)}`),
          set,
          m.bind({ statement: 's' }),
          m.sync,
        ]);
    });
    assert.ok(grown < ROOM, `${grown.toFixed()} MB`);
    client.quit();
  });

  test('does not grow with what one client prepares and closes again, nor with what the server keeps of that', async () => {
    const client = await stage().login('one');
    const grown = await growth(async () => {
      for (let n = 0; n < 300; n++)
        await client.ask([m.parse('s', long(n, 900 * KB)), m.closeStatement('s'), m.sync]);
    });
    assert.ok(grown < ROOM, `${grown.toFixed()} MB`);
    const kept = await client.query('SELECT sum(length(statement)) FROM pg_prepared_statements');
    assert.ok(Number(m.valuesOf(kept)[0]) <= LIMIT, m.valuesOf(kept).join());
    client.quit();
  });
});
