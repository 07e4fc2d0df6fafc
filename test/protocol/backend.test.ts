import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Parser } from 'pg-protocol/dist/parser.js';
import * as backend from '../../src/protocol/backend.ts';
import { ClientError } from '../../src/protocol/errors.ts';
import { FrameWriter } from '../../src/protocol/frame-writer.ts';

/** What node-postgres understands from the bytes, as plain objects. */
function understood(bytes: Buffer): unknown[] {
  const messages: unknown[] = [];
  new Parser().parse(bytes, (message) => messages.push({ ...message }));
  return messages;
}

const written = (write: (writer: FrameWriter) => void): Buffer => {
  const writer = new FrameWriter();
  write(writer);
  return writer.take();
};

function assertUnderstood(bytes: Buffer, expected: Readonly<Record<string, unknown>>): void {
  assert.equal(bytes.readInt32BE(1) + 1, bytes.length);
  const [message, ...more] = understood(bytes);
  assert.deepEqual(more, []);
  assert.partialDeepStrictEqual(message, expected);
}

describe('backend messages', () => {
  test('are what node-postgres takes for replies without fields', () => {
    assertUnderstood(backend.parseComplete, { name: 'parseComplete' });
    assertUnderstood(backend.bindComplete, { name: 'bindComplete' });
    assertUnderstood(backend.closeComplete, { name: 'closeComplete' });
    assertUnderstood(backend.emptyQueryResponse, { name: 'emptyQuery' });
  });

  test('are what node-postgres takes for the steps of a login', () => {
    const salt = Buffer.of(1, 2, 3, 4);
    assertUnderstood(backend.authenticationOk(), { name: 'authenticationOk' });
    assertUnderstood(backend.authenticationCleartext(), { name: 'authenticationCleartextPassword' });
    assertUnderstood(backend.authenticationMd5(salt), { name: 'authenticationMD5Password', salt });
    assertUnderstood(backend.authenticationSasl(['SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS']), {
      name: 'authenticationSASL',
      mechanisms: ['SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS'],
    });
    assertUnderstood(backend.authenticationSaslContinue(Buffer.from('r=x')), {
      name: 'authenticationSASLContinue',
      data: 'r=x',
    });
    assertUnderstood(backend.authenticationSaslFinal(Buffer.from('v=y')), {
      name: 'authenticationSASLFinal',
      data: 'v=y',
    });
    assertUnderstood(
      written((writer) => backend.writeBackendKeyData(writer, 77, Buffer.of(0, 0, 1, 0))),
      { name: 'backendKeyData', processID: 77, secretKey: 256 },
    );
    assertUnderstood(
      written((writer) => backend.writeParameterStatus(writer, 'TimeZone', 'Europe/Zürich')),
      { name: 'parameterStatus', parameterName: 'TimeZone', parameterValue: 'Europe/Zürich' },
    );
    assertUnderstood(backend.readyForQuery(0x54), { name: 'readyForQuery', status: 'T' });
  });

  test('carry an error with all that helps', () => {
    const error = new ClientError('no "such" thing', {
      sqlState: '42704',
      severity: 'ERROR',
      detail: 'detail',
      hint: 'hint',
    });
    // DatabaseError keeps its message where a spread does not find it.
    const seen: string[] = [];
    new Parser().parse(backend.errorResponse(error), (message) => {
      if (message instanceof Error) seen.push(message.message);
    });
    assert.deepEqual(seen, ['no "such" thing']);
    assertUnderstood(backend.errorResponse(error), {
      name: 'error',
      severity: 'ERROR',
      code: '42704',
      detail: 'detail',
      hint: 'hint',
    });
  });

  test('leave out what an error does not have', () => {
    assert.deepEqual(
      backend.errorResponse(new ClientError('no')).subarray(5).toString(),
      'SFATAL\0VFATAL\0C08P01\0Mno\0\0',
    );
  });

  test('carry a notice', () => {
    assertUnderstood(backend.noticeResponse('waiting', 'for a server'), {
      name: 'notice',
      severity: 'NOTICE',
      code: '00000',
      message: 'waiting',
      detail: 'for a server',
    });
  });

  test('carry the tag of a command', () => {
    assertUnderstood(
      written((writer) => backend.writeCommandComplete(writer, 'SHOW')),
      { name: 'commandComplete', text: 'SHOW' },
    );
  });

  test('name the protocol options that are not known', () => {
    const expected = Buffer.from('v\0\0\0\x20\0\x03\0\0\0\0\0\x02_pq_.first\0_pq_.x\0', 'latin1');
    expected.writeInt32BE(expected.length - 1, 1);
    assert.deepEqual(backend.negotiateProtocolVersion(0x0003_0000, ['_pq_.first', '_pq_.x']), expected);
  });
});
