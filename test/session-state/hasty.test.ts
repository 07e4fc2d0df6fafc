/** A client that goes away while its server is asked what it has left: the question is cancelled with everything else, and nobody else is hurt. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as m from '../support/messages.ts';
import { useStage } from '../support/stage.ts';

/** A question is hit only if it takes long enough: where there are that many locks, asking for one's own does. */
const LOCKS = 40_000;
const names = ['one', 'two', 'three', 'four', 'five'];
const stage = useStage({
  databases: Object.fromEntries(names.map((name) => [name, 'pool_size = 1'])),
  postgres: { settings: { max_locks_per_transaction: '1000' } },
});

test('a question that a cancel has hit leaves no doubt about what is prepared', async () => {
  const locker = await stage().direct();
  await locker.query(`SELECT count(pg_advisory_lock(n)) FROM generate_series(1, ${String(LOCKS)}) n`);
  for (const name of names) {
    const hasty = await stage().login(name);
    await hasty.query('SELECT pg_advisory_lock(0)');
    hasty.reset();
    const next = await stage().login(name);
    await next.query('SELECT pg_advisory_lock(0)');
    assert.deepEqual(m.valuesOf(await next.query('SELECT 1')), ['1']);
    next.quit();
  }
  locker.quit();
  const log = await stage().postgres.log();
  assert.match(log, /canceling statement due to user request/, 'one was hit');
  assert.doesNotMatch(log, /prepared statement "ostler_\w+" does not exist/);
});
