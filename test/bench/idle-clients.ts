/**
 * A process that holds many connections and does nothing with them, apart from the benchmark so that it shares no memory
 * and no time with it. It is told what to do over IPC and answers `done` or `{ failed }`:
 *
 *     { open: IdleClientsOptions } ─▶ { query: true } ─▶ … ─▶ disconnect: it ends, and its connections with it
 */
import { pbkdf2 } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import { ScramClientExchange } from '../../src/auth/scram-client.ts';
import { keysFromSaltedPassword, type ScramKeys } from '../../src/auth/scram-keys.ts';

export interface IdleClientsOptions {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly tls: boolean;
  readonly count: number;
}

export type Order = { readonly open: IdleClientsOptions } | { readonly query: true };

/** So many connections are opened, or asked something, at the same time. */
const CONCURRENCY = 50;
const PROTOCOL_VERSION = 196_608;
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

const derive = promisify(pbkdf2);
const keys = new Map<string, Promise<ScramKeys>>();
const clients: Socket[] = [];

process.on('message', (order: Order) => {
  perform(order).then(
    () => process.send?.('done'),
    (error: unknown) => process.send?.({ failed: String(error) }),
  );
});
process.once('disconnect', () => process.exit(0));

async function perform(order: Order): Promise<void> {
  if ('open' in order) {
    const { count } = order.open;
    await inParallel(count, async () => {
      clients.push(await openClient(order.open));
    });
  } else {
    await inParallel(clients.length, async (index) => {
      const client = clients[index];
      if (client === undefined) return;
      client.write(frame('Q', Buffer.from('SELECT 1\0')));
      await untilReady(client);
    });
  }
}

async function inParallel(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
}

async function openClient(options: IdleClientsOptions): Promise<Socket> {
  const plain = connectTcp({ host: options.host, port: options.port, noDelay: true });
  await once(plain, 'connect');
  const socket = options.tls ? await upgrade(plain) : plain;
  const parameters = `user\0${options.user}\0database\0${options.database}\0\0`;
  socket.write(startupPacket(Buffer.from(parameters)));
  await logIn(socket, options.password);
  return socket;
}

async function upgrade(plain: Socket): Promise<Socket> {
  plain.write(SSL_REQUEST);
  const answer = await once(plain, 'readable').then((): unknown => plain.read(1));
  if (!Buffer.isBuffer(answer) || answer.toString() !== 'S') throw new Error('the pooler offers no TLS');
  const secure = connectTls({ socket: plain, rejectUnauthorized: false });
  await once(secure, 'secureConnect');
  return secure;
}

async function logIn(socket: Socket, password: string): Promise<void> {
  const exchange = new ScramClientExchange({ kind: 'none' });
  await untilReady(socket, async (type, body) => {
    if (type !== 'R') return;
    const data = body.subarray(4);
    switch (body.readInt32BE(0)) {
      case 0: // Ok
      case 12: // SASLFinal: whether the pooler knows the password is not our question.
        return;
      case 10: {
        const first = exchange.initial();
        const length = Buffer.alloc(4);
        length.writeInt32BE(first.length);
        socket.write(frame('p', Buffer.concat([Buffer.from('SCRAM-SHA-256\0'), length, first])));
        return;
      }
      case 11: {
        const challenge = exchange.challenged(data);
        if (challenge.kind === 'malformed') throw new Error(challenge.reason);
        const derived = await derivedKeys(password, challenge.salt, challenge.iterations);
        socket.write(frame('p', exchange.proof(derived)));
        return;
      }
      default:
        throw new Error('the pooler wants another kind of authentication than SCRAM or none');
    }
  });
}

function derivedKeys(password: string, salt: Buffer, iterations: number): Promise<ScramKeys> {
  const name = `${String(iterations)} ${salt.toString('hex')}`;
  const known = keys.get(name);
  if (known !== undefined) return known;
  const derived = derive(password, salt, iterations, 32, 'sha256').then(keysFromSaltedPassword);
  keys.set(name, derived);
  return derived;
}

/** Reads messages until ReadyForQuery. Throws the text of an ErrorResponse, or when the connection ends. */
async function untilReady(
  socket: Socket,
  visit: (type: string, body: Buffer) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  let pending = Buffer.alloc(0);
  for (;;) {
    while (pending.length >= 5 && pending.length > pending.readInt32BE(1)) {
      const end = 1 + pending.readInt32BE(1);
      const [type, body] = [pending.toString('latin1', 0, 1), pending.subarray(5, end)];
      pending = pending.subarray(end);
      if (type === 'Z') return;
      if (type === 'E') throw new Error(body.toString('utf8').replaceAll('\0', ' '));
      await visit(type, body);
    }
    pending = Buffer.concat([pending, await nextChunk(socket)]);
  }
}

async function nextChunk(socket: Socket): Promise<Buffer> {
  for (;;) {
    const chunk: unknown = socket.read();
    if (Buffer.isBuffer(chunk)) return chunk;
    if (socket.readableEnded || socket.destroyed) throw new Error('the pooler has closed the connection');
    await Promise.race([once(socket, 'readable'), once(socket, 'close')]);
  }
}

function startupPacket(parameters: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + parameters.length, 0);
  head.writeInt32BE(PROTOCOL_VERSION, 4);
  return Buffer.concat([head, parameters]);
}

function frame(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 0, 'latin1');
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}
