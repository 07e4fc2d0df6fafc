/**
 * What goes to one peer: pieces of the chunk that is being scanned, and bytes of our own between them, in one write where that is possible.
 *
 *     one piece          written as it lies in the chunk: nearly always
 *     small pieces       copied together
 *     larger ones        written one by one, and sent together (writev)
 */
import type { Connection } from '../net/connection.ts';

const nothing: Buffer = Buffer.alloc(0);

/** To copy so much costs less than what Node does for a second piece. */
const GATHERED = 4096;
/** Those in use at the same time are as many as a chunk makes outboxes busy. */
const KEPT = 8;
const spare: Buffer[] = [];

export class Outbox {
  readonly #connection: Connection;
  /** The piece that has not been written yet: contiguous ranges of one chunk grow together. */
  #chunk = nothing;
  #start = 0;
  #end = 0;
  /** Copies of the pieces before it, with how many bytes they are. */
  #gathered: Buffer | undefined;
  #filled = 0;
  #corked = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Forwards `chunk` from `start` to `end`. The chunk must not change until `finish`. */
  forward(chunk: Buffer, start: number, end: number): void {
    if (chunk === this.#chunk && start === this.#end) {
      this.#end = end;
      return;
    }
    this.#putAway();
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
    if (this.#gathered !== undefined) this.#putAway();
    let free = true;
    if (this.#start < this.#end) free = this.#connection.write(this.#piece());
    if (this.#gathered !== undefined) this.#writeGathered(this.#gathered);
    this.#chunk = nothing;
    this.#start = 0;
    this.#end = 0;
    if (!this.#corked) return free;
    this.#corked = false;
    this.#connection.uncork();
    return this.#connection.pending === 0;
  }

  /** Makes room for another piece. */
  #putAway(): void {
    const size = this.#end - this.#start;
    if (size === 0) return;
    if (!this.#corked && this.#filled + size <= GATHERED) {
      this.#gathered ??= spare.pop() ?? Buffer.allocUnsafeSlow(GATHERED);
      this.#filled += this.#chunk.copy(this.#gathered, this.#filled, this.#start, this.#end);
    } else {
      if (!this.#corked) {
        this.#corked = true;
        this.#connection.cork();
      }
      if (this.#gathered !== undefined) this.#writeGathered(this.#gathered);
      this.#connection.write(this.#piece());
    }
    this.#start = this.#end;
  }

  #writeGathered(gathered: Buffer): void {
    const free = this.#connection.write(gathered.subarray(0, this.#filled));
    this.#gathered = undefined;
    this.#filled = 0;
    if (free && !this.#corked && spare.length < KEPT) spare.push(gathered);
  }

  #piece(): Buffer {
    return this.#start === 0 && this.#end === this.#chunk.length
      ? this.#chunk
      : this.#chunk.subarray(this.#start, this.#end);
  }
}
