/**
 * Everything that ostler uses of Node's insides: reading a socket into a buffer of our own, writing to it past its stream, what the
 * kernel has taken of its writes, and which socket lies under a TLS socket. All private names are here, and each has a way out.
 *
 * Node allocates 64 KB for each read of an accepted socket. `net.connect` can be given a buffer (`onread`), a server
 * cannot; but both are the same class, so what `onread` would have set up is set up here, on a living socket. Nothing is
 * lost: what Node has already read stays in its stream and is delivered as `data` before the next read of the kernel.
 *
 * A stream makes a request and more for each write, though the kernel takes nearly all of them at once: for small messages that
 * costs as much as everything that ostler does with them.
 */
import { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';

/** Told the length of each read, and in which buffer it is. Returns false to stop reading, as `pause` does. */
export type ReadCallback = (length: number, buffer: Buffer) => boolean;
/** Asked after each read: the buffer for the next one, or undefined for the same again. */
export type NextBuffer = () => Buffer | undefined;

interface ReadSymbols {
  readonly buffer: symbol;
  readonly callback: symbol;
  readonly generator: symbol;
}

interface ReadHandle {
  useUserBuffer(buffer: Uint8Array): void;
}

interface WriteCounters {
  /** Bytes handed to libuv … */
  readonly bytesWritten: number;
  /** … and how many of them the kernel has not taken. */
  readonly writeQueueSize: number;
}

/** Of a stream's handle. A request is kept by Node only until the kernel has taken everything; undefined comes from a closed one. */
interface WriteHandle {
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number | undefined;
}

interface WriteRequest {
  oncomplete?: (status: number) => void;
  /** Kept from the garbage collector. */
  buffer?: Uint8Array;
}

interface Writing {
  readonly newRequest: () => WriteRequest;
  /** For the next write of any socket; another one once Node has kept it. */
  request: WriteRequest;
  /** What the last call of any handle has told. */
  readonly state: Int32Array;
  /** Where in it stands whether something is left to do. */
  readonly isUnfinished: number;
}

const symbols = findSymbols(new Socket());
const writing = findWriting();
let trusted = true;

/**
 * From now on `socket` reads into `buffer`, and `read` hears of it instead of the `data` listeners. False, and nothing has
 * changed, when this Node is not made as expected: keep listening to `data` in any case.
 */
export function readInto(socket: Socket, buffer: Buffer, read: ReadCallback, next: NextBuffer): boolean {
  const handle = handleOf(socket);
  if (!trusted || symbols === undefined || !isReadHandle(handle)) return false;
  Reflect.set(socket, symbols.buffer, buffer);
  Reflect.set(socket, symbols.callback, read);
  Reflect.set(socket, symbols.generator, next);
  handle.useUserBuffer(buffer);
  return true;
}

/** Whether `readInto` has any effect. */
export function canReadInto(): boolean {
  return trusted && symbols !== undefined;
}

/** Whether `RelayWriter.of` gives writers. */
export function canWritePast(): boolean {
  return trusted && writing !== undefined;
}

/** After a failed self-test: nobody reads or writes but in the ordinary way from now on. */
export function distrustRelay(): void {
  trusted = false;
}

/** Writes past the stream of a socket. The stream may be written to as well: all goes out in the order in which it was written. */
export class RelayWriter {
  readonly #socket: Socket;
  readonly #handle: WriteHandle;
  readonly #writing: Writing;
  readonly #finished: (size: number, error: Error | undefined) => void;
  #unfinished = 0;

  private constructor(
    socket: Socket,
    handle: WriteHandle,
    known: Writing,
    finished: (size: number, error: Error | undefined) => void,
  ) {
    this.#socket = socket;
    this.#handle = handle;
    this.#writing = known;
    this.#finished = finished;
  }

  /**
   * undefined where this Node is not made as expected: write to `socket` then. `finished` hears of writes that had to wait, with how
   * many bytes they were, and of failures of any, also from inside `write`; of nothing once the socket is destroyed.
   */
  static of(
    socket: Socket,
    finished: (size: number, error: Error | undefined) => void,
  ): RelayWriter | undefined {
    const handle = handleOf(socket);
    if (!trusted || writing === undefined || !isWriteHandle(handle)) return undefined;
    return new RelayWriter(socket, handle, writing, finished);
  }

  /** The size of the last write if the kernel has not taken all of it yet. Until then only the stream may be written to. */
  get unfinished(): number {
    return this.#unfinished;
  }

  /** True when the kernel took all of `bytes`; otherwise they must not change any more. */
  write(bytes: Uint8Array): boolean {
    const { request, state, isUnfinished } = this.#writing;
    const status = this.#handle.writeBuffer(request, bytes);
    if (status === 0 && state[isUnfinished] === 0) return true;
    this.#wait(bytes, status);
    return false;
  }

  #wait(bytes: Uint8Array, status: number | undefined): void {
    const { request } = this.#writing;
    this.#writing.request = this.#writing.newRequest();
    if (status !== 0) {
      this.#tell(bytes.length, status);
      return;
    }
    this.#unfinished = bytes.length;
    request.buffer = bytes;
    request.oncomplete = (outcome) => {
      this.#unfinished = 0;
      this.#tell(bytes.length, outcome);
    };
  }

  #tell(size: number, status: number | undefined): void {
    if (this.#socket.destroyed) return;
    this.#finished(size, status === 0 ? undefined : writeError(status));
  }
}

function writeError(status: number | undefined): Error {
  const code = status === undefined ? 'EBADF' : getSystemErrorName(status);
  return Object.assign(new Error(`write ${code}`), { code, syscall: 'write' });
}

/**
 * How many bytes of its writes the kernel has taken since the socket was opened. On a Node that does not tell, those of
 * finished writes, which is coarser.
 */
export function bytesTaken(socket: Socket): number {
  const handle = handleOf(socket);
  if (hasWriteCounters(handle)) return handle.bytesWritten - handle.writeQueueSize;
  return socket.bytesWritten - socket.writableLength;
}

/** The socket that carries the TLS of `secured`; undefined where Node does not tell. */
export function carrierOf(secured: Socket): Socket | undefined {
  const carrier: unknown = Reflect.get(secured, '_parent');
  return carrier instanceof Socket ? carrier : undefined;
}

function handleOf(socket: Socket): unknown {
  return Reflect.get(socket, '_handle');
}

function isReadHandle(handle: unknown): handle is ReadHandle {
  return (
    typeof handle === 'object' &&
    handle !== null &&
    typeof Reflect.get(handle, 'useUserBuffer') === 'function'
  );
}

function isWriteHandle(handle: unknown): handle is WriteHandle {
  return (
    typeof handle === 'object' && handle !== null && typeof Reflect.get(handle, 'writeBuffer') === 'function'
  );
}

function isRequestClass(found: unknown): found is new () => WriteRequest {
  return typeof found === 'function';
}

function hasWriteCounters(handle: unknown): handle is WriteCounters {
  return (
    typeof handle === 'object' &&
    handle !== null &&
    typeof Reflect.get(handle, 'bytesWritten') === 'number' &&
    typeof Reflect.get(handle, 'writeQueueSize') === 'number'
  );
}

function findSymbols(socket: Socket): ReadSymbols | undefined {
  const own = Object.getOwnPropertySymbols(socket);
  const named = (name: string): symbol | undefined => own.find((symbol) => symbol.description === name);
  const buffer = named('kBuffer');
  const callback = named('kBufferCb');
  const generator = named('kBufferGen');
  if (buffer === undefined || callback === undefined || generator === undefined) return undefined;
  return { buffer, callback, generator };
}

function findWriting(): Writing | undefined {
  try {
    const binding: unknown = Reflect.get(process, 'binding');
    const streams: unknown =
      typeof binding === 'function' ? Reflect.apply(binding, process, ['stream_wrap']) : undefined;
    if (typeof streams !== 'object' || streams === null) return undefined;
    const Request: unknown = Reflect.get(streams, 'WriteWrap');
    const state: unknown = Reflect.get(streams, 'streamBaseState');
    const isUnfinished: unknown = Reflect.get(streams, 'kLastWriteWasAsync');
    if (!isRequestClass(Request) || !(state instanceof Int32Array) || typeof isUnfinished !== 'number') {
      return undefined;
    }
    return { newRequest: () => new Request(), request: new Request(), state, isUnfinished };
  } catch {
    // The permission model forbids it.
    return undefined;
  }
}
