import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { BodyReader } from '../../src/protocol/body-reader.ts';
import { FrameWriter } from '../../src/protocol/frame-writer.ts';
import { HEADER_SIZE } from '../../src/protocol/message-types.ts';
import { type Column, type Row, writeDataRow, writeRowDescription } from '../../src/protocol/result-set.ts';

const columns: readonly Column[] = [
  { name: 'name', type: 'text' },
  { name: 'port', type: 'int4' },
  { name: 'ttl', type: 'int8' },
  { name: 'value', type: 'numeric' },
];

function valuesOf(frame: Buffer): (Buffer | null)[] {
  const reader = new BodyReader(frame, HEADER_SIZE);
  const values = Array.from({ length: reader.int16() }, () => {
    const length = reader.int32();
    return length < 0 ? null : Buffer.from(reader.bytes(length));
  });
  assert.equal(reader.remaining, 0);
  return values;
}

const written = (row: Row, format: 'text' | 'binary'): (Buffer | null)[] => {
  const writer = new FrameWriter();
  writeDataRow(
    writer,
    columns,
    row,
    columns.map(() => format),
  );
  return valuesOf(writer.take());
};

/** As PostgreSQL's numeric_recv reads it; whole numbers only. */
function numericFrom(bytes: Buffer): bigint {
  const weight = bytes.readInt16BE(2);
  let value = 0n;
  for (let index = 0; index <= weight; index++) {
    const at = 8 + 2 * index;
    value = value * 10_000n + BigInt(at < bytes.length ? bytes.readInt16BE(at) : 0);
  }
  return value;
}

describe('a result set', () => {
  test('describes each column by its name, type and size, and as part of no table', () => {
    const writer = new FrameWriter();
    writeRowDescription(writer, columns, ['text', 'binary']);
    const frame = writer.take();
    assert.equal(frame.toString('latin1', 0, 1), 'T');
    assert.equal(frame.readInt32BE(1), frame.length - 1);
    const reader = new BodyReader(frame, HEADER_SIZE);
    const described = Array.from({ length: reader.int16() }, () => ({
      name: reader.cstring(),
      table: reader.int32(),
      number: reader.int16(),
      type: reader.int32(),
      size: reader.int16(),
      modifier: reader.int32(),
      format: reader.int16(),
    }));
    const none = { table: 0, number: 0, modifier: -1 };
    assert.deepEqual(described, [
      { name: 'name', type: 25, size: -1, format: 0, ...none },
      { name: 'port', type: 23, size: 4, format: 1, ...none },
      { name: 'ttl', type: 20, size: 8, format: 0, ...none },
      { name: 'value', type: 1700, size: -1, format: 0, ...none },
    ]);
    assert.equal(reader.remaining, 0);
  });

  test('sends values as text, and null as no value', () => {
    const values = written(['grün', 5432, null, 12_345_678], 'text');
    assert.deepEqual(
      values.map((value) => value?.toString() ?? null),
      ['grün', '5432', null, '12345678'],
    );
  });

  test('sends a null for what a row is too short for', () => {
    assert.deepEqual(written([], 'text'), [null, null, null, null]);
  });

  test('sends every whole number so that binary readers get it back', () => {
    const whole = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
    const port = fc.integer({ min: 0, max: 2 ** 31 - 1 });
    fc.assert(
      fc.property(fc.string(), port, whole, whole, (name, int4, int8, numeric) => {
        const [first, second, third, fourth] = written([name, int4, int8, numeric], 'binary');
        assert.deepEqual(first, Buffer.from(name));
        assert.equal(second?.readInt32BE(0), int4);
        assert.equal(third?.readBigInt64BE(0), BigInt(int8));
        assert.equal(numericFrom(fourth ?? Buffer.alloc(8)), BigInt(numeric));
      }),
    );
  });
});
