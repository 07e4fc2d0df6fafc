/** Reads a connection packet by packet while somebody logs in. Bounded: a peer that sends ahead is not read further. */
import { BodyReader } from '../protocol/body-reader.ts';
import { ClientError } from '../protocol/errors.ts';
import { HEADER_SIZE } from '../protocol/message-types.ts';
import { startupSize } from '../protocol/startup.ts';
import type { Connection, ConnectionOwner } from '../net/connection.ts';

/** More than any packet of a login: passwords and tokens may have 64 KiB. */
const MAX_FRAME_SIZE = 70_000;
const MAX_BUFFERED = 2 * MAX_FRAME_SIZE;

export interface Frame {
  readonly type: number;
  /** Without header. */
  readonly body: Buffer;
}

/** The peer went away, or was sent away, before its login was through. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

export class LoginStream implements ConnectionOwner {
  readonly #connection: Connection;
  #buffered: Buffer = Buffer.alloc(0);
  #lost: ConnectionLost | undefined;
  #wake: (() => void) | undefined;
  #everReceived = false;
  /** Resolves when the connection is over. */
  readonly over: Promise<void>;
  #tellOver: () => void = () => {};

  constructor(connection: Connection) {
    this.#connection = connection;
    this.over = new Promise((resolve) => {
      this.#tellOver = resolve;
    });
    connection.owner = this;
  }

  /** The peer has sent at least one byte. */
  get everReceived(): boolean {
    return this.#everReceived;
  }

  /** Bytes that came and were not read. */
  get buffered(): number {
    return this.#buffered.length;
  }

  received(chunk: Buffer): boolean {
    this.#everReceived = true;
    this.#buffered = Buffer.concat([this.#buffered, chunk]);
    if (this.#buffered.length > MAX_BUFFERED) this.#connection.pause();
    this.#wake?.();
    return true;
  }

  drained(): void {
    // Nothing that a login sends is large enough to wait for.
  }

  closed(error: Error | undefined): void {
    this.#lost = new ConnectionLost(error?.message ?? 'unexpected eof', { cause: error });
    this.#wake?.();
    this.#tellOver();
  }

  /** The first byte, which stays unread. */
  async peek(): Promise<number> {
    await this.#atLeast(1);
    return this.#buffered.readUInt8(0);
  }

  /** One byte: the answer to SSLRequest. */
  async byte(): Promise<number> {
    await this.#atLeast(1);
    return this.#take(1).readUInt8(0);
  }

  /** @throws {ClientError} 08P01 for an impossible length; {@link ConnectionLost} like every method here */
  async startupPacket(): Promise<Buffer> {
    await this.#atLeast(4);
    const size = startupSize(this.#buffered) ?? 4;
    await this.#atLeast(size);
    return this.#take(size);
  }

  async frame(): Promise<Frame> {
    await this.#atLeast(HEADER_SIZE);
    const header = new BodyReader(this.#buffered);
    const type = header.uint8();
    const length = header.int32();
    if (length < 4 || length > MAX_FRAME_SIZE) {
      throw new ClientError(
        `bad packet header: type 0x${type.toString(16).padStart(2, '0')}, length ${length}`,
      );
    }
    await this.#atLeast(1 + length);
    return { type, body: this.#take(1 + length).subarray(HEADER_SIZE) };
  }

  /** Everything that came and was not read; for whoever owns the connection next. */
  takeRest(): Buffer {
    this.#connection.resume();
    return this.#take(this.#buffered.length);
  }

  async #atLeast(size: number): Promise<void> {
    while (this.#buffered.length < size) {
      if (this.#lost !== undefined) throw this.#lost;
      // oxlint-disable-next-line no-await-in-loop -- bytes come one after another
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  #take(size: number): Buffer {
    const taken = this.#buffered.subarray(0, size);
    this.#buffered = this.#buffered.subarray(size);
    if (this.#buffered.length < MAX_BUFFERED && this.#buffered.length + size > MAX_BUFFERED)
      this.#connection.resume();
    return taken;
  }
}
