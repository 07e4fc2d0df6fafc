import assert from 'node:assert/strict';
import { test } from 'node:test';

import { InternedMap } from '../../src/session/interned-map.ts';
import { toHex } from '../../src/session/replay.ts';
import { cutsShort, idleSessionTimeout } from '../../src/session/timeouts.ts';

/** As PostgreSQL shows it: in the largest unit that gives a whole number. */
const timeoutOf = (shown: string): number =>
  idleSessionTimeout(InternedMap.of([['idle_session_timeout', toHex(shown)]]));

test('idle_session_timeout is read in all units that PostgreSQL shows it in', () => {
  const shown = {
    '0': 0,
    '400ms': 400,
    '5s': 5000,
    '90s': 90_000,
    '2min': 120_000,
    '3h': 10_800_000,
    '1d': 86_400_000,
  };
  assert.deepEqual(Object.fromEntries(Object.keys(shown).map((text) => [text, timeoutOf(text)])), shown);
});

test('a client that has not set idle_session_timeout has none', () => {
  assert.equal(idleSessionTimeout(InternedMap.empty), 0);
  assert.equal(idleSessionTimeout(InternedMap.of([['work_mem', toHex('5s')]])), 0);
});

test('a server may cancel our own statements where a client’s limit on statements or transactions is below 100 ms', () => {
  const cuts = (name: string, shown: string): boolean => cutsShort(InternedMap.of([[name, toHex(shown)]]));
  for (const name of ['statement_timeout', 'transaction_timeout'])
    assert.deepEqual(
      ['0', '1ms', '99ms', '100ms', '1s', '1min'].map((shown) => cuts(name, shown)),
      [false, true, true, false, false, false],
      name,
    );
  assert.equal(cuts('idle_session_timeout', '1ms'), false);
  assert.equal(cutsShort(InternedMap.empty), false);
});
