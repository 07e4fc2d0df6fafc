/** Where the network cuts a message says nothing: what comes in two pieces is what it is in one. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as m from '../support/messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { useStage } from '../support/stage.ts';

const stage = useStage({ databases: { one: 'pool_size = 1' } });

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
