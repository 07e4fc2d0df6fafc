/** Bytes that came and have to wait: copies, because what they were read into is read into again. */
export class HeldBytes {
  #pieces: Buffer[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(bytes: Buffer): void {
    this.#pieces.push(Buffer.from(bytes));
    this.#size += bytes.length;
  }

  /** All of them, in order; from now on there are none. */
  take(): Buffer {
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#size = 0;
    return pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces);
  }
}
