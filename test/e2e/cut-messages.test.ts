/** Where the network cuts a message says nothing: what comes in two pieces is what it is in one. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sameAsDirect } from '../support/as-direct.ts';
import * as m from '../support/messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { useStage } from '../support/stage.ts';

const stage = useStage({ settings: 'max_waiting_bytes = 0', databases: { one: 'pool_size = 1' } });

/** Sends the messages in two pieces, the second when the first has been read; what comes until the `count`-th ReadyForQuery. */
async function inTwo(
  client: RawClient,
  at: number,
  messages: readonly Buffer[],
  count = 1,
): Promise<string[]> {
  const bytes = Buffer.concat(messages);
  // Its answer says that what came with it has been read.
  client.send(m.query('SELECT 0'), bytes.subarray(0, at));
  await client.upTo('Z');
  client.send(bytes.subarray(at));
  return (await client.ready(count)).map(m.told);
}

describe('a message of 2 MB', () => {
  const long = 'x'.repeat(2_000_000);
  for (const [what, messages] of [
    ['Bind', [m.bind({ statement: 'measure', values: [long] }), m.execute(), m.sync]],
    ['Parse', [m.parse('', `SELECT length('${long}')`), m.bind(), m.execute(), m.sync]],
    ['Query', [m.query(`SELECT length('${long}')`)]],
  ] as const)
    test(`passes as ${what} when its header is cut`, async () => {
      const client = await stage().login('one');
      await client.ask([m.parse('measure', 'SELECT length($1::text)'), m.sync]);
      for (const at of [1, 4, 5, 6])
        assert.ok((await inTwo(client, at, messages)).includes(`D ${String(long.length)}`));
      client.quit();
    });
});

describe('what ends a statement by SQL', () => {
  test('ends it wherever it is cut', async () => {
    const client = await stage().login('one');
    const deallocate = m.query('DEALLOCATE a');
    for (let at = 1; at < deallocate.length; at++) {
      await client.ask([m.parse('a', 'SELECT 1'), m.sync]);
      assert.deepEqual(await inTwo(client, at, [deallocate]), ['C DEALLOCATE', 'Z I']);
    }
    client.quit();
  });

  // What is behind the text or the number of rows looks like a message, or like the beginning of one.
  const more = Buffer.concat([m.parse('stray', 'SELECT 1'), Buffer.alloc(3000, 'Q')]);
  const tooLong = {
    Query: [m.message('Q', (writer) => writer.cstring('DEALLOCATE a').bytes(more))],
    Execute: [
      m.bind({ statement: 'end' }),
      m.message('E', (writer) => writer.cstring('').int32(0).bytes(more)),
      m.sync,
    ],
  };
  for (const [what, messages] of Object.entries(tooLong))
    test(`in a ${what} with more in it than belongs there ends nothing, and the rest of it is nothing by itself`, async () => {
      for (const at of [0, 40, 2000, Infinity])
        await sameAsDirect(stage(), 'one', async (client) => {
          await client.ask([m.parse('a', 'SELECT 1'), m.parse('end', 'DEALLOCATE a'), m.sync]);
          const replies = await inTwo(client, at, [...messages, m.runNamed('a'), m.sync], 2);
          return [...replies, ...(await client.query('SELECT 2')).map(m.told)];
        });
      const next = await stage().login('one');
      assert.deepEqual(m.valuesOf(await next.query('SELECT 3')), ['3']);
      next.quit();
    });
});
