/** A table of words that is asked with bytes: no string is made, and nothing is allocated. */
import { invariant } from '../base/assert.ts';

/** Of six bytes all over the word and of its length: a hash of all its bytes costs more than all the rest. Upper case is lower case. */
function hashOf(bytes: Buffer, start: number, end: number): number {
  const length = end - start;
  const quarter = length >> 2;
  const first =
    (bytes[start] ?? 0) | ((bytes[start + quarter] ?? 0) << 8) | ((bytes[end - 1 - quarter] ?? 0) << 16);
  const second = (bytes[start + (length >> 1)] ?? 0) | ((bytes[end - 1] ?? 0) << 8) | (length << 24);
  const third = bytes[end - (length > 1 ? 2 : 1)] ?? 0;
  const hash =
    Math.imul(first | 0x202020, 0x9e3779b1) ^
    Math.imul(second | 0x2020, 0x85ebca6b) ^
    Math.imul(third | 0x20, 0xc2b2ae35);
  return hash ^ (hash >>> 15);
}

/** As long as names can be. */
const MAX_LENGTH = 63;

export class WordTable {
  /** Slot → index of its word, from 1; 0 is a free slot. At most a quarter is taken, so that misses are short. */
  readonly #slots: Uint16Array;
  readonly #mask: number;
  /** Length → the first letters of words of this length, a bit each: most words that are asked for end here. */
  readonly #firsts = new Int32Array(MAX_LENGTH + 1);
  readonly #hashes: Int32Array;
  readonly #codes: Int32Array;
  /** The words one behind the other; `#starts` has one more entry than there are words. */
  readonly #text: Buffer;
  readonly #starts: Int32Array;

  /** Words are lower-case ASCII of at most 63 characters; a code is any number but 0. */
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
      this.#firsts[word.length] = (this.#firsts[word.length] ?? 0) | (1 << ((this.#text[start] ?? 0) & 31));
      const hash = hashOf(this.#text, start, end);
      this.#hashes[index] = hash;
      let slot = hash & this.#mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & this.#mask;
      this.#slots[slot] = ++index;
    }
  }

  /** The code of the word in `bytes`, or 0. `exactly`: upper case differs from lower case. */
  find(bytes: Buffer, start: number, end: number, exactly: boolean): number {
    const length = end - start;
    if (length > MAX_LENGTH) return 0;
    if ((((this.#firsts[length] ?? 0) >>> ((bytes[start] ?? 0) & 31)) & 1) === 0) return 0;
    const hash = hashOf(bytes, start, end);
    let slot = hash & this.#mask;
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
