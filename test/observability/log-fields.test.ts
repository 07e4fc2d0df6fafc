import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { safeFields, safeText } from '../../src/observability/log-fields.ts';

describe('safeText', () => {
  test('takes the password out of connection strings', () => {
    const secret = fc
      .string({ unit: fc.constantFrom(...'abcXYZ019!$%:@'), minLength: 8, maxLength: 20 })
      .map((text) => `q${text}q`);
    fc.assert(
      fc.property(secret, (password) => {
        const text = safeText(`cannot connect to postgres://app:${password}@db.internal:5432/app`);
        assert.ok(!text.includes(password), text);
        assert.ok(text.endsWith('@db.internal:5432/app'));
      }),
    );
    assert.equal(safeText("host=db password='it\\'s me' user=app"), 'host=db password=[redacted] user=app');
  });

  test('cuts what is long', () => {
    assert.ok(safeText('x'.repeat(1_000_000)).length < 3000);
  });
});

describe('safeFields', () => {
  test('redacts by name, at any depth', () => {
    const fields = {
      password: 'p1',
      auth: { storedKey: 'p2', clientSecret: 'p3' },
      users: [{ name: 'app', scramVerifier: 'p4' }],
    };
    const text = JSON.stringify(safeFields(fields));
    assert.ok(!/p[1-4]/.test(text), text);
    assert.ok(text.includes('"name":"app"'));
  });

  test('writes an error with its cause, and no secret in either', () => {
    const cause = new Error('bad url postgres://u:hunter2@h/d');
    const error = Object.assign(new Error('no pool', { cause }), { sqlState: '08006', password: 'hunter2' });
    const safe = safeFields({ error });
    const text = JSON.stringify(safe);
    assert.ok(!text.includes('hunter2'), text);
    assert.ok(text.includes('"sqlState":"08006"') && text.includes('no pool') && text.includes('bad url'));
  });

  test('makes something short and writable of anything', () => {
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    const text = JSON.stringify(
      safeFields({ cycle, bytes: Buffer.from('secret'), big: 1n, many: Array(10_000).fill(1) }),
    );
    assert.ok(!text.includes('secret'));
    assert.ok(text.length < 1000);
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.anything()), (fields) => {
        JSON.stringify(safeFields(fields));
      }),
    );
  });
});
