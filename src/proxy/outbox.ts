/** What goes to one peer: pieces of the chunk that is being scanned, and bytes of our own between them, as few writes as can be. */
import type { Connection } from '../net/connection.ts';

const nothing: Buffer = Buffer.alloc(0);

export class Outbox {
  readonly #connection: Connection;
  /** The piece that has not been written yet: contiguous ranges of one chunk grow together. */
  #chunk = nothing;
  #start = 0;
  #end = 0;
  #corked = false;
  #reusable = true;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Forwards `chunk` from `start` to `end`. The chunk must not change until `finish`. */
  forward(chunk: Buffer, start: number, end: number): void {
    if (chunk === this.#chunk && start === this.#end) {
      this.#end = end;
      return;
    }
    this.#flushPiece();
    this.#chunk = chunk;
    this.#start = start;
    this.#end = end;
  }

  /** Puts bytes of our own behind what was forwarded; they must never change. */
  insert(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.forward(bytes, 0, bytes.length);
  }

  /** Hands everything to the connection. True when nobody needs the forwarded chunk any more. */
  finish(): boolean {
    if (this.#start < this.#end) {
      const piece = this.#piece();
      this.#reusable = this.#connection.write(piece) && this.#reusable;
    }
    this.#chunk = nothing;
    this.#start = 0;
    this.#end = 0;
    if (this.#corked) {
      this.#corked = false;
      this.#connection.uncork();
      const reusable = this.#connection.pending === 0;
      this.#reusable = true;
      return reusable;
    }
    const reusable = this.#reusable;
    this.#reusable = true;
    return reusable;
  }

  #flushPiece(): void {
    if (this.#start === this.#end) return;
    if (!this.#corked) {
      this.#corked = true;
      this.#connection.cork();
    }
    this.#connection.write(this.#piece());
  }

  #piece(): Buffer {
    return this.#start === 0 && this.#end === this.#chunk.length
      ? this.#chunk
      : this.#chunk.subarray(this.#start, this.#end);
  }
}
