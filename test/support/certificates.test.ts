import { X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { Authority } from './certificates.ts';

describe('test certificates', () => {
  for (const keyType of ['ec', 'rsa'] as const) {
    test(`are signed by their authority and name their hosts (${keyType})`, () => {
      const authority = new Authority('an authority', { keyType });
      const ca = new X509Certificate(authority.certificate.cert);
      const leaf = new X509Certificate(
        authority.issue('db.example', { keyType, altNames: ['db.example', '10.1.2.3', '2001:db8::7'] }).cert,
      );
      assert.equal(leaf.checkIssued(ca), true);
      assert.equal(leaf.verify(ca.publicKey), true);
      assert.equal(leaf.checkHost('db.example'), 'db.example');
      assert.equal(leaf.checkIP('10.1.2.3'), '10.1.2.3');
      assert.notEqual(leaf.checkIP('2001:db8::7'), undefined);
      assert.equal(leaf.checkHost('other.example'), undefined);
      assert.equal(ca.ca, true);
      assert.equal(leaf.ca, false);
    });
  }

  test('can have run out', () => {
    const leaf = new X509Certificate(new Authority().issue('localhost', { days: -1 }).cert);
    assert.ok(Date.parse(leaf.validTo) < Date.now());
    assert.ok(Date.parse(leaf.validFrom) < Date.parse(leaf.validTo));
  });
});
