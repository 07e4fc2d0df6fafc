/** Settings whose values do not fit into one read, and what PostgreSQL says of them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sameAsDirect } from '../support/as-direct.ts';
import * as m from '../support/messages.ts';
import { useStage } from '../support/stage.ts';

const stage = useStage({ databases: { one: 'pool_size = 1', two: 'pool_size = 2' } });

test('a report of 100 KB is told, and so is its end', async () => {
  const path = Array.from({ length: 5000 }, (_, n) => `a_schema_of_many_${String(n)}`).join(', ');
  await sameAsDirect(stage(), 'one', async (client) => {
    const told: string[] = [];
    for (const sql of [
      `SET search_path = ${path}`,
      'RESET search_path',
      `SET search_path = ${path}`,
      'DISCARD ALL',
    ]) {
      await client.query(sql);
      told.push(client.parameters.get('search_path') ?? '');
    }
    return told;
  });
});

describe('settings that another server refuses', () => {
  for (const size of [300_000, 1_048_500])
    test(`end their client, though the error is longer than what is held: a value of ${String(size)} bytes`, async () => {
      const [client, holder] = [await stage().login('two'), await stage().login('two')];
      // On one of two servers PL/pgSQL is loaded, and knows what its settings may be.
      await holder.query('BEGIN; DO $$ BEGIN END $$');
      await client.query(`SET plpgsql.extra_errors = '${'x'.repeat(size)}'`);
      const other = await stage().login('two');
      await other.query('BEGIN');
      await holder.query('COMMIT');
      client.send(m.query('SELECT 1'));
      const replies = await client.untilClosed();
      assert.deepEqual(m.errorsOf(replies), ['22023']);
      assert.match(replies.map(m.told).join(), /^E 22023 cannot restore session settings/);
      await other.query('COMMIT');
      for (const each of [holder, other]) {
        await each.query('BEGIN');
        assert.deepEqual(m.valuesOf(await each.query('SELECT 1')), ['1']);
      }
      holder.quit();
      other.quit();
    });
});
