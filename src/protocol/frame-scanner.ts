/**
 * Finds the frames in a stream of bytes, by their headers only.
 *
 *     chunk      … ┌────┬────────┬───────────┐ ┌────┬────────┬──────
 *                  │type│ length │ body      │ │type│ length │ bo…      the rest comes with the next chunk
 *                  └────┴────────┴───────────┘ └────┴────────┴──────
 *                   1 B   4 B, counts itself
 *
 * A visitor gets numbers, never slices. A frame that is whole in its chunk (nearly all are) is one call. Of one that is
 * not, the visitor chooses: gathered (held back and copied until it is whole; for what must be understood) or streamed
 * (its parts are shown as they come; for what may be of any size).
 */
import { ClientError } from './errors.ts';
import { HEADER_SIZE } from './message-types.ts';

/** What a visitor answers to a frame. */
export const Verdict = {
  /** Taken; show the next one. */
  next: 0,
  /** Taken; stop behind it. */
  stopAfter: 1,
  /** Not taken; stop in front of it, as if it had not come yet. */
  stopBefore: 2,
  /** Taken; what follows of the same type, as far as it is whole in the chunk, is shown in one more call, of which the answer does not count. */
  joinAlike: 3,
} as const;

export type Verdict = (typeof Verdict)[keyof typeof Verdict];

export interface FrameVisitor {
  /** A whole frame, header included: `chunk` from `start` to `end`. Behind `joinAlike` it may be several. */
  frame(type: number, chunk: Buffer, start: number, end: number): Verdict;
  /** Should a frame of `size` bytes (header included) that is cut be gathered? Only what is small: it will be held in memory. */
  gathers(type: number, size: number): boolean;
  /** The first part of a frame of `size` bytes that is streamed. At least its header is there. */
  head(type: number, size: number, chunk: Buffer, start: number, end: number): Verdict;
  /** A further part of the frame that `head` began. */
  part(chunk: Buffer, start: number, end: number, last: boolean): void;
}

const stops = (verdict: Verdict): boolean => verdict === Verdict.stopAfter || verdict === Verdict.stopBefore;

const badLength = (type: number, length: number): ClientError =>
  new ClientError(`bad packet header: type 0x${type.toString(16).padStart(2, '0')}, length ${length}`);

export class FrameScanner {
  readonly #visitor: FrameVisitor;
  readonly #maxSize: number;
  /** The first bytes of a header that is cut, with how many they are. */
  readonly #header = Buffer.alloc(HEADER_SIZE);
  #headerFilled = 0;
  /** What is still to come of a streamed frame. */
  #streamLeft = 0;
  /** A frame being gathered, with how many of its bytes are there. */
  #gathered: Buffer | undefined;
  #gatheredFilled = 0;

  /** `maxSize`: the largest frame that is let through, in bytes with its header. */
  constructor(visitor: FrameVisitor, maxSize = 0x7fff_ffff) {
    this.#visitor = visitor;
    this.#maxSize = maxSize;
  }

  /** No frame has begun that has not ended. */
  get atBoundary(): boolean {
    return this.#streamLeft === 0 && this.#headerFilled === 0 && this.#gathered === undefined;
  }

  /** A part of a frame was shown to the visitor and its end was not. */
  get streaming(): boolean {
    return this.#streamLeft > 0;
  }

  /**
   * Shows the visitor what is in `chunk` from `offset` on. Returns how far it came: the end of the chunk, or where the
   * visitor stopped it (scan the rest again, from there; behind `stopBefore` there is always some). Nothing of `chunk` is
   * kept without being copied.
   *
   * @throws {ClientError} 08P01 for a length that cannot be
   */
  scan(chunk: Buffer, offset = 0): number {
    const size = chunk.length;
    if (offset === size) return size;
    if (this.#streamLeft > 0) {
      offset = this.#continueStream(chunk, offset);
    } else if (this.#gathered !== undefined || this.#headerFilled > 0) {
      const verdict = this.#continueFrame(chunk, offset);
      offset = this.#at;
      if (stops(verdict)) return offset;
    }
    while (size - offset >= HEADER_SIZE) {
      const type = chunk.readUInt8(offset);
      const length = chunk.readInt32BE(offset + 1);
      if (length < 4 || length >= this.#maxSize) throw badLength(type, length);
      const end = offset + 1 + length;
      if (end > size) return this.#begin(type, length + 1, chunk, offset);
      const verdict = this.#visitor.frame(type, chunk, offset, end);
      if (verdict === Verdict.stopBefore) return offset;
      offset = end;
      if (verdict === Verdict.stopAfter) return offset;
      if (verdict === Verdict.joinAlike) offset = this.#showAlike(type, chunk, offset);
    }
    if (offset < size) {
      chunk.copy(this.#header, 0, offset);
      this.#headerFilled = size - offset;
    }
    return size;
  }

  /** The rows of a result: they are nearly all there is to a large one, and nobody needs to see them one by one. */
  #showAlike(type: number, chunk: Buffer, start: number): number {
    const lastHeader = chunk.length - HEADER_SIZE;
    let end = start;
    while (end <= lastHeader && chunk[end] === type) {
      const length = chunk.readInt32BE(end + 1);
      if (length < 4 || length >= this.#maxSize || end + 1 + length > chunk.length) break;
      end += 1 + length;
    }
    if (end > start) this.#visitor.frame(type, chunk, start, end);
    return end;
  }

  /** Where the step before left off; a field, so that the steps can return a verdict. */
  #at = 0;

  #begin(type: number, size: number, chunk: Buffer, offset: number): number {
    if (this.#visitor.gathers(type, size)) {
      this.#gathered = Buffer.allocUnsafe(size);
      this.#gatheredFilled = chunk.copy(this.#gathered, 0, offset);
      return chunk.length;
    }
    const verdict = this.#visitor.head(type, size, chunk, offset, chunk.length);
    if (verdict === Verdict.stopBefore) return offset;
    this.#streamLeft = size - (chunk.length - offset);
    return chunk.length;
  }

  #continueStream(chunk: Buffer, offset: number): number {
    const end = Math.min(offset + this.#streamLeft, chunk.length);
    this.#streamLeft -= end - offset;
    this.#visitor.part(chunk, offset, end, this.#streamLeft === 0);
    return end;
  }

  /** Goes on with what was cut and is not streamed: a header, then a frame that is gathered. */
  #continueFrame(chunk: Buffer, offset: number): Verdict {
    this.#at = offset;
    if (this.#headerFilled > 0) {
      const verdict = this.#completeHeader(chunk, offset);
      if (stops(verdict) || this.#gathered === undefined) return verdict;
    }
    return this.#gathered === undefined ? Verdict.next : this.#gather(this.#gathered, chunk, this.#at);
  }

  /** Rare: the header straddles two chunks. A copy of it is shown with all that has come of the body, as if it had not been cut. */
  #completeHeader(chunk: Buffer, offset: number): Verdict {
    const copied = chunk.copy(this.#header, this.#headerFilled, offset);
    this.#headerFilled += copied;
    this.#at = offset + copied;
    if (this.#headerFilled < HEADER_SIZE) return Verdict.stopAfter;
    const type = this.#header.readUInt8(0);
    const length = this.#header.readInt32BE(1);
    if (length < 4 || length >= this.#maxSize) throw badLength(type, length);
    const size = length + 1;
    const bodyEnd = Math.min(this.#at + length - 4, chunk.length);
    const shown = Buffer.concat([this.#header, chunk.subarray(this.#at, bodyEnd)]);
    const whole = shown.length === size;
    if (!whole && this.#visitor.gathers(type, size)) {
      this.#headerFilled = 0;
      this.#gathered = Buffer.allocUnsafe(size);
      this.#gatheredFilled = this.#header.copy(this.#gathered);
      return Verdict.next;
    }
    const verdict = whole
      ? this.#visitor.frame(type, shown, 0, size)
      : this.#visitor.head(type, size, shown, 0, shown.length);
    if (verdict === Verdict.stopBefore) {
      // The bytes that completed the header have not been taken, so that there is something to scan again.
      this.#headerFilled -= copied;
      this.#at = offset;
      return verdict;
    }
    this.#headerFilled = 0;
    this.#streamLeft = size - shown.length;
    this.#at = bodyEnd;
    return verdict;
  }

  #gather(frame: Buffer, chunk: Buffer, offset: number): Verdict {
    const copied = chunk.copy(frame, this.#gatheredFilled, offset);
    this.#gatheredFilled += copied;
    this.#at = offset + copied;
    if (this.#gatheredFilled < frame.length) return Verdict.stopAfter;
    const verdict = this.#visitor.frame(frame.readUInt8(0), frame, 0, frame.length);
    if (verdict === Verdict.stopBefore) {
      // The gathered part stays; the bytes that made it whole have not been taken.
      this.#gatheredFilled -= copied;
      this.#at = offset;
    } else {
      this.#gathered = undefined;
    }
    return verdict;
  }
}
