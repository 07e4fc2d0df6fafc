/**
 * Whether sockets of this Node can be read into buffers of ours and written to past their streams: tried at start on a pair of sockets,
 * because the names that relay-socket.ts relies on are private. When it fails, everything goes the ordinary way, correctly but slower.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { AddressInfo, Server, Socket } from 'node:net';
import { canReadInto, distrustRelay, readInto, RelayWriter } from './relay-socket.ts';

const TIME_LIMIT = 2_000;
/** Larger than the buffer below, so that it takes several reads. */
const MESSAGE = Buffer.from('what a relay carries must arrive whole, once, and in order');
const BUFFER_SIZE = 16;

/**
 * Tries it, and switches to the ordinary way for good when it does not work. Also false, the ordinary way, where there is no
 * loopback to try it on.
 */
export async function relayWorks(): Promise<boolean> {
  if (!canReadInto()) return false;
  const server = createServer({ noDelay: true });
  const sockets: Socket[] = [];
  const { promise: timeLimit, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, TIME_LIMIT, false);
  try {
    const works = await Promise.race([trial(server, sockets), timeLimit]);
    if (!works) distrustRelay();
    return works;
  } catch {
    distrustRelay();
    return false;
  } finally {
    clearTimeout(timer);
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

async function trial(server: Server, sockets: Socket[]): Promise<boolean> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepting = Promise.withResolvers<Socket>();
  server.once('connection', accepting.resolve);
  const peer = connect({ port: portOf(server.address()), host: '127.0.0.1', noDelay: true });
  sockets.push(peer);
  peer.on('error', accepting.reject);
  // By now it has begun to connect, which a write has to wait for.
  await new Promise((resolve) => process.nextTick(resolve));
  let waited = 0;
  const writer = RelayWriter.of(peer, (size) => (waited = size));
  const write = (bytes: Buffer): unknown => (writer === undefined ? peer.write(bytes) : writer.write(bytes));
  write(MESSAGE.subarray(0, BUFFER_SIZE));
  const socket = await accepting.promise;
  sockets.push(socket);
  const works = await arrivesWhole(socket, () => {
    write(MESSAGE.subarray(BUFFER_SIZE));
    peer.end();
  });
  // All has arrived: a write that still counts as unfinished would never be told of.
  return works && (writer === undefined || (waited === BUFFER_SIZE && writer.unfinished === 0));
}

/** The first half by `data`, while it is paused, then into a buffer of ours, with a pause and an end. */
async function arrivesWhole(socket: Socket, sendRest: () => void): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const buffers = [Buffer.alloc(BUFFER_SIZE), Buffer.alloc(BUFFER_SIZE)] as const;
  let reads = 0;
  let heard = '';
  socket.on('data', (chunk: Buffer) => (heard += String(chunk)));
  socket.on('error', () => resolve(false));
  socket.on('end', () => resolve(reads > 1 && heard === String(MESSAGE)));
  socket.pause();
  while (socket.readableLength === 0 && !socket.destroyed) await nextTurn();
  const read = (length: number, buffer: Buffer): boolean => {
    reads += 1;
    heard += String(buffer.subarray(0, length));
    socket.pause();
    setImmediate(() => socket.resume());
    return buffer === buffers[(reads - 1) % 2];
  };
  if (!readInto(socket, buffers[0], read, () => buffers[reads % 2])) return false;
  socket.pause();
  socket.resume();
  sendRest();
  return promise;
}

function portOf(address: AddressInfo | string | null): number {
  return typeof address === 'object' && address !== null ? address.port : 0;
}
