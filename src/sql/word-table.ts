/** A table of words that is asked with bytes: no string is made, and nothing is allocated. */
import { invariant } from '../base/assert.ts';

/** How a hash takes up one more byte. Letters count as lower case; callers start from 0. */
export const hashByte = (hash: number, byte: number): number => (Math.imul(hash, 31) + (byte | 0x20)) | 0;

const slotOf = (hash: number, mask: number): number => (hash ^ (hash >>> 13)) & mask;

export class WordTable {
  /** Slot → index of its word, from 1; 0 is a free slot. At most a quarter is taken, so that misses are short. */
  readonly #slots: Uint16Array;
  readonly #mask: number;
  readonly #hashes: Int32Array;
  readonly #codes: Int32Array;
  /** The words one behind the other; `#starts` has one more entry than there are words. */
  readonly #text: Buffer;
  readonly #starts: Int32Array;

  /** Words are lower-case ASCII; a code is any number but 0. */
  constructor(words: ReadonlyMap<string, number>) {
    const size = words.size;
    invariant(size < 0xffff, 'a word table has fewer than 65,535 words');
    this.#mask = 2 ** Math.ceil(Math.log2(4 * size + 4)) - 1;
    this.#slots = new Uint16Array(this.#mask + 1);
    this.#hashes = new Int32Array(size);
    this.#codes = new Int32Array(size);
    this.#starts = new Int32Array(size + 1);
    this.#text = Buffer.from([...words.keys()].join(''), 'latin1');
    let index = 0;
    for (const [word, code] of words) {
      const start = this.#starts[index] ?? 0;
      const end = start + word.length;
      this.#starts[index + 1] = end;
      this.#codes[index] = code;
      let hash = 0;
      for (let at = start; at < end; at++) hash = hashByte(hash, this.#text[at] ?? 0);
      this.#hashes[index] = hash;
      let slot = slotOf(hash, this.#mask);
      while (this.#slots[slot] !== 0) slot = (slot + 1) & this.#mask;
      this.#slots[slot] = ++index;
    }
  }

  /** The code of the word in `bytes`, or 0. `hash` is that of its bytes; `exactly`: upper case differs from lower case. */
  find(hash: number, bytes: Buffer, start: number, end: number, exactly: boolean): number {
    let slot = slotOf(hash, this.#mask);
    for (;;) {
      const index = (this.#slots[slot] ?? 0) - 1;
      if (index < 0) return 0;
      if (this.#hashes[index] === hash && this.#equals(index, bytes, start, end, exactly))
        return this.#codes[index] ?? 0;
      slot = (slot + 1) & this.#mask;
    }
  }

  #equals(index: number, bytes: Buffer, start: number, end: number, exactly: boolean): boolean {
    let at = this.#starts[index] ?? 0;
    if ((this.#starts[index + 1] ?? 0) - at !== end - start) return false;
    for (let i = start; i < end; i++, at++) {
      const byte = bytes[i] ?? 0;
      const letter = !exactly && byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
      if (letter !== this.#text[at]) return false;
    }
    return true;
  }
}
