/**
 * One peer over TCP, a Unix socket or TLS, as one thing. Bytes go to its owner and come from whoever calls `write`; there
 * is no event emitter and no promise between two connections.
 *
 *     open ──▶ ending (we said goodbye; what still arrives is thrown away) ──▶ closed
 *       └─────────────── the peer's FIN, an error ───────────────────────────────┘
 */
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import type { Socket } from 'node:net';
import { ReadBuffer } from './read-buffer.ts';
import type { ReadBufferKind } from './read-buffer.ts';
import { bytesTaken, readInto, RelayWriter } from './relay-socket.ts';
import { StreamingPace } from './streaming-pace.ts';
import { tlsFacts } from './tls-facts.ts';
import type { TlsFacts } from './tls-facts.ts';
import type { Handshaken, TlsAcceptor } from './tls-acceptor.ts';

/** Who hears what happens to a connection. None of these may keep the stack busy; what they throw closes the connection. */
export interface ConnectionOwner {
  /**
   * Bytes arrived. Returns true when nobody keeps `chunk` beyond the call, so that its memory may be read into again.
   * Up to 64 KB more may come after a `pause`: one read, or what is left of one once it is decrypted.
   */
  received(chunk: Buffer): boolean;
  /** The peer takes bytes again after `congested` was true. */
  drained(): void;
  /**
   * The connection is over: the peer's FIN, a reset, an error, or our own `end` or `destroy` come to its end. Called exactly
   * once, last, and never from inside a call of ours.
   */
  closed(error: Error | undefined): void;
}

/** Told what an owner threw; a bug of ours, whose connection is then destroyed. */
export type FaultListener = (error: unknown, connection: Connection) => void;

/** How long a peer that has been told goodbye may take to say it too, in ms. */
const LINGER = 5_000;

/** A connection that has just been made belongs to nobody until `owner` is set; nothing is read until then. */
const NOBODY: ConnectionOwner = {
  received: () => false,
  drained: () => {},
  closed: () => {},
};

export class Connection {
  readonly unix: boolean;
  /** `unix` for a Unix socket; IPv4 in its own notation, even when it came in over IPv6; empty for one already gone. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Told when the connection is over, whoever owns it by then; for whoever counts connections. */
  onOver: (() => void) | undefined;

  /** What bytes are read from and written to: the TLS socket once there is one. */
  #socket: Socket;
  /** The TCP or Unix socket underneath. */
  readonly #carrier: Socket;
  #secured: TLSSocket | undefined;
  #tlsFacts: TlsFacts | undefined;
  readonly #onFault: FaultListener;

  #owner: ConnectionOwner = NOBODY;
  #state: 'open' | 'ending' | 'closed' = 'open';
  #handshaking = false;
  #listening = false;
  #paused = false;
  #error: Error | undefined;
  #linger: NodeJS.Timeout | undefined;

  #reads: ReadBuffer | undefined;
  /** Only of what is read into buffers of ours, and is not encrypted: of other reads nobody knows whether they left something. */
  #pace: StreamingPace | undefined;
  #nextBuffer: Buffer | undefined;
  /** What the last read has left in the buffer that is still read into: one that is as long needs no new view of it. */
  #lastRead: Buffer | undefined;
  /** Of what is not encrypted, in the relay phase. */
  #writer: RelayWriter | undefined;

  #takenBefore = -1;
  #takenAt = 0;

  /** The transport is told, not seen: a TCP peer that is gone already has no address either. */
  constructor(socket: Socket, transport: 'tcp' | 'unix', onFault: FaultListener) {
    this.#socket = socket;
    this.#carrier = socket;
    this.#onFault = onFault;
    this.unix = transport === 'unix';
    this.remoteAddress = this.unix ? 'unix' : plainAddress(socket.remoteAddress);
    this.remotePort = socket.remotePort ?? 0;
    this.#attach(socket);
  }

  get owner(): ConnectionOwner {
    return this.#owner;
  }

  /** Set right after the connection was made; may be replaced at any time, also from inside `received`. */
  set owner(owner: ConnectionOwner) {
    const first = this.#owner === NOBODY;
    this.#owner = owner;
    if (!first) return;
    if (this.#state === 'closed') queueMicrotask(() => this.#tellClosed());
    else this.#listen();
  }

  get localAddress(): string {
    return this.unix ? 'unix' : plainAddress(this.#carrier.localAddress);
  }

  get localPort(): number {
    return this.#carrier.localPort ?? 0;
  }

  /** Neither closed nor about to be: writes go out and bytes come in. */
  get open(): boolean {
    return this.#state === 'open';
  }

  /**
   * Queues bytes; does nothing once the connection is not open. True when `bytes` may be overwritten at once.
   *
   * Plain: the kernel took everything inside the call, which an empty queue afterwards proves. TLS: what is written is
   * encrypted, thus copied, inside the call if nothing was queued before it. What a stream's `write` returns proves neither.
   */
  write(bytes: Uint8Array): boolean {
    if (this.#state !== 'open') return true;
    const socket = this.#socket;
    this.#pace?.sent();
    if (this.#writer !== undefined && this.pending === 0 && socket.writableCorked === 0) {
      return this.#writer.write(bytes);
    }
    if (this.#secured === undefined) {
      socket.write(bytes);
      return this.pending === 0;
    }
    const isFirst = socket.writableLength === 0 && socket.writableCorked === 0;
    socket.write(bytes);
    return isFirst;
  }

  /** Holds writes back so that they go out in one system call at `uncork`. */
  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  /** The peer is slow: more is queued than is good, and `drained` will be called. */
  get congested(): boolean {
    const unfinished = this.#writer?.unfinished ?? 0;
    return (
      this.#socket.writableNeedDrain || (unfinished > 0 && this.#state === 'open' && this.#isMuch(unfinished))
    );
  }

  /** Bytes queued in this process. */
  get pending(): number {
    return this.#socket.writableLength + (this.#writer?.unfinished ?? 0);
  }

  /** Stops reading; see `received` for what may still come. A FIN or reset of the peer is not noticed while paused. */
  pause(): void {
    if (this.#paused || this.#state !== 'open') return;
    this.#paused = true;
    if (this.#listening) this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#state === 'open' && this.#listening && this.#pace?.rests !== true) this.#socket.resume();
  }

  get paused(): boolean {
    return this.#paused;
  }

  /**
   * Flushes what is queued, sends FIN, and waits for the peer's, `lingerMs` at most; then destroys. Nothing is received any
   * more, but the socket is still read: closing it with unread bytes would reset it, and the peer would lose our last words.
   */
  end(lingerMs: number = LINGER): void {
    if (this.#state !== 'open') return;
    if (this.#handshaking) {
      this.destroy();
      return;
    }
    this.#state = 'ending';
    this.#socket.end();
    this.#socket.resume();
    this.#destroyAfter(lingerMs);
  }

  /** At once, whatever is queued. `error` is what `closed` will be told. */
  destroy(error?: Error): void {
    if (this.#state === 'open') this.#state = 'ending';
    this.#error ??= error;
    this.#socket.destroy();
  }

  /**
   * Reads into buffers that are used again, from here on. Bytes already read by Node come first, in order. Without effect
   * where this Node does not allow it; `received` cannot tell the difference.
   */
  enterRelay(kind: ReadBufferKind): void {
    this.#listen();
    if (this.#reads !== undefined || !this.#listening || this.#state !== 'open') return;
    const reads = new ReadBuffer(kind);
    const onRead = (length: number, buffer: Buffer): boolean => this.#onRead(length, buffer);
    const nextBuffer = (): Buffer | undefined => this.#nextBuffer;
    if (!readInto(this.#socket, reads.current, onRead, nextBuffer)) {
      reads.release();
      return;
    }
    this.#reads = reads;
    if (this.#secured === undefined) {
      this.#pace = new StreamingPace(() => {
        if (this.#state === 'open' && !this.#paused) this.#socket.resume();
      });
      this.#writer = RelayWriter.of(this.#socket, (size, error) => this.#onWritten(size, error));
    }
    // What Node holds is delivered before the next turn of the loop, thus before the next read, if it is not paused. A
    // paused stream goes on reading until it holds enough; with a buffer of ours that would overtake what it holds.
    if (this.#paused) this.#socket.pause();
  }

  /**
   * The server's side of a TLS handshake: after SSLRequest was answered with `S`, or with the `firstBytes` that show that
   * the peer began with TLS. To be called from `received` itself, or while paused since then. Nothing is received before
   * the continuation of the promise has run. Rejects with the error that `closed` will be told too.
   */
  upgradeToTlsServer(acceptor: TlsAcceptor, firstBytes?: Buffer): Promise<void> {
    return this.#upgrade(firstBytes, (settle) => acceptor.accept(this.#carrier, settle));
  }

  /** The client's side, after the server answered `S`. `options` come from `tls.ts`; otherwise as `upgradeToTlsServer`. */
  upgradeToTlsClient(options: ConnectionOptions): Promise<void> {
    return this.#upgrade(undefined, (settle) => {
      const secured = connectTls({ ...options, socket: this.#carrier });
      const fail = (error: Error): void => settle(error, undefined);
      secured.on('error', fail);
      secured.once('secureConnect', () => {
        secured.off('error', fail);
        settle(undefined, secured);
      });
    });
  }

  get tls(): TlsFacts | undefined {
    // Asked once: Node gives a server's certificate to its client only the first time.
    if (this.#secured !== undefined) this.#tlsFacts ??= tlsFacts(this.#secured);
    return this.#tlsFacts;
  }

  /**
   * For `tcp_user_timeout`: asked again and again with the present time, says since when the kernel has taken nothing of
   * what is queued, or undefined when nothing is queued or some of it went since the last question.
   */
  stalledSince(now: number): number | undefined {
    if (this.pending === 0) {
      this.#takenBefore = -1;
      return undefined;
    }
    const taken = bytesTaken(this.#carrier);
    if (taken === this.#takenBefore) return this.#takenAt;
    this.#takenBefore = taken;
    this.#takenAt = now;
    return undefined;
  }

  #attach(socket: Socket): void {
    socket.on('drain', this.#onDrain);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
  }

  #detach(socket: Socket): void {
    socket.off('data', this.#onData);
    socket.off('drain', this.#onDrain);
    socket.off('end', this.#onEnd);
    this.#listening = false;
  }

  #listen(): void {
    if (this.#listening || this.#handshaking || this.#owner === NOBODY) return;
    this.#listening = true;
    this.#socket.on('data', this.#onData);
    if (this.#paused) this.#socket.pause();
    else this.#socket.resume();
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#state !== 'open') return;
    try {
      this.#owner.received(chunk);
    } catch (error) {
      this.#fault(error);
    }
  };

  /** One read in the relay phase. The hot path: nothing is allocated but the view of the buffer, if it is another one. */
  #onRead(length: number, buffer: Buffer): boolean {
    if (this.#state !== 'open') return true;
    let free = false;
    if (this.#lastRead?.length !== length) this.#lastRead = buffer.subarray(0, length);
    try {
      free = this.#owner.received(this.#lastRead);
    } catch (error) {
      this.#fault(error);
    }
    const next = this.#reads?.next(length, free);
    this.#nextBuffer = undefined;
    if (next !== buffer) {
      this.#nextBuffer = next;
      this.#lastRead = undefined;
    }
    this.#pace?.received(length, length < buffer.length);
    // Node's stream starts a socket again that the call which changed to our buffers has paused: stop it here.
    return !this.#paused && this.#pace?.rests !== true;
  }

  readonly #onDrain = (): void => {
    if (this.#state !== 'open') return;
    try {
      this.#owner.drained();
    } catch (error) {
      this.#fault(error);
    }
  };

  /** The kernel has taken a write that had to wait, or a write has failed. */
  #onWritten(size: number, error: Error | undefined): void {
    if (error !== undefined) this.destroy(error);
    // What is in the stream is behind it, and ends with a `drain` of its own if it is much.
    else if (this.#isMuch(size) && !this.#socket.writableNeedDrain) this.#onDrain();
  }

  /** Of bytes that wait for the kernel. */
  #isMuch(size: number): boolean {
    return size >= this.#socket.writableHighWaterMark;
  }

  /** The peer's FIN. To us the connection is over; what is queued may still go out, for a peer that only half closed. */
  readonly #onEnd = (): void => {
    this.#destroyAfter(LINGER);
    this.#over();
  };

  readonly #onError = (error: Error): void => {
    this.#error ??= error;
    // TLS reports errors after the handshake without closing.
    this.#socket.destroy();
  };

  readonly #onClose = (): void => {
    clearTimeout(this.#linger);
    this.#reads?.release();
    this.#reads = undefined;
    this.#over();
  };

  #destroyAfter(ms: number): void {
    if (this.#linger !== undefined) return;
    this.#linger = setTimeout(() => this.#socket.destroy(), ms).unref();
  }

  #over(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    try {
      this.onOver?.();
    } catch (error) {
      this.#onFault(error, this);
    }
    if (this.#owner !== NOBODY) this.#tellClosed();
  }

  #tellClosed(): void {
    try {
      this.#owner.closed(this.#error);
    } catch (error) {
      this.#onFault(error, this);
    }
  }

  #fault(error: unknown): void {
    this.#onFault(error, this);
    this.destroy(error instanceof Error ? error : new Error(String(error)));
  }

  #upgrade(firstBytes: Buffer | undefined, begin: (settle: Handshaken) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const refusal = this.#reasonNotToUpgrade(firstBytes);
      if (refusal !== undefined) {
        this.destroy(refusal);
        reject(refusal);
        return;
      }
      const carrier = this.#carrier;
      const abandoned = (): void =>
        settle(new Error('connection closed during the TLS handshake'), undefined);
      const settle: Handshaken = (error, secured) => {
        if (!this.#handshaking) return;
        this.#handshaking = false;
        carrier.off('close', abandoned);
        if (secured !== undefined && this.#state === 'open') {
          this.#adopt(secured);
          resolve();
          return;
        }
        const problem = this.#error ?? error ?? new Error('connection closed during the TLS handshake');
        this.destroy(problem);
        reject(problem);
      };
      this.#detach(carrier);
      carrier.pause();
      carrier.prependOnceListener('close', abandoned);
      this.#handshaking = true;
      if (firstBytes !== undefined) carrier.unshift(Buffer.from(firstBytes));
      try {
        begin(settle);
      } catch (error) {
        settle(error instanceof Error ? error : new Error(String(error)), undefined);
      }
    });
  }

  #reasonNotToUpgrade(firstBytes: Buffer | undefined): Error | undefined {
    if (this.#state !== 'open') return this.#error ?? new Error('connection closed before the TLS handshake');
    if (this.#handshaking || this.#secured !== undefined || this.#reads !== undefined) {
      return new Error('bug: TLS begins once, and before the relay phase');
    }
    // Bytes sent before the handshake would be taken for bytes inside it (CVE-2021-23222).
    if (firstBytes === undefined && this.#carrier.readableLength > 0) {
      return new Error('received unencrypted data before the TLS handshake');
    }
    return undefined;
  }

  #adopt(secured: TLSSocket): void {
    this.#carrier.off('close', this.#onClose);
    this.#secured = secured;
    this.#socket = secured;
    this.#attach(secured);
    // One turn of the loop later, so that whoever waits for the handshake is ready for what came with its last packet.
    setImmediate(() => this.#listen());
  }
}

function plainAddress(address = ''): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}
