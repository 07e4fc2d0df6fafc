/**
 * When to read peers that stream: where several do, once a millisecond, whatever there is by then, instead of every piece as
 * it comes.
 *
 * PostgreSQL sends a result in pieces of 8 KB. Each wakes this process for one read and one write, and on a busy machine takes
 * the CPU from a server in the middle of its work; network cards gather their interrupts for the same reason. Nobody waits
 * for a piece of so long an answer, a peer that is sent something is read at once, and a stream that is alone is never paused.
 */
import { type Clock, systemClock } from '../base/clock.ts';

/** Who has sent so many bytes since something was sent to it streams: a pause is little beside the time they took. */
const STREAM = 262_144;
const PAUSE_MS = 1;

/** Peers that take turns on one thread, and the pause that they have in common. */
export class StreamingPeers {
  readonly #clock: Clock;
  #resting: StreamingPace[] = [];
  #last: StreamingPace | undefined;
  #lastAt = -Infinity;
  /** When one that is not the last one was read. */
  #otherAt = -Infinity;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** A stream was read. True: others stream too. */
  read(stream: StreamingPace): boolean {
    if (stream !== this.#last) {
      this.#otherAt = this.#lastAt;
      this.#last = stream;
    }
    this.#lastAt = this.#clock.now();
    return this.#lastAt - this.#otherAt <= 2 * PAUSE_MS;
  }

  pause(stream: StreamingPace): void {
    if (this.#resting.push(stream) === 1) setTimeout(() => this.#wake(), PAUSE_MS);
  }

  #wake(): void {
    const woken = this.#resting;
    this.#resting = [];
    for (const stream of woken) stream.wake();
  }
}

const peers = new StreamingPeers();

/** The pace of one peer. */
export class StreamingPace {
  readonly #readOn: () => void;
  readonly #peers: StreamingPeers;
  #received = 0;
  #rests = false;

  /** `readOn` hears of the end of a pause. */
  constructor(readOn: () => void, among: StreamingPeers = peers) {
    this.#readOn = readOn;
    this.#peers = among;
  }

  /** The peer is not to be read for now. */
  get rests(): boolean {
    return this.#rests;
  }

  /** `length` bytes were read; `all`: more would have fitted in, so that was all there was. */
  received(length: number, all: boolean): void {
    this.#received += length;
    if (this.#received < STREAM || !this.#peers.read(this) || !all) return;
    this.#rests = true;
    this.#peers.pause(this);
  }

  /** Something was sent to the peer, which may answer soon. */
  sent(): void {
    this.#received = 0;
    this.wake();
  }

  wake(): void {
    if (!this.#rests) return;
    this.#rests = false;
    this.#readOn();
  }
}
