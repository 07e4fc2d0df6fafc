import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { LinkedList } from '../../src/base/linked-list.ts';

describe('LinkedList', () => {
  test('behaves like an array that is changed at both ends and in the middle', () => {
    const items = Array.from({ length: 8 }, (_, id) => ({ id }));
    const change = fc.tuple(fc.constantFrom('push', 'unshift', 'delete'), fc.constantFrom(...items));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
        const list = new LinkedList<{ id: number }>();
        let model: { id: number }[] = [];
        for (const [kind, item] of changes) {
          if (kind === 'delete') {
            assert.equal(list.delete(item), model.includes(item));
            model = model.filter((other) => other !== item);
          } else if (!model.includes(item)) {
            if (kind === 'push') {
              list.push(item);
              model.push(item);
            } else {
              list.unshift(item);
              model.unshift(item);
            }
          }
          assert.deepEqual([...list], model);
          assert.equal(list.size, model.length);
          assert.equal(list.first, model[0]);
          assert.equal(list.last, model.at(-1));
        }
      }),
    );
  });

  test('refuses an object that is in it already', () => {
    const list = new LinkedList<object>();
    const item = {};
    list.push(item);
    assert.throws(() => list.push(item), /bug/);
  });
});
