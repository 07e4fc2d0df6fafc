import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import { PoolerStats } from '../../src/observability/counters.ts';
import { PoolTracking, type SessionPolicy } from '../../src/proxy/pool-tracking.ts';

const clock = new ManualClock();
const tracking = (configured: () => SessionPolicy = () => 'track'): PoolTracking =>
  new PoolTracking({ clock, stats: new PoolerStats(), configured });

describe('what a pool remembers', () => {
  test('is its policy as it is configured now', () => {
    let configured: SessionPolicy = 'off';
    const pool = tracking(() => configured);
    assert.equal(pool.policy, 'off');
    configured = 'pin';
    assert.equal(pool.policy, 'pin');
  });

  test('turns "track" into "strict" for good once state was found that nothing had shown, and no other policy', () => {
    let configured: SessionPolicy = 'track';
    const pool = tracking(() => configured);
    pool.turnStrict();
    assert.equal(pool.policy, 'strict');
    for (const other of ['pin', 'off', 'strict'] as const) {
      configured = other;
      assert.equal(pool.policy, other);
    }
    configured = 'track';
    assert.equal(pool.policy, 'strict');
  });

  test('is the first pin of each application for each reason', () => {
    const pool = tracking();
    assert.deepEqual(
      [
        pool.isFirstPin('a', 'temp'),
        pool.isFirstPin('a', 'temp'),
        pool.isFirstPin('a', 'lock'),
        pool.isFirstPin('b', 'temp'),
      ],
      [true, false, true, true],
    );
  });

  test('is no more than a thousand of them: an application that is one too many is always new', () => {
    const pool = tracking();
    for (let index = 0; index < 1000; index++) pool.isFirstPin(`app ${String(index)}`, 'temp');
    assert.deepEqual([pool.isFirstPin('late', 'temp'), pool.isFirstPin('late', 'temp')], [true, true]);
    assert.equal(pool.isFirstPin('app 999', 'temp'), false);
  });

  test('is what is usual of settings, and nothing is missing of custom ones', () => {
    const pool = tracking();
    assert.equal(pool.usualMissing(['app.user', 'app.tenant']), false);
    assert.equal(pool.usualMissing(['app.user', 'work_mem']), true);
    pool.learnUsual(new Map([['work_mem', '34']]));
    assert.equal(pool.usualMissing(['app.user', 'work_mem']), false);
    assert.equal(pool.usual('work_mem'), '34');
    clock.advance(60_001);
    assert.equal(pool.usualMissing(['work_mem']), true);
  });
});
