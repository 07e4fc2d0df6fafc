/** Builds frames one after another into one growing buffer, so that several messages become one write. */

const INITIAL_SIZE = 256;
const nothing = Buffer.alloc(0);

export class FrameWriter {
  #bytes = nothing;
  #length = 0;
  #frameStart = 0;

  /** Begins a frame; every field until `end` belongs to it. */
  begin(type: number): this {
    this.#reserve(5);
    this.#bytes.writeUInt8(type, this.#length);
    this.#frameStart = this.#length + 1;
    this.#length += 5;
    return this;
  }

  /** Begins a packet without a type byte: StartupMessage, CancelRequest, SSLRequest. */
  beginUntyped(): this {
    this.#reserve(4);
    this.#frameStart = this.#length;
    this.#length += 4;
    return this;
  }

  /** Writes the length that `begin` left open. */
  end(): this {
    this.#bytes.writeInt32BE(this.#length - this.#frameStart, this.#frameStart);
    return this;
  }

  uint8(value: number): this {
    this.#reserve(1);
    this.#length = this.#bytes.writeUInt8(value, this.#length);
    return this;
  }

  int16(value: number): this {
    this.#reserve(2);
    this.#length = this.#bytes.writeInt16BE(value, this.#length);
    return this;
  }

  int32(value: number): this {
    this.#reserve(4);
    this.#length = this.#bytes.writeInt32BE(value, this.#length);
    return this;
  }

  /** A string with its terminating zero; what is behind a zero inside it is cut off. */
  cstring(value: string | Uint8Array): this {
    if (typeof value !== 'string') return this.bytes(value).uint8(0);
    const zero = value.indexOf('\0');
    return this.text(zero < 0 ? value : value.slice(0, zero)).uint8(0);
  }

  /** A string without terminator. */
  text(value: string): this {
    const size = Buffer.byteLength(value);
    this.#reserve(size);
    this.#length += this.#bytes.write(value, this.#length, size, 'utf8');
    return this;
  }

  bytes(value: Uint8Array): this {
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  /** Everything written since the last `take`; the writer is empty afterwards and never touches those bytes again. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#bytes = nothing;
    this.#length = 0;
    return taken;
  }

  #reserve(size: number): void {
    const needed = this.#length + size;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2, INITIAL_SIZE));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}
