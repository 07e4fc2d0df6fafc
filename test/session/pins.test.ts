import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { cleaningOf, PIN_REASONS, pinAfter, type PinReason } from '../../src/session/pins.ts';

const reasons = fc.subarray([...PIN_REASONS]);
const passing: readonly PinReason[] = ['cursor', 'listen', 'temp', 'lock', 'prepare'];
const reasonsAfter = (before: readonly PinReason[], found: readonly PinReason[]): readonly PinReason[] =>
  pinAfter({ reasons: before, since: 1 }, found, 2)?.reasons ?? [];

describe('a pin', () => {
  test('is for what is found now and for what lasts as long as the session, in one order', () => {
    fc.assert(
      fc.property(reasons, reasons, (before, found) => {
        const expected = PIN_REASONS.filter(
          (reason) => found.includes(reason) || (before.includes(reason) && !passing.includes(reason)),
        );
        assert.deepEqual(reasonsAfter(before, found.toReversed()), expected);
      }),
    );
  });

  test('ends when nothing is found that held it', () => {
    assert.equal(pinAfter({ reasons: passing, since: 1 }, [], 2), undefined);
    assert.equal(pinAfter(undefined, [], 2), undefined);
  });

  test('is as old as the first reason that led to it', () => {
    const first = pinAfter(undefined, ['temp'], 1);
    assert.deepEqual(first, { reasons: ['temp'], since: 1 });
    assert.deepEqual(pinAfter(first, ['lock'], 5), { reasons: ['lock'], since: 1 });
    assert.deepEqual(pinAfter(pinAfter(first, [], 5), ['lock'], 7), { reasons: ['lock'], since: 7 });
  });
});

describe('a server', () => {
  test('is cleaned of what a client may have left by the least that takes all of it away', () => {
    const ranks = ['sweep', 'all', 'nothing'];
    const rank = (some: readonly PinReason[]): number => ranks.indexOf(cleaningOf(some));
    const alone: Readonly<Record<PinReason, string>> = {
      cursor: 'sweep',
      listen: 'sweep',
      temp: 'sweep',
      lock: 'sweep',
      sequence: 'sweep',
      unknown_setting: 'sweep',
      prepare: 'all',
      policy: 'all',
      seed: 'nothing',
      permanent: 'nothing',
      unknown: 'nothing',
    };
    for (const reason of PIN_REASONS) assert.equal(cleaningOf([reason]), alone[reason], reason);
    fc.assert(
      fc.property(reasons, (some) => {
        assert.equal(rank(some), Math.max(0, ...some.map((reason) => rank([reason]))));
      }),
    );
  });
});
