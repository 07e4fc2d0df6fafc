import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { InternedMap } from '../../src/session/interned-map.ts';

const names = ['a', 'b', 'c', '__proto__', ''];
const texts = fc.constantFrom('', '1', '"', ',');
const entries = fc.array(fc.tuple(fc.constantFrom(...names), texts), { maxLength: 6 });

describe('an interned map', () => {
  test('is the same object for the same content, in whatever order, and another one for any other', () => {
    fc.assert(
      fc.property(entries, entries, (some, others) => {
        const [one, other] = [new Map(some), new Map(others)];
        const isEqual = one.size === other.size && [...one].every(([name, text]) => other.get(name) === text);
        assert.equal(InternedMap.of(some) === InternedMap.of(others), isEqual);
        assert.equal(InternedMap.of([...one].toReversed()), InternedMap.of(some));
      }),
    );
  });

  test('differs by one entry from what it is made of', () => {
    fc.assert(
      fc.property(entries, fc.constantFrom(...names), texts, (some, name, text) => {
        const map = InternedMap.of(some);
        const model = new Map(some);
        assert.equal(map.with(name, text), InternedMap.of(new Map(model).set(name, text)));
        model.delete(name);
        assert.equal(map.without(name), InternedMap.of(model));
        assert.equal(map.without(name).get(name), undefined);
      }),
    );
  });

  test('over another has its own entries, and of the other what it has not', () => {
    fc.assert(
      fc.property(entries, entries, (upper, lower) => {
        const both = InternedMap.of(upper).over(InternedMap.of(lower));
        assert.equal(both, InternedMap.of([...lower, ...upper]));
        assert.equal(both.size, new Map([...lower, ...upper]).size);
      }),
    );
  });

  test('without entries is the empty one', () => {
    assert.equal(InternedMap.of([]), InternedMap.empty);
    assert.equal(InternedMap.empty.with('a', '1').without('a'), InternedMap.empty);
    assert.deepEqual([...InternedMap.empty], []);
  });
});
