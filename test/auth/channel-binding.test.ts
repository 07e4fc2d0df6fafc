import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { tlsServerEndPoint } from '../../src/auth/channel-binding.ts';
import { certificates } from './certificates.ts';

describe('tlsServerEndPoint', () => {
  const expected = {
    ecdsaSha256: 'sha256',
    ecdsaSha384: 'sha384',
    ecdsaSha512: 'sha512',
    ecdsaSha1: 'sha256',
    rsaSha512: 'sha512',
    pssSha384: 'sha384',
    pssSha1: 'sha256',
  } as const;
  for (const name of [
    'ecdsaSha256',
    'ecdsaSha384',
    'ecdsaSha512',
    'ecdsaSha1',
    'rsaSha512',
    'pssSha384',
    'pssSha1',
  ] as const) {
    test(`hashes a certificate signed by ${name} with ${expected[name]}`, () => {
      const certificate = certificates[name];
      assert.deepEqual(
        tlsServerEndPoint(certificate),
        createHash(expected[name]).update(certificate).digest(),
      );
    });
  }

  test('has no binding for a certificate signed by Ed25519', () => {
    assert.equal(tlsServerEndPoint(certificates.ed25519), undefined);
  });

  test('has none for whatever is no certificate', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        assert.equal(tlsServerEndPoint(Buffer.from(bytes)), undefined);
      }),
    );
  });

  test('has none, and does not fail, for a certificate that is cut', () => {
    const certificate = certificates.pssSha384;
    for (let length = 0; length < certificate.length; length += 1) {
      assert.equal(tlsServerEndPoint(certificate.subarray(0, length)), undefined);
    }
  });

  test('does not fail for a certificate with a changed byte', () => {
    const { pssSha384 } = certificates;
    fc.assert(
      fc.property(fc.nat({ max: pssSha384.length - 1 }), fc.nat({ max: 255 }), (at, byte) => {
        const changed = Buffer.from(pssSha384);
        changed[at] = byte;
        const binding = tlsServerEndPoint(changed);
        assert.ok(binding === undefined || binding.length >= 28);
      }),
      { numRuns: 1000 },
    );
  });
});
