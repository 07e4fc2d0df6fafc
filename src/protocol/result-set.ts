/**
 * Rows that ostler itself sends to a client: RowDescription and DataRow, for the few types that the console needs.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
import { unreachable } from '../base/assert.ts';
import type { FrameWriter } from './frame-writer.ts';
import { Backend } from './message-types.ts';

/** What a type is called in pg_type, and how long its values are (-1: it varies). */
const types = {
  text: { oid: 25, size: -1 },
  int4: { oid: 23, size: 4 },
  int8: { oid: 20, size: 8 },
  numeric: { oid: 1700, size: -1 },
} as const;

export type ColumnType = keyof typeof types;

export interface Column {
  readonly name: string;
  readonly type: ColumnType;
}

/** Numbers are whole and not negative: counts, sizes and times. */
export type Cell = string | number | null;
export type Row = readonly Cell[];

export type Format = 'text' | 'binary';

/** `formats`: one for each column; all text if there is none. */
export function writeRowDescription(
  writer: FrameWriter,
  columns: readonly Column[],
  formats: readonly Format[] = [],
): void {
  writer.begin(Backend.rowDescription).int16(columns.length);
  for (const [index, { name, type }] of columns.entries()) {
    const { oid, size } = types[type];
    // Of no table: 0 for its oid and the column's number in it.
    writer.cstring(name).int32(0).int16(0).int32(oid).int16(size).int32(-1);
    writer.int16(formats[index] === 'binary' ? 1 : 0);
  }
  writer.end();
}

export function writeDataRow(
  writer: FrameWriter,
  columns: readonly Column[],
  row: Row,
  formats: readonly Format[] = [],
): void {
  writer.begin(Backend.dataRow).int16(columns.length);
  for (const [index, { type }] of columns.entries()) {
    const cell = row[index] ?? null;
    if (cell === null) {
      writer.int32(-1);
      continue;
    }
    const bytes = formats[index] === 'binary' ? binary(type, cell) : Buffer.from(String(cell));
    writer.int32(bytes.length).bytes(bytes);
  }
  writer.end();
}

function binary(type: ColumnType, cell: string | number): Buffer {
  switch (type) {
    case 'int4': {
      const bytes = Buffer.allocUnsafe(4);
      bytes.writeInt32BE(Number(cell));
      return bytes;
    }
    case 'int8': {
      const bytes = Buffer.allocUnsafe(8);
      bytes.writeBigInt64BE(BigInt(cell));
      return bytes;
    }
    case 'numeric':
      return binaryNumeric(Number(cell));
    case 'text':
      return Buffer.from(String(cell));
    default:
      return unreachable(type);
  }
}

/** PostgreSQL's numeric: four decimal digits to an int16, the most significant first. */
function binaryNumeric(value: number): Buffer {
  const digits: number[] = [];
  for (let rest = BigInt(value); rest > 0n; rest /= 10_000n) digits.unshift(Number(rest % 10_000n));
  const bytes = Buffer.alloc(8 + 2 * digits.length);
  bytes.writeInt16BE(digits.length, 0);
  // The weight of the first digit, in powers of 10,000; then a sign and a scale of zero.
  bytes.writeInt16BE(Math.max(digits.length - 1, 0), 2);
  for (const [index, digit] of digits.entries()) bytes.writeInt16BE(digit, 8 + 2 * index);
  return bytes;
}
