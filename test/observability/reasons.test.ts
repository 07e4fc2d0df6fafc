import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReasonCounter, SqlStateCounter } from '../../src/observability/reasons.ts';

describe('ReasonCounter', () => {
  test('has every reason at zero before anything happened', () => {
    assert.deepEqual(new ReasonCounter(['killed', 'shutdown']).entries(), [
      ['killed', 0],
      ['shutdown', 0],
    ]);
  });

  test('counts each reason by itself', () => {
    const counter = new ReasonCounter(['killed', 'shutdown']);
    counter.add('shutdown');
    counter.add('shutdown');
    assert.deepEqual([counter.get('killed'), counter.get('shutdown')], [0, 2]);
  });
});

describe('SqlStateCounter', () => {
  test('counts by code', () => {
    const counter = new SqlStateCounter();
    for (const code of ['53300', '57P01', '53300']) counter.add(code);
    assert.deepEqual(counter.entries(), [
      ['53300', 2],
      ['57P01', 1],
    ]);
  });

  test('counts what is no SQLSTATE as other', () => {
    const counter = new SqlStateCounter();
    for (const code of ['', '5330', '53300\n', 'secret', 'abcde']) counter.add(code);
    assert.deepEqual(counter.entries(), [['other', 5]]);
  });

  test('never grows beyond its bound, and loses no count', () => {
    const counter = new SqlStateCounter();
    for (let code = 10_000; code < 20_000; code += 1) counter.add(String(code));
    const entries = counter.entries();
    assert.ok(entries.length <= 130);
    assert.equal(
      entries.reduce((sum, [, count]) => sum + count, 0),
      10_000,
    );
  });
});
