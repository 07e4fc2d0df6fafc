/** Reads the fields of one message body, and refuses what lies outside it. */
import { ClientError } from './errors.ts';

const EMPTY = Buffer.alloc(0);

export class BodyReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;

  /** Reads `bytes` from `start` to `end`; a body has no header. */
  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Where the next field begins, in the buffer given. */
  get offset(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  /** @throws {ClientError} 08P01, like every method here, when the body is too short */
  uint8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#take(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#take(4));
  }

  /** A string up to its zero byte, which is taken too. Not valid UTF-8 becomes U+FFFD: use `cstringBytes` where it matters. */
  cstring(): string {
    const start = this.#at;
    return this.#bytes.toString('utf8', start, this.#endOfString());
  }

  /** The bytes of a zero-terminated string, without the zero; a view, not a copy. */
  cstringBytes(): Buffer {
    const start = this.#at;
    const end = this.#endOfString();
    return start === end ? EMPTY : this.#bytes.subarray(start, end);
  }

  /** The next `length` bytes; a view, not a copy. */
  bytes(length: number): Buffer {
    if (length < 0) throw this.#tooShort();
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  #endOfString(): number {
    // Nearly all names in the extended protocol are empty: a call of indexOf, and a view, cost 0.1 µs more.
    const zero = this.#bytes[this.#at] === 0 ? this.#at : this.#bytes.indexOf(0, this.#at);
    if (zero < 0 || zero >= this.#end)
      throw new ClientError('invalid message format: string without terminator');
    this.#at = zero + 1;
    return zero;
  }

  #take(length: number): number {
    const start = this.#at;
    if (start + length > this.#end) throw this.#tooShort();
    this.#at = start + length;
    return start;
  }

  #tooShort(): ClientError {
    return new ClientError('invalid message format: message is too short');
  }

  /** The columns of a DataRow whose values are text; null = SQL's NULL. */
  textRow(): (string | null)[] {
    const row: (string | null)[] = [];
    for (let left = this.int16(); left > 0; left--) {
      const length = this.int32();
      row.push(length < 0 ? null : this.bytes(length).toString('utf8'));
    }
    return row;
  }
}
