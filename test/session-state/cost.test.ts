/** What following a session costs: nothing where there is nothing to follow. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as m from '../support/messages.ts';
import { metricsAt } from '../support/metrics.ts';
import { freePort } from '../support/ports.ts';
import { type RawClient } from '../support/raw-client.ts';
import { useStage } from '../support/stage.ts';

const httpPort = await freePort();
const stage = useStage({
  settings: '',
  databases: { one: 'pool_size = 1' },
  schema: `CREATE TABLE hay (n int); CREATE FUNCTION double(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';`,
  env: { OSTLER__OSTLER__HTTP_PORT: String(httpPort) },
});

const metric = async (name: string): Promise<number> => (await metricsAt(httpPort))(name);
/** Questions that were asked of servers until now. */
const probes = (): Promise<number> => metric('ostler_session_probes_total');
const needless = (): Promise<number> => metric('ostler_session_probes_needless_total');

/** Whether the server has been given a state: what that takes stays prepared. (The audit of idle servers prepares other statements.) */
const wasGiven = async (client: RawClient): Promise<boolean> =>
  m.valuesOf(await client.query(`SELECT name FROM pg_prepared_statements WHERE name = 'ostler_resetAll'`))
    .length > 0;

describe('nothing is asked', () => {
  const quiet: Readonly<Record<string, readonly string[]>> = {
    'of reading and writing': [
      'SELECT 1, lower($$SET x$$) -- SET work_mem',
      'INSERT INTO hay VALUES (1); UPDATE hay SET n = 2; DELETE FROM hay',
      'BEGIN; SAVEPOINT a; ROLLBACK TO a; COMMIT',
      'SHOW work_mem',
      'BEGIN; DECLARE c CURSOR FOR SELECT 1; FETCH ALL FROM c; ROLLBACK',
    ],
    'of what lasts for its transaction only': [
      `BEGIN; SET LOCAL work_mem = '5MB'; SELECT set_config('app.tenant', '1', true); COMMIT`,
      'BEGIN; SET TRANSACTION READ ONLY; SET CONSTRAINTS ALL DEFERRED; COMMIT',
      'SELECT pg_advisory_xact_lock(1)',
    ],
    "of asyncpg's reset": [
      'SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;',
      'DEALLOCATE ALL',
      'DISCARD ALL',
    ],
  };
  for (const [what, texts] of Object.entries(quiet)) {
    test(what, async () => {
      const client = await stage().login('one');
      const before = await probes();
      for (const text of texts) {
        await client.query(text);
        const [head] = text.split(';');
        if (!text.includes(';')) await client.ask([m.run(head ?? ''), m.sync]);
      }
      assert.equal(await probes(), before);
      client.quit();
    });
  }
});

test('a function that never leaves anything is asked about less and less often', async () => {
  const client = await stage().login('one');
  const before = { probes: await probes(), needless: await needless() };
  for (let n = 0; n < 64; n++) await client.query('SELECT double(1)');
  // What was asked last has been answered when the next is.
  await client.query('SELECT 1');
  const asked = (await probes()) - before.probes;
  assert.ok(asked >= 32 && asked <= 36, String(asked));
  assert.equal((await needless()) - before.needless, asked);
  client.quit();
});

test('what is asked about is needless only if nothing has changed', async () => {
  const client = await stage().login('one');
  const before = await needless();
  const changes = [
    `SET work_mem = '5MB'`,
    'RESET work_mem',
    'LISTEN hay',
    'UNLISTEN hay',
    'SET ROLE pg_monitor',
  ];
  for (const sql of changes) await client.query(sql);
  await client.query('SELECT 1');
  assert.equal(await needless(), before);
  for (const sql of ['SET ROLE pg_monitor', 'DO $$ BEGIN END $$']) await client.query(sql);
  await client.query('SELECT 1');
  assert.equal(await needless(), before + 2);
  client.quit();
});

test('a server that has just what its client has set is given nothing', async () => {
  const client = await stage().login('one');
  await client.query(`SET work_mem = '5MB'`);
  await client.query('SELECT 1');
  const before = await probes();
  // A replay would prepare what it sends.
  await client.query('DEALLOCATE ALL');
  for (let n = 0; n < 3; n++) assert.deepEqual(m.valuesOf(await client.query('SHOW work_mem')), ['5MB']);
  assert.equal(await wasGiven(client), false);
  assert.equal(await probes(), before);
  client.quit();
});
