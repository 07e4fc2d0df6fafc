import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import { StatsAverages, sumTotals } from '../../src/observability/averages.ts';
import { DatabaseStats } from '../../src/observability/counters.ts';

const PERIOD = 60_000;

describe('StatsAverages', () => {
  test('counts from the start until there were two ticks', () => {
    const clock = new ManualClock();
    const averages = new StatsAverages(clock);
    const stats = new DatabaseStats();
    stats.queryCount = 100;
    clock.advance(10_000);
    assert.equal(averages.read([stats]).queryCount, 10);

    clock.advance(10_000);
    averages.tick([stats]);
    assert.equal(averages.read([stats]).queryCount, 5);
  });

  test('looks back to the second-last tick and no further', () => {
    const clock = new ManualClock();
    const averages = new StatsAverages(clock);
    const stats = new DatabaseStats();
    const addAndTick = (queries: number): void => {
      stats.queryCount += queries;
      clock.advance(PERIOD);
      averages.tick([stats]);
    };
    addAndTick(1_000_000);
    addAndTick(600);
    assert.equal(averages.read([stats]).queryCount, 10, 'the period between the two ticks');

    stats.queryCount += 900;
    clock.advance(PERIOD / 2);
    assert.equal(averages.read([stats]).queryCount, 16, '1500 queries in 90 seconds, rounded down');

    addAndTick(0);
    addAndTick(0);
    assert.equal(averages.read([stats]).queryCount, 0);
  });

  test('averages times over what took them, not over seconds', () => {
    const clock = new ManualClock();
    const averages = new StatsAverages(clock);
    const stats = new DatabaseStats();
    stats.xactCount = 2;
    stats.countTransactionEnd(3);
    stats.countTransactionEnd(4);
    stats.queryCount = 3;
    stats.countQueryEnd(1);
    stats.countAssignment(0.5);
    stats.countAssignment(0);
    clock.advance(1000);

    const { xactTime, queryTime, waitTime, xactCount } = averages.read([stats]);
    assert.deepEqual({ xactTime, queryTime, waitTime }, { xactTime: 3500, queryTime: 333, waitTime: 250 });
    assert.equal(xactCount, 2);
  });

  test('is zero, not a division by zero, where nothing happened and no time passed', () => {
    const averages = new StatsAverages(new ManualClock());
    const stats = new DatabaseStats();
    stats.bytesSent = 5;
    assert.deepEqual(new Set(Object.values(averages.read([stats]))), new Set([0]));
  });

  test('gives a database that came later the same window', () => {
    const clock = new ManualClock();
    const averages = new StatsAverages(clock);
    clock.advance(PERIOD);
    averages.tick([]);
    const late = new DatabaseStats();
    late.bytesReceived = 1200;
    clock.advance(PERIOD);
    averages.tick([late]);
    assert.equal(averages.read([late]).bytesReceived, 20);
  });

  test('averages several databases together', () => {
    const clock = new ManualClock();
    const averages = new StatsAverages(clock);
    const [a, b] = [new DatabaseStats(), new DatabaseStats()];
    a.queryCount = 1;
    a.queryTime = 100;
    b.queryCount = 3;
    b.queryTime = 100;
    clock.advance(1000);
    assert.equal(averages.read([a, b]).queryTime, 50);
    assert.equal(averages.read([a, b]).queryCount, 4);
  });
});

describe('sumTotals', () => {
  test('adds up every field', () => {
    const [a, b] = [new DatabaseStats(), new DatabaseStats()];
    a.bindCount = 2;
    b.bindCount = 3;
    b.waitTime = 7;
    const sum = sumTotals([a, b]);
    assert.deepEqual([sum.bindCount, sum.waitTime, sum.xactCount], [5, 7, 0]);
  });
});
