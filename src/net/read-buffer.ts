/**
 * The buffer that one socket reads into. It belongs to that socket alone: the kernel may write into it at any moment, so
 * it must not be shared, and once its bytes wait in somebody's queue it must be left to them and replaced.
 *
 * A client starts with a small one, because there are thousands of them and most are idle; a read that fills it brings
 * a large one, and the next short read the small one back. Buffers nobody uses any more are kept for others, up to a limit.
 */

export type ReadBufferKind = 'client' | 'server';

const SMALL = 1024;
/** What libuv suggests for a read. */
const LARGE = 65_536;

/** Small buffers are cut from slabs: an allocation of its own would cost more than the buffer. */
const SLAB = 8 * SMALL;
const KEPT_SMALL = 4096;
const KEPT_LARGE = 64;

const smallBuffers: Buffer[] = [];
const largeBuffers: Buffer[] = [];

export class ReadBuffer {
  readonly #growsFromSmall: boolean;
  #current: Buffer;

  constructor(kind: ReadBufferKind) {
    this.#growsFromSmall = kind === 'client';
    this.#current = this.#growsFromSmall ? takeSmall() : takeLarge();
  }

  get current(): Buffer {
    return this.#current;
  }

  /** After a read of `length` bytes: the buffer for the next one. `free` says that nobody kept those bytes. */
  next(length: number, free: boolean): Buffer {
    const read = this.#current;
    const wantsLarge = !this.#growsFromSmall || length === read.length || length > SMALL;
    if (free && wantsLarge === read.length > SMALL) return read;
    this.#current = wantsLarge ? takeLarge() : takeSmall();
    if (free) keep(read);
    return this.#current;
  }

  /** The socket is closed and will not read again. */
  release(): void {
    keep(this.#current);
  }
}

function takeLarge(): Buffer {
  return largeBuffers.pop() ?? Buffer.allocUnsafeSlow(LARGE);
}

function takeSmall(): Buffer {
  const kept = smallBuffers.pop();
  if (kept !== undefined) return kept;
  const slab = Buffer.allocUnsafeSlow(SLAB);
  for (let start = SMALL; start < SLAB; start += SMALL)
    smallBuffers.push(slab.subarray(start, start + SMALL));
  return slab.subarray(0, SMALL);
}

function keep(buffer: Buffer): void {
  if (buffer.length === SMALL) {
    if (smallBuffers.length < KEPT_SMALL) smallBuffers.push(buffer);
  } else if (largeBuffers.length < KEPT_LARGE) {
    largeBuffers.push(buffer);
  }
}
