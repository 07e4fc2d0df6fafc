/** A TCP relay in front of PostgreSQL that can be made slow, to stretch the moments in which things can go wrong. */
import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { portOf } from './ports.ts';

export interface SlowRelay {
  readonly port: number;
  /** Where connections are led to; asked for each. */
  target: () => { readonly host: string; readonly port: number };
  /** How long what clients send is held back, ms; asked for each piece of each connection that was made since this was set. */
  delay: () => number;
  /** Until when what the server says is held back; asked for each piece. */
  answers: () => Promise<void> | undefined;
  /** Hears what clients send, each connection under a number of its own. */
  heard: (connection: number, bytes: Buffer) => void;
  close(): void;
}

export async function startSlowRelay(): Promise<SlowRelay> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((client) => {
    const number = ++connections;
    const upstream = new Socket().setNoDelay(true).connect(relay.target());
    const wait = relay.delay;
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('error', () => undefined);
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
    let answered = Promise.resolve();
    upstream.on('data', (bytes) => {
      answered = answered.then(() => relay.answers()).then(() => void client.write(bytes));
    });
    upstream.on('end', () => {
      answered = answered.then(() => void client.end());
    });
    let before = Promise.resolve();
    client.on('data', (bytes) => {
      relay.heard(number, bytes);
      before = before.then(() => delay(wait())).then(() => void upstream.write(bytes));
    });
    client.on('end', () => {
      before = before.then(() => void upstream.end());
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const relay: SlowRelay = {
    port: portOf(server),
    target: () => {
      throw new Error('the relay leads nowhere yet');
    },
    delay: () => 0,
    answers: () => undefined,
    heard: () => undefined,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  return relay;
}
