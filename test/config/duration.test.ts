import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import fc from 'fast-check';

import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/config/duration.ts';

describe('parseDuration', () => {
  test('takes a bare number for seconds, as PgBouncer does', () => {
    assert.equal(parseDuration(15), 15_000);
    assert.equal(parseDuration(0.5), 500);
    assert.equal(parseDuration('15'), 15_000);
  });

  test('reads every unit', () => {
    assert.deepEqual(
      ['500ms', '15s', '5m', '1h', '1d', '1.5 h', '15 S'].map(parseDuration),
      [500, 15_000, 300_000, 3_600_000, 86_400_000, 5_400_000, 15_000],
    );
  });

  test('refuses what is no duration, is negative, or is longer than a year', () => {
    for (const input of ['', 's', '15 parsecs', '-1s', '1e3', '15s s', '366d', -1, Number.NaN, Infinity]) {
      assert.equal(parseDuration(input), undefined, String(input));
    }
  });

  test('refuses a duration too short to be told from 0, which means "off"', () => {
    assert.equal(parseDuration('0.1ms'), undefined);
    assert.equal(parseDuration('0'), 0);
  });

  test('reads back every duration that is printed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 365 * 86_400_000 }), (milliseconds) => {
        assert.equal(parseDuration(formatDuration(milliseconds)), milliseconds);
      }),
    );
  });
});

describe('parseSize', () => {
  test('takes a bare number for bytes and reads every unit', () => {
    assert.deepEqual(
      [1, '1', '1B', '64KiB', '16mib', '1GiB'].map(parseSize),
      [1, 1, 1, 65_536, 16_777_216, 1_073_741_824],
    );
  });

  test('reads back every size that is printed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2_147_483_647 }), (bytes) => {
        assert.equal(parseSize(formatSize(bytes)), bytes);
      }),
    );
  });
});
