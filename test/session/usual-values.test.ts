import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UsualValues } from '../../src/session/usual-values.ts';

const MINUTE = 60_000;

describe('what is usual', () => {
  test('is missing until it has been learnt, and again a minute later, when it is still known', () => {
    const values = new UsualValues();
    assert.equal(values.areMissing(['work_mem'], 0), true);
    values.learn(new Map([['work_mem', '34']]), 0);
    assert.equal(values.areMissing(['work_mem'], MINUTE), false);
    assert.equal(values.areMissing(['work_mem'], MINUTE + 1), true);
    assert.equal(values.get('work_mem'), '34');
    values.learn(new Map([['work_mem', '35']]), MINUTE + 1);
    assert.equal(values.areMissing(['work_mem'], 2 * MINUTE), false);
    assert.equal(values.get('work_mem'), '35');
  });

  test('is missing where one of several names is not known', () => {
    const values = new UsualValues();
    values.learn(new Map([['work_mem', '34']]), 0);
    assert.equal(values.areMissing(['work_mem', 'timezone'], 0), true);
    assert.equal(values.areMissing([], 0), false);
  });

  test('is the empty text of a setting that is not there, which is known', () => {
    const values = new UsualValues();
    values.learn(new Map([['no.such', null]]), 0);
    assert.equal(values.areMissing(['no.such'], 0), false);
    assert.equal(values.get('no.such'), '');
  });

  test('is forgotten when it is of more names than there are settings, and when that is asked', () => {
    const values = new UsualValues();
    const many = Array.from({ length: 1000 }, (_, index): [string, string] => [`n${String(index)}`, '31']);
    values.learn(new Map(many), 0);
    assert.equal(values.get('n0'), '31');
    values.learn(new Map([['one more', '31']]), 0);
    assert.deepEqual([values.get('n0'), values.get('one more')], [undefined, '31']);
    values.clear();
    assert.equal(values.get('one more'), undefined);
  });
});
