import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PreparedStatement } from '../../src/session/prepared-statements.ts';
import { ServerStatements } from '../../src/session/server-statements.ts';

const statement = (bytes: number): PreparedStatement => new PreparedStatement('s', Buffer.alloc(bytes));

describe('the statements of a server', () => {
  test('are too many by their number or by their bytes, and the one that was not used for the longest time goes', () => {
    const statements = new ServerStatements();
    const [a, b, c] = [statement(10), statement(20), statement(30)];
    for (const each of [a, b, c]) statements.place(each, 'usable');
    statements.use(a);
    assert.equal(statements.surplus(3, 60), undefined);
    assert.equal(statements.surplus(2, 60), b);
    assert.equal(statements.surplus(3, 59), b);
    statements.place(b, undefined);
    assert.equal(statements.surplus(3, 40), undefined);
    assert.equal(statements.surplus(3, 39), c);
    statements.place(c, 'retired');
    assert.equal(statements.surplus(3, 40), c);
    statements.place(c, undefined);
    assert.equal(statements.surplus(1, 1), undefined, 'the last one stays');
    statements.clear();
    statements.place(b, 'usable');
    statements.place(c, 'usable');
    assert.equal(statements.surplus(3, 50), undefined);
  });

  test('go in the order of their last use, also where one is used again and again, or comes back', () => {
    const statements = new ServerStatements();
    const [a, b, c] = [statement(1), statement(1), statement(1)];
    for (const each of [a, b, c]) statements.place(each, 'usable');
    for (const each of [c, c, a, a]) statements.use(each);
    assert.equal(statements.surplus(2, 60), b);
    statements.place(a, undefined);
    statements.use(b);
    statements.place(a, 'usable');
    for (const each of [b, a, a]) statements.use(each);
    assert.equal(statements.surplus(2, 60), c);
    statements.use(c);
    assert.equal(statements.surplus(2, 60), b);
  });

  test('are retired for who prepares them again more than a second after they were sent', () => {
    const statements = new ServerStatements();
    const there = statement(10);
    statements.known(there, 5000);
    statements.place(there, 'usable');
    statements.renew(there, 6000);
    assert.equal(statements.presence(there), 'usable');
    statements.renew(there, 6001);
    assert.equal(statements.presence(there), 'retired');
    statements.renew(statement(10), 9000);
    assert.equal(statements.size, 1);
  });
});
