import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { PreparedStatement } from '../../src/session/prepared-statements.ts';
import { NamedStatement } from '../../src/session/statement-changes.ts';
import { sizeOfNamed, StatementNames } from '../../src/session/statement-names.ts';

const keys = fc.constantFrom('a', 'b', 'c');
const size = fc.integer({ min: 0, max: 100 });
const change = fc.record({ key: keys, size: fc.option(size), clear: fc.boolean() });

describe('the names of a client', () => {
  test('take what all that they stand for takes, whatever was set, set again, ended and cleared', () => {
    fc.assert(
      fc.property(fc.array(change), (changes) => {
        const names = new StatementNames();
        for (const { key, size: bytes, clear } of changes) {
          const named =
            bytes === null
              ? undefined
              : new NamedStatement(key, new PreparedStatement('s', Buffer.alloc(bytes)));
          if (clear) names.clear();
          names.set(key, named);
          assert.equal(names.get(key), named);
          assert.equal(names.has(key), named !== undefined);
        }
        const all = [...names].map(([, named]) => sizeOfNamed(named));
        assert.equal(names.size, all.length);
        assert.equal(
          names.bytes,
          all.reduce((sum, bytes) => sum + bytes, 0),
        );
      }),
    );
  });
});
