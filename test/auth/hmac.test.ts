import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { HmacKey, sha256 } from '../../src/auth/hmac.ts';

const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));

describe('HmacKey', () => {
  test('signs as createHmac does, for keys shorter and longer than a block, again and again', () => {
    fc.assert(
      fc.property(bytes, fc.array(bytes, { maxLength: 3 }), (key, messages) => {
        const hmac = new HmacKey(key);
        for (const message of messages) {
          assert.deepEqual(hmac.sign(message), createHmac('sha256', key).update(message).digest());
        }
      }),
    );
  });
});

describe('sha256', () => {
  test('hashes as createHash does', () => {
    fc.assert(
      fc.property(bytes, (message) => {
        assert.deepEqual(sha256(message), createHash('sha256').update(message).digest());
      }),
    );
  });
});
