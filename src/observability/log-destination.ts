/**
 * Where log lines go: gathered, handed to a stream, bounded. Whoever reads our log may be slow, stuck or gone, and must not
 * be able to stop the daemon, grow its memory or keep it from exiting.
 *
 * pino's own destination does not hold that: at exit it retries a write for ever, also where the reader is gone (EPIPE).
 * process.stdout is non-blocking on pipes and sockets, so the only thing left to do here is the bound.
 */
import type { Writable } from 'node:stream';

/** Fewer, larger writes: a system call per line would cost more than the line. */
const GATHER_CHARACTERS = 4096;
/** The most that waits for a slow reader; then lines are dropped, and counted. */
const MAX_WAITING = 1024 * 1024;
/** A quiet daemon's line is seen after this many ms at the latest. */
const FLUSH_EVERY = 100;

export class LogDestination {
  readonly #stream: Writable;
  readonly #maxWaiting: number;
  readonly #timer: NodeJS.Timeout;
  #gathered = '';
  #broken = false;
  #dropped = 0;

  constructor(stream: Writable, maxWaiting = MAX_WAITING) {
    this.#stream = stream;
    this.#maxWaiting = maxWaiting;
    this.#timer = setInterval(this.flush, FLUSH_EVERY).unref();
    stream.on('error', this.#onError);
    process.on('exit', this.flush);
  }

  /** Lines that nobody will ever read. */
  get droppedLines(): number {
    return this.#dropped;
  }

  write(line: string): void {
    const waiting = this.#stream.writableLength + this.#gathered.length;
    if (this.#broken || waiting + line.length > this.#maxWaiting) {
      this.#dropped += 1;
      return;
    }
    this.#gathered += line;
    if (this.#gathered.length >= GATHER_CHARACTERS) this.flush();
  }

  /** Hands everything gathered to the stream. A pipe with room takes it before this returns, which is what exit needs. */
  readonly flush = (): void => {
    if (this.#gathered === '' || this.#broken) return;
    const text = this.#gathered;
    this.#gathered = '';
    this.#stream.write(text);
  };

  /** Resolves when the stream has taken everything, or after `patience` ms: a stuck reader does not hold up a stop. */
  close(patience = 1000): Promise<void> {
    this.flush();
    clearInterval(this.#timer);
    process.off('exit', this.flush);
    if (this.#broken || this.#stream.writableLength === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const impatience = setTimeout(resolve, patience);
      this.#stream.write('', () => {
        clearTimeout(impatience);
        resolve();
      });
    });
  }

  /** EPIPE and its like: the reader is gone, and there is nowhere left to say so. */
  readonly #onError = (): void => {
    this.#broken = true;
    this.#gathered = '';
  };
}
