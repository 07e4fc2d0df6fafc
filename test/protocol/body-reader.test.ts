import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { BodyReader } from '../../src/protocol/body-reader.ts';
import { ClientError } from '../../src/protocol/errors.ts';
import { FrameWriter } from '../../src/protocol/frame-writer.ts';

const withoutZero = fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\0', ''));
/** A field: how it is written, and how it is checked when it is read back. */
type Field =
  | { readonly kind: 'uint8' | 'int16' | 'int32'; readonly value: number }
  | { readonly kind: 'cstring'; readonly value: string }
  | { readonly kind: 'bytes'; readonly value: Uint8Array };
const field: fc.Arbitrary<Field> = fc.oneof(
  fc.record({ kind: fc.constant('uint8'), value: fc.integer({ min: 0, max: 0xff }) }),
  fc.record({ kind: fc.constant('int16'), value: fc.integer({ min: -0x8000, max: 0x7fff }) }),
  fc.record({ kind: fc.constant('int32'), value: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }) }),
  fc.record({ kind: fc.constant('cstring'), value: withoutZero }),
  fc.record({ kind: fc.constant('bytes'), value: fc.uint8Array({ maxLength: 400 }) }),
);

function write(writer: FrameWriter, { kind, value }: Field): void {
  if (kind === 'cstring') writer.cstring(value);
  else if (kind === 'bytes') writer.bytes(value);
  else writer[kind](value);
}

function checkNext(reader: BodyReader, { kind, value }: Field): void {
  if (kind === 'cstring') assert.equal(reader.cstring(), value);
  else if (kind === 'bytes') assert.deepEqual(reader.bytes(value.length), Buffer.from(value));
  else assert.equal(reader[kind](), value);
}

describe('BodyReader', () => {
  test('reads what FrameWriter has written, frame by frame', () => {
    fc.assert(
      fc.property(fc.array(fc.array(field, { maxLength: 8 }), { maxLength: 6 }), (frames) => {
        const writer = new FrameWriter();
        for (const [index, fields] of frames.entries()) {
          writer.begin(index);
          for (const each of fields) write(writer, each);
          writer.end();
        }
        const bytes = writer.take();
        let start = 0;
        for (const [index, fields] of frames.entries()) {
          assert.equal(bytes[start], index);
          const end = start + 1 + bytes.readInt32BE(start + 1);
          const reader = new BodyReader(bytes, start + 5, end);
          for (const each of fields) checkNext(reader, each);
          assert.equal(reader.remaining, 0);
          assert.equal(reader.offset, end);
          start = end;
        }
        assert.equal(start, bytes.length);
      }),
    );
  });

  test('throws ClientError and nothing else, and moves not at all, for what lies outside the body', () => {
    const read = fc.constantFrom<(reader: BodyReader, length: number) => void>(
      (reader) => reader.uint8(),
      (reader) => reader.int16(),
      (reader) => reader.int32(),
      (reader) => reader.cstring(),
      (reader) => reader.cstringBytes(),
      (reader, length) => reader.bytes(length),
    );
    const reads = fc.array(fc.tuple(read, fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }), fc.boolean()));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), fc.nat(), fc.nat(), reads, (around, from, to, all) => {
        const bytes = Buffer.from(around);
        const start = from % (bytes.length + 1);
        const end = start + (to % (bytes.length - start + 1));
        const reader = new BodyReader(bytes, start, end);
        for (const [one, length, small] of all) {
          const before = reader.offset;
          try {
            one(reader, small ? length & 7 : length);
            assert.ok(reader.offset >= before);
          } catch (error) {
            assert.ok(error instanceof ClientError, String(error));
            assert.equal(error.sqlState, '08P01');
            assert.equal(reader.offset, before);
          }
          assert.ok(reader.offset <= end);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('does not take the zero behind the body for the end of its string', () => {
    assert.throws(() => new BodyReader(Buffer.from('abc\0'), 0, 3).cstring(), ClientError);
    assert.equal(new BodyReader(Buffer.from('abc\0'), 0, 4).cstring(), 'abc');
    assert.deepEqual(new BodyReader(Buffer.from('xabc\0'), 1).cstringBytes(), Buffer.from('abc'));
  });
});

describe('FrameWriter', () => {
  test('cuts a string off at a zero, so that no text can add fields', () => {
    assert.deepEqual(new FrameWriter().cstring('ab\0cd').take(), Buffer.from('ab\0'));
  });

  test('never touches again what has been taken', () => {
    const writer = new FrameWriter();
    const first = writer.begin(1).text('first').end().take();
    const copy = Buffer.from(first);
    writer.begin(2).text('second and longer').end();
    assert.deepEqual(first, copy);
    assert.equal(writer.take().length, 22);
    assert.equal(writer.take().length, 0);
  });

  test('grows as far as needed', () => {
    const large = Buffer.alloc(100_000, 'x');
    const frame = new FrameWriter().begin(0x44).bytes(large).uint8(9).end().take();
    assert.equal(frame.length, 100_006);
    assert.equal(frame.readInt32BE(1), 100_005);
    assert.deepEqual(frame.subarray(5, -1), large);
  });

  test('leaves the type out of an untyped packet', () => {
    assert.deepEqual(new FrameWriter().beginUntyped().int16(3).end().take(), Buffer.of(0, 0, 0, 6, 0, 3));
  });
});
