/** RELOAD may begin to have session state followed: what was set before that meets nobody else, and stays where its client has it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type pg from 'pg';
import { type Configuration, leave, toml, useYard, value } from '../support/pooling.ts';

const configuration = (database: Configuration['databases']): Configuration => ({
  ostler: { default_pool_size: 2, server_round_robin: true },
  databases: database ?? {},
});
const before = configuration({ off: { session_state: 'off' }, session: { pool_mode: 'session' } });
const afterwards = configuration({ off: {}, session: { pool_mode: 'transaction' } });
const yard = useYard({ roles: { app: 'SUPERUSER', groom: '' }, configuration: before });

async function reload(next: Configuration): Promise<void> {
  const { daemon, postgres } = yard();
  const since = daemon.log.length;
  await daemon.writeConfig(toml(postgres, next));
  daemon.child.kill('SIGHUP');
  await daemon.waitForLog(({ msg }) => String(msg).startsWith('RELOAD'), since);
}

const found = async (client: pg.Client): Promise<unknown> =>
  value(client, `SELECT current_user || ' ' || current_setting('work_mem')`);
const DIRT = `SET work_mem = '9MB'; SET ROLE groom`;

test('what clients have set while nobody followed it is gone, or stays with a client that has its server', async () => {
  const careless = await yard().client({ database: 'off' });
  await careless.query(DIRT);
  const keeper = await yard().client({ database: 'session' });
  await keeper.query(`${DIRT}; PREPARE mine AS SELECT 7`);
  await reload(afterwards);
  for (const database of ['off', 'session']) {
    const next = await yard().client({ database });
    for (let n = 0; n < 4; n++) assert.equal(await found(next), 'app 4MB');
    await leave(next);
  }
  for (let n = 0; n < 4; n++) assert.equal(await found(keeper), 'groom 9MB');
  assert.equal(await value(keeper, 'EXECUTE mine'), 7);
  await Promise.all([leave(keeper), leave(careless)]);
  const last = await yard().client({ database: 'session' });
  for (let n = 0; n < 4; n++) assert.equal(await found(last), 'app 4MB');
});
