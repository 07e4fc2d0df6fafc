/** Who drops prepared statements that are not its own, by SQL that is more than one DEALLOCATE, harms nobody else. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as m from '../support/messages.ts';
import { tell } from '../support/as-direct.ts';
import { useStage } from '../support/stage.ts';

const stage = useStage({ databases: { one: 'pool_size = 1' } });

const RUN = [m.bind({ statement: 'mine' }), m.execute(), m.sync];

describe('a client whose prepared statement another one has dropped on their server', () => {
  for (const [how, sql] of [
    ['by a DEALLOCATE among other statements', (name: string) => `SELECT 1; DEALLOCATE "${name}"`],
    ['by DEALLOCATE ALL inside DO', () => `DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$`],
  ] as const) {
    test(`still has it, and its settings: ${how}`, async () => {
      const victim = await stage().login('one');
      await victim.query(`SET work_mem = '6MB'`);
      await victim.ask([m.parse('mine', 'SELECT 7'), m.sync]);
      assert.deepEqual((await tell(victim.ask(RUN))).slice(1, 2), ['D 7']);
      const other = await stage().login('one');
      const names = m.valuesOf(await other.query('SELECT name FROM pg_prepared_statements'));
      assert.ok(names.length > 3);
      for (const name of names) await other.query(sql(name ?? ''));
      for (let n = 0; n < 2; n++) {
        assert.deepEqual((await tell(victim.ask(RUN))).slice(1, 2), ['D 7']);
        assert.deepEqual(m.valuesOf(await victim.query('SHOW work_mem')), ['6MB']);
        await other.query('SELECT 1');
      }
      victim.quit();
      other.quit();
    });
  }

  test('is told so once by the server if nothing shows it, and no more', async () => {
    const victim = await stage().login('one');
    await victim.ask([m.parse('mine', 'SELECT 7'), m.sync]);
    await victim.ask(RUN);
    const other = await stage().login('one');
    await other.query(`DO $$ DECLARE gone text; BEGIN
      FOR gone IN SELECT name FROM pg_prepared_statements WHERE statement = 'SELECT 7' LOOP EXECUTE format('DEALLOCATE %I', gone); END LOOP;
      END $$`);
    assert.deepEqual(m.errorsOf(await victim.ask(RUN)), ['26000']);
    assert.deepEqual(m.valuesOf(await victim.ask(RUN)), ['7']);
    victim.quit();
    other.quit();
  });
});

test('what a client was lent for its DEALLOCATE, and left, the next one does not find', async () => {
  const client = await stage().login('one');
  for (const name of ['mine', 'é', 'x'.repeat(70)]) await client.ask([m.parse(name, 'SELECT 7'), m.sync]);
  const sql = `SELECT 1/0; DEALLOCATE mine; DEALLOCATE "é"; DEALLOCATE ${'x'.repeat(70)}`;
  assert.deepEqual(m.errorsOf(await client.query(sql)), ['22012']);
  const other = await stage().login('one');
  assert.deepEqual(
    m.valuesOf(await other.query(`SELECT name FROM pg_prepared_statements WHERE name !~ '^ostler_'`)),
    [],
  );
  assert.deepEqual(m.errorsOf(await other.query('PREPARE mine AS SELECT 8; DEALLOCATE mine')), []);
  assert.deepEqual(m.valuesOf(await client.ask([m.runNamed('mine'), m.sync])), ['7']);
  client.quit();
  other.quit();
});

test('statements that are to be closed wait for the end of a batch that has failed', async () => {
  const client = await stage().login('one');
  await client.ask([m.parse('mine', 'SELECT 7'), m.sync]);
  // From here on each statement of this server may be somebody's own, and is closed when the next is prepared.
  await client.query('PREPARE q AS SELECT 1');
  await client.query('DEALLOCATE q');
  client.send(m.parse('bad', 'SELEKT'), m.flush);
  await client.upTo('E');
  client.send(m.parse('next', 'SELECT 8'), m.sync);
  await client.ready();
  // The server has skipped it.
  assert.deepEqual(m.errorsOf(await client.ask([m.runNamed('next'), m.sync])), ['26000']);
  assert.deepEqual(m.valuesOf(await client.ask([m.parse('next', 'SELECT 8'), m.runNamed('next'), m.sync])), [
    '8',
  ]);
  assert.deepEqual(m.valuesOf(await client.ask([m.runNamed('mine'), m.sync])), ['7']);
  client.quit();
});
