import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DatabaseStats } from '../../src/observability/counters.ts';

describe('DatabaseStats', () => {
  test('adds times as microseconds and observes them', () => {
    const stats = new DatabaseStats();
    stats.countAssignment(0);
    stats.countAssignment(2.5);
    stats.countQueryEnd(3);
    stats.countTransactionEnd(7);

    assert.equal(stats.serverAssignmentCount, 2);
    assert.deepEqual([stats.waitTime, stats.queryTime, stats.xactTime], [2500, 3000, 7000]);
    assert.equal(stats.wait.snapshot().count, 2);
    assert.equal(stats.query.snapshot().sum, 0.003);
    assert.equal(stats.transaction.snapshot().sum, 0.007);
  });

  test('shows a wait in vain in the histogram only', () => {
    const stats = new DatabaseStats();
    stats.countVainWait(15_000);
    assert.deepEqual([stats.serverAssignmentCount, stats.waitTime], [0, 0]);
    assert.equal(stats.wait.snapshot().sum, 15);
  });
});
