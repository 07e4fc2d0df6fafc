/** A door in front of a server: connections through it can be cut, or go dead without a word as when a cable is pulled. */
import { once } from 'node:events';
import { createServer, type Socket, connect } from 'node:net';
import { portOf } from './ports.ts';

export interface TcpGate {
  readonly port: number;
  /** Connections that are open now pass nothing more on, and are not closed; new ones are as before. */
  freeze(): void;
  /** Resets all connections. */
  cut(): void;
  /** From now on keeps back what the server says on the connections that are open, until `pass` or until it ends one: then all goes out at once. */
  hold(): void;
  /** How many bytes are being kept back. */
  held(): number;
  pass(): void;
  /** Takes new connections but passes nothing on. */
  swallow(swallowing: boolean): void;
  close(): void;
}

/** `port` is of a server on 127.0.0.1. */
export async function openGate(port: number): Promise<TcpGate> {
  const sockets = new Set<Socket>();
  const outsides = new Set<Socket>();
  let swallowing = false;
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((outside) => {
    keep(outside);
    outsides.add(outside);
    outside.on('close', () => outsides.delete(outside));
    if (swallowing) {
      outside.resume();
      return;
    }
    const inside = connect({ host: '127.0.0.1', port });
    keep(inside);
    outside.pipe(inside);
    inside.pipe(outside);
    outside.on('close', () => inside.destroy());
    inside.on('close', () => outside.destroySoon());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: portOf(server),
    freeze: () => {
      for (const socket of sockets) {
        socket.unpipe();
        socket.pause();
      }
    },
    cut: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    hold: () => {
      for (const socket of outsides) socket.cork();
    },
    held: () => [...outsides].reduce((sum, socket) => sum + socket.writableLength, 0),
    pass: () => {
      for (const socket of outsides) socket.uncork();
    },
    swallow: (now) => {
      swallowing = now;
    },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
