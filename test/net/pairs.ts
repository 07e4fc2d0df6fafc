/** Two connected ends of a real socket, and owners that note what they hear. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { after } from 'node:test';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from '../../src/net/connection.ts';
import type { ConnectionOwner } from '../../src/net/connection.ts';
import { TlsAcceptor } from '../../src/net/tls-acceptor.ts';
import { Authority } from '../support/certificates.ts';
import { until } from '../support/wait.ts';

/** A test that fails leaves its sockets open, and they would keep the process. */
const sockets: Socket[] = [];
after(() => {
  for (const socket of sockets) socket.destroy();
});

export type Transport = 'tcp' | 'unix';

/** One end plain, so that a test can do with it what it likes; the other accepted by a server. */
export async function socketPair(transport: Transport = 'tcp'): Promise<[accepted: Socket, dialled: Socket]> {
  const directory = transport === 'unix' ? mkdtempSync(join(tmpdir(), 'ostler-net-')) : undefined;
  const server = createServer({ noDelay: true });
  if (directory === undefined) server.listen(0, '127.0.0.1');
  else server.listen(join(directory, 'socket'));
  await once(server, 'listening');
  const address = server.address();
  if (address === null) throw new Error('not listening');
  const dialled =
    typeof address === 'string'
      ? connect(address)
      : connect({ port: address.port, host: '127.0.0.1', noDelay: true });
  const accepting = Promise.withResolvers<Socket>();
  server.once('connection', accepting.resolve);
  const [accepted] = await Promise.all([accepting.promise, once(dialled, 'connect')]);
  server.close();
  if (directory !== undefined) rmSync(directory, { recursive: true });
  sockets.push(accepted, dialled);
  return [accepted, dialled];
}

let tls: { readonly acceptor: TlsAcceptor; readonly ca: string } | undefined;

/** As `connectionPair`, secured: `near` is the server of the handshake. */
export async function securePair(transport: Transport = 'tcp'): Promise<Pair> {
  if (tls === undefined) {
    const authority = new Authority();
    const { cert, key } = authority.issue('localhost');
    tls = { acceptor: new TlsAcceptor({ cert, key }), ca: authority.certificate.cert };
  }
  const pair = await connectionPair(transport);
  await Promise.all([
    pair.near.upgradeToTlsServer(tls.acceptor),
    pair.far.upgradeToTlsClient({ ca: tls.ca, host: 'localhost', servername: 'localhost' }),
  ]);
  return pair;
}

export function failOnFault(error: unknown): never {
  throw error;
}

/** An owner that keeps everything it is told. */
export class Witness implements ConnectionOwner {
  readonly chunks: Buffer[] = [];
  length = 0;
  drains = 0;
  ends: (Error | undefined)[] = [];

  received(chunk: Buffer): boolean {
    // What is kept beyond the call is copied: the rule that lets the buffer be used again.
    this.chunks.push(Buffer.from(chunk));
    this.length += chunk.length;
    return true;
  }

  drained(): void {
    this.drains += 1;
  }

  closed(error: Error | undefined): void {
    this.ends.push(error);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  async hears(length: number): Promise<Buffer> {
    await until(() => this.length >= length, {
      what: () => `${this.length} of ${length} bytes have arrived`,
    });
    return this.bytes;
  }

  async ended(): Promise<Error | undefined> {
    await until(() => this.ends.length > 0, { what: 'the connection is closed' });
    return this.ends[0];
  }
}

export interface Pair {
  readonly near: Connection;
  readonly nearWitness: Witness;
  readonly far: Connection;
  readonly farWitness: Witness;
}

/** Both ends as connections: `near` was accepted, `far` dialled. */
export async function connectionPair(transport: Transport = 'tcp'): Promise<Pair> {
  const [accepted, dialled] = await socketPair(transport);
  const near = new Connection(accepted, transport, failOnFault);
  const far = new Connection(dialled, transport, failOnFault);
  const nearWitness = new Witness();
  const farWitness = new Witness();
  near.owner = nearWitness;
  far.owner = farWitness;
  return { near, nearWitness, far, farWitness };
}
