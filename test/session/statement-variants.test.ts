import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InternedMap } from '../../src/session/interned-map.ts';
import { SharedStatements } from '../../src/session/prepared-statements.ts';
import { Schema } from '../../src/session/schema.ts';
import { NamedStatement } from '../../src/session/statement-changes.ts';
import { StatementVariants } from '../../src/session/statement-variants.ts';

describe('the copies of a client', () => {
  test('are there until their names end', () => {
    const shared = new SharedStatements(new Schema());
    const [a, b] = ['a', 'b'].map(
      (name) => new NamedStatement(name, shared.intern(Buffer.from(`${name}\0\0\0`), InternedMap.empty)),
    );
    assert.ok(a !== undefined && b !== undefined);
    const variants = new StatementVariants();
    const copy = variants.copy(a, shared).statement;
    assert.notEqual(copy, a.statement);
    assert.equal(variants.copy(a, shared).statement, copy);
    const other = variants.copy(b, shared).statement;
    assert.equal(variants.end(a), copy);
    assert.equal(variants.end(a), undefined);
    assert.equal(variants.end(b), other);
  });
});
