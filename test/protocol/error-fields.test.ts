import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { errorResponse, noticeResponse } from '../../src/protocol/backend.ts';
import { fatalFrom, parseErrorFields } from '../../src/protocol/error-fields.ts';
import { ClientError } from '../../src/protocol/errors.ts';
import { HEADER_SIZE } from '../../src/protocol/message-types.ts';

const text = fc.string({ unit: 'grapheme' }).map((value) => value.replaceAll('\0', ''));

describe('parseErrorFields', () => {
  test('gives back the error that was written', () => {
    const state = fc.stringMatching(/^[0-9A-Z]{5}$/);
    const severity = fc.constantFrom('ERROR', 'FATAL');
    const maybe = fc.option(text, { nil: undefined });
    fc.assert(
      fc.property(text, state, severity, maybe, maybe, (message, sqlState, level, detail, hint) => {
        const error = new ClientError(message, { sqlState, severity: level, detail, hint });
        const frame = errorResponse(error);
        assert.deepEqual(parseErrorFields(frame, HEADER_SIZE, frame.length), {
          severity: level,
          sqlState,
          message,
          detail,
          hint,
          routine: undefined,
        });
      }),
    );
  });

  test('takes the severity that is not localized, and the routine', () => {
    const body = Buffer.from('SFEHLER\0VERROR\0C42P01\0Mno\0Rrelation\0\0');
    const { severity, routine } = parseErrorFields(body, 0, body.length);
    assert.deepEqual({ severity, routine }, { severity: 'ERROR', routine: 'relation' });
  });

  test('makes do with what there is', () => {
    const nothing = { detail: undefined, hint: undefined, routine: undefined };
    const empty = { severity: 'ERROR', sqlState: 'XX000', message: '', ...nothing };
    assert.deepEqual(parseErrorFields(Buffer.alloc(0), 0, 0), empty);
    assert.deepEqual(parseErrorFields(Buffer.of(0), 0, 1), empty);
    const frame = noticeResponse('hello', 'there');
    for (let end = HEADER_SIZE; end <= frame.length; end++) {
      const { message } = parseErrorFields(frame, HEADER_SIZE, end);
      assert.ok(message === '' || message === 'hello');
    }
  });

  test('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(), (around, from) => {
        const bytes = Buffer.from(around);
        const fields = parseErrorFields(bytes, from % (bytes.length + 1), bytes.length);
        assert.equal(typeof fields.message, 'string');
      }),
      { numRuns: 1000 },
    );
  });

  test("ends a client's session in the server's words", () => {
    const frame = errorResponse(new ClientError('gone', { sqlState: '57P01', detail: 'd', hint: 'h' }));
    const error = fatalFrom(parseErrorFields(frame, HEADER_SIZE, frame.length));
    assert.equal(error.severity, 'FATAL');
    assert.deepEqual(errorResponse(error), frame);
  });
});
