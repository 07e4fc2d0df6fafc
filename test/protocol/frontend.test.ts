import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { serialize } from 'pg-protocol';
import { FrameWriter } from '../../src/protocol/frame-writer.ts';
import * as frontend from '../../src/protocol/frontend.ts';

const text = fc.string({ unit: 'grapheme' }).map((value) => value.replaceAll('\0', ''));

const written = (write: (writer: FrameWriter) => void): Buffer => {
  const writer = new FrameWriter();
  write(writer);
  return writer.take();
};

describe('frontend messages', () => {
  test('are the bytes that node-postgres sends', () => {
    fc.assert(
      fc.property(text, text, (name, sql) => {
        assert.deepEqual(frontend.query(sql), serialize.query(sql));
        assert.deepEqual(frontend.copyFail(sql), serialize.copyFail(sql));
        assert.deepEqual(
          written((writer) => frontend.writeParse(writer, name, sql, [23, 25])),
          serialize.parse({ name, text: sql, types: [23, 25] }),
        );
        assert.deepEqual(
          written((writer) => frontend.writeClose(writer, 'P', name)),
          serialize.close({ type: 'P', name }),
        );
      }),
    );
    assert.deepEqual(frontend.sync(), serialize.sync());
    assert.deepEqual(frontend.terminate(), serialize.end());
    assert.deepEqual(frontend.password(Buffer.from('secret\0')), serialize.password('secret'));
  });

  test('bind parameters as text, NULL apart from an empty string, and execute to the end', () => {
    const bind = Buffer.from(
      'B\0\0\0\x21\0st\0\0\0\0\x03\0\0\0\x02\xc3\xa9\xff\xff\xff\xff\0\0\0\0\0\0',
      'latin1',
    );
    bind.writeInt32BE(bind.length - 1, 1);
    assert.deepEqual(
      written((writer) => frontend.writeBindExecute(writer, 'st', ['é', null, ''])),
      Buffer.concat([bind, serialize.execute({})]),
    );
  });
});
