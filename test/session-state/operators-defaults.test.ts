/** What connect_query has set is what every client finds and what RESET goes back to, however its session is cleaned. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type pg from 'pg';
import { useYard } from '../support/pooling.ts';

const connect_query = `SET work_mem = '5MB'; SET app.stable = 'north'; SET ROLE groom`;
const policies = ['track', 'strict'] as const;
const yard = useYard({
  roles: { app: 'SUPERUSER', groom: '', guest: '' },
  configuration: {
    databases: Object.fromEntries(
      policies.map((policy) => [policy, { pool_size: 1, session_state: policy, connect_query }]),
    ),
  },
});

const DEFAULTS = { work_mem: '5MB', stable: 'north', role: 'groom' };

async function found(client: pg.Client): Promise<object | undefined> {
  const { rows } = await client.query<object>(
    `SELECT current_setting('work_mem') AS work_mem, current_setting('app.stable', true) AS stable,
       current_user::text AS role`,
  );
  return rows[0];
}

for (const database of policies) {
  describe(`with session_state "${database}"`, () => {
    for (const sql of ['RESET ALL; RESET ROLE', 'DISCARD ALL', 'RESET work_mem']) {
      test(`it is there behind ${sql}`, async () => {
        const [one, other] = [await yard().client({ database }), await yard().client({ database })];
        assert.deepEqual(await found(one), DEFAULTS);
        await one.query('SET enable_seqscan = off');
        await one.query(sql);
        assert.deepEqual(await found(one), DEFAULTS);
        assert.deepEqual(await found(other), DEFAULTS);
        await Promise.all([one.end(), other.end()]);
      });
    }

    test('it is changed for one client only', async () => {
      const [one, other] = [await yard().client({ database }), await yard().client({ database })];
      await one.query(`SET work_mem = '6MB'; SET ROLE guest; SET app.stable = 'south'`);
      assert.deepEqual(await found(other), DEFAULTS);
      assert.deepEqual(await found(one), { work_mem: '6MB', stable: 'south', role: 'guest' });
      await one.query('DO $$ BEGIN RESET ALL; END $$');
      assert.deepEqual(await found(other), DEFAULTS);
      assert.equal((await one.query('SHOW work_mem')).rows[0]?.work_mem, '4MB');
      await Promise.all([one.end(), other.end()]);
    });
  });
}
