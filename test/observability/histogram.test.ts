import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { BUCKET_BOUNDS, Histogram } from '../../src/observability/histogram.ts';

describe('Histogram', () => {
  test('agrees with counting the durations one by one', () => {
    const onBound = fc.constantFrom(...BUCKET_BOUNDS.map((seconds) => seconds * 1000));
    const durations = fc.array(fc.oneof(onBound, fc.double({ min: 0, max: 120_000, noNaN: true })));
    fc.assert(
      fc.property(durations, (taken) => {
        const histogram = new Histogram();
        for (const milliseconds of taken) histogram.observe(milliseconds);

        const { cumulative, count, sum } = histogram.snapshot();
        const expected = [...BUCKET_BOUNDS, Infinity].map(
          (bound) => taken.filter((milliseconds) => milliseconds <= bound * 1000).length,
        );
        assert.deepEqual(cumulative, expected);
        assert.equal(count, taken.length);
        const total = taken.reduce((sofar, milliseconds) => sofar + milliseconds, 0) / 1000;
        assert.ok(Math.abs(sum - total) <= 1e-9 * Math.max(1, total));
      }),
    );
  });

  test('counts a duration exactly on a bound into that bucket', () => {
    const histogram = new Histogram();
    histogram.observe(1);
    const { cumulative } = histogram.snapshot();
    assert.equal(cumulative[BUCKET_BOUNDS.indexOf(0.0005)], 0);
    assert.equal(cumulative[BUCKET_BOUNDS.indexOf(0.001)], 1);
  });

  test('takes a clock that went wrong for no time at all', () => {
    const histogram = new Histogram();
    histogram.observe(-5);
    histogram.observe(Number.NaN);
    const { cumulative, count, sum } = histogram.snapshot();
    assert.deepEqual([cumulative[0], count, sum], [2, 2, 0]);
  });

  test('spans a tenth of a millisecond to a minute, in rising order', () => {
    assert.equal(BUCKET_BOUNDS.at(0), 0.0001);
    assert.equal(BUCKET_BOUNDS.at(-1), 60);
    assert.deepEqual(
      BUCKET_BOUNDS,
      BUCKET_BOUNDS.toSorted((a, b) => a - b),
    );
  });
});
