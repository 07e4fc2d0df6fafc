/**
 * Everything that ostler uses of Node's insides: reading a socket into a buffer of our own, what the kernel has taken of
 * its writes, and which socket lies under a TLS socket. All private names are here, and each has a way out.
 *
 * Node allocates 64 KB for each read of an accepted socket. `net.connect` can be given a buffer (`onread`), a server
 * cannot; but both are the same class, so what `onread` would have set up is set up here, on a living socket. Nothing is
 * lost: what Node has already read stays in its stream and is delivered as `data` before the next read of the kernel.
 */
import { Socket } from 'node:net';

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

const symbols = findSymbols(new Socket());
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

/** After a failed self-test: `readInto` declines from now on, and sockets are read the ordinary way. */
export function distrustReadInto(): void {
  trusted = false;
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
