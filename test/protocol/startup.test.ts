import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ClientError } from '../../src/protocol/errors.ts';
import { FrameWriter } from '../../src/protocol/frame-writer.ts';
import {
  cancelRequest,
  MAX_STARTUP_SIZE,
  parseStartup,
  PROTOCOL_3_0,
  PROTOCOL_3_2,
  sslRequest,
  startupMessage,
  startupSize,
} from '../../src/protocol/startup.ts';

const refused =
  (sqlState: string, message: RegExp) =>
  (error: unknown): boolean =>
    error instanceof ClientError && error.sqlState === sqlState && message.test(error.message);

const packet = (code: number, ...fields: (string | Uint8Array)[]): Buffer => {
  const writer = new FrameWriter().beginUntyped().int32(code);
  for (const field of fields) {
    if (typeof field === 'string') writer.cstring(field);
    else writer.bytes(field);
  }
  return writer.end().take();
};
const end = Buffer.of(0);
const withSize = (size: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(size);
  return bytes;
};

describe('startupSize', () => {
  test('waits for the four bytes of the length', () => {
    for (let length = 0; length < 4; length++) assert.equal(startupSize(Buffer.alloc(length)), undefined);
    assert.equal(startupSize(withSize(8)), 8);
  });

  test('takes what PostgreSQL takes and nothing larger or smaller', () => {
    assert.equal(startupSize(withSize(MAX_STARTUP_SIZE)), MAX_STARTUP_SIZE);
    for (const size of [-0x8000_0000, -1, 0, 4, 7, MAX_STARTUP_SIZE + 1, 0x7fff_ffff]) {
      assert.throws(
        () => startupSize(withSize(size)),
        refused('08P01', /^invalid length of startup packet$/),
      );
    }
  });

  test('takes no HTTP request and no TLS handshake for a packet', () => {
    assert.throws(() => startupSize(Buffer.from('GET / HTTP/1.1\r\n')), ClientError);
    assert.throws(() => startupSize(Buffer.of(0x16, 0x03, 0x01, 0x02, 0x00)), ClientError);
  });
});

describe('parseStartup', () => {
  test('tells an SSLRequest from a GSSENCRequest', () => {
    assert.deepEqual(parseStartup(sslRequest()), { kind: 'ssl' });
    assert.deepEqual(parseStartup(packet(80_877_104)), { kind: 'gssenc' });
    assert.throws(() => parseStartup(packet(80_877_103, end)), refused('08P01', /length/));
    assert.throws(() => parseStartup(packet(80_877_104, 'stuffed')), refused('08P01', /length/));
  });

  test('reads cancel keys of 4 to 256 bytes, and copies them', () => {
    for (const length of [4, 32, 256]) {
      const secret = Buffer.alloc(length, 7);
      const request = cancelRequest(-5, secret);
      const parsed = parseStartup(request);
      request.fill(0);
      assert.deepEqual(parsed, { kind: 'cancel', processId: -5, secret });
    }
    for (const length of [0, 3, 257]) {
      assert.throws(
        () => parseStartup(cancelRequest(1, Buffer.alloc(length))),
        refused('08P01', /bad cancel request/),
      );
    }
  });

  test('keeps the parameters in order with the names as they were spelt, the last of a name wins', () => {
    const parsed = parseStartup(packet(PROTOCOL_3_2, 'user', 'u', 'DateStyle', 'iso', 'user', 'é', end));
    assert.ok(parsed.kind === 'startup');
    assert.equal(parsed.version, PROTOCOL_3_2);
    assert.deepEqual(
      [...parsed.parameters],
      [
        ['user', 'é'],
        ['DateStyle', 'iso'],
      ],
    );
  });

  test('refuses a list of parameters that does not end with its packet', () => {
    const layout = refused('08P01', /^invalid startup packet layout/);
    assert.throws(() => parseStartup(packet(PROTOCOL_3_0)), layout);
    assert.throws(() => parseStartup(packet(PROTOCOL_3_0, 'user', 'u')), layout);
    assert.throws(() => parseStartup(packet(PROTOCOL_3_0, 'user')), layout);
    assert.throws(() => parseStartup(packet(PROTOCOL_3_0, 'user', 'u', end, 'x')), layout);
    assert.throws(() => parseStartup(packet(PROTOCOL_3_0, Buffer.from('user'))), refused('08P01', /./));
  });

  test('speaks protocol 3 in any minor version, and says so to the others', () => {
    const minor = parseStartup(packet(0x0003_270f, 'user', 'u', end));
    assert.ok(minor.kind === 'startup' && minor.version === 0x0003_270f);
    assert.throws(
      () => parseStartup(packet(0x0002_0000, end)),
      refused('0A000', /old V2 protocol not supported/),
    );
    assert.throws(() => parseStartup(packet(0x0004_0001, end)), refused('0A000', /4\.1/));
    assert.throws(() => parseStartup(packet(-1, end)), refused('0A000', /65535\.65535/));
  });

  test('gives back what startupMessage has written', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((value) => !value.includes('\0'));
    const name = text.filter((value) => value !== '');
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, text), { selector: ([key]) => key }), (parameters) => {
        const message = startupMessage(parameters);
        assert.equal(startupSize(message), message.length);
        assert.deepEqual(parseStartup(message), {
          kind: 'startup',
          version: PROTOCOL_3_0,
          parameters: new Map(parameters),
        });
      }),
    );
  });

  test('throws nothing but ClientError, whatever the bytes', () => {
    const code = fc.constantFrom(PROTOCOL_3_0, 0x0002_0000, 80_877_102, 80_877_103, 80_877_104);
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      fc.tuple(code, fc.uint8Array({ maxLength: 60 })).map(([what, rest]) => packet(what, rest)),
    );
    fc.assert(
      fc.property(anything, (bytes) => {
        try {
          startupSize(bytes);
          parseStartup(bytes);
        } catch (error) {
          assert.ok(error instanceof ClientError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});
