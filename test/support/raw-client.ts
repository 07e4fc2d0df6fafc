/**
 * A client that speaks the protocol byte by byte: it sends whatever it is told, cut wherever it is told, and keeps every
 * reply. For what no driver would do, and to compare what a pooler answers with what PostgreSQL answers.
 */
import { once } from 'node:events';
import { Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { Derivations } from '../../src/auth/derivations.ts';
import { parseSecret } from '../../src/auth/secrets.ts';
import { ServerExchange } from '../../src/auth/server-exchange.ts';
import { ServerKeys } from '../../src/auth/verifiers.ts';
import { BodyReader } from '../../src/protocol/body-reader.ts';
import {
  type CancelKey,
  cancelRequest,
  message,
  query,
  type Reply,
  sslRequest,
  startup,
  told,
} from './messages.ts';
import type { Target } from './postgres.ts';
import { until } from './wait.ts';

export type Parameters = Readonly<Record<string, string>>;

export interface Place {
  readonly host: string;
  readonly port: number;
}

const keys = new ServerKeys({ derivations: new Derivations() });
const HEADER = 5;
/** In ms, for replies. */
const PATIENCE = 10_000;

export class RawClient {
  /** What came and was not taken yet, oldest first. ParameterStatus is in `parameters` only. */
  readonly replies: Reply[] = [];
  /** What the backend has reported last. */
  readonly parameters = new Map<string, string>();
  /** Of each reply that came, its letter and the size of its body; for results too large to be kept. */
  onReply: ((type: string, size: number) => void) | undefined;
  key: CancelKey = { processId: 0, secret: Buffer.alloc(0) };
  /** Of the last ReadyForQuery. */
  status = '';
  /** The backend has closed the connection, or it was lost. */
  closed = false;
  /** Bytes of the backend's, ever. */
  bytesReceived = 0;

  #socket: Socket;
  #chunks: Buffer[] = [];
  #size = 0;
  #needed = HEADER;
  #keeps = true;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Connects and sends nothing, unless it is to be over TLS (whoever the backend is). */
  static async open({ host, port }: Place, { tls = false } = {}): Promise<RawClient> {
    const socket = new Socket().setNoDelay(true).connect({ host, port });
    const client = new RawClient(socket);
    await once(socket, 'connect');
    if (tls) client.#socket = await secured(socket);
    client.#listen();
    return client;
  }

  /** Connects and logs in. Throws what the backend refused it with, on one line. */
  static async login(target: Target, parameters: Parameters = {}, options = {}): Promise<RawClient> {
    const client = await RawClient.open(target, options);
    await client.logIn(target, parameters);
    return client;
  }

  async logIn(target: Target, parameters: Parameters = {}): Promise<void> {
    const { user, password, database = 'postgres' } = target;
    this.send(startup({ user, database, ...parameters }));
    const secret = parseSecret(password);
    const exchange = new ServerExchange({ user, secret, encrypted: true, allowCleartext: true, keys });
    for (;;) {
      const reply = await this.next();
      if (reply.type === 'E') throw new Error(told(reply));
      if (reply.type === 'Z') return;
      if (reply.type !== 'R') continue;
      const verdict = await exchange.answer(reply.body);
      if (verdict.kind === 'failed') throw verdict.error;
      if (verdict.kind === 'send') this.send(message('p', (writer) => writer.bytes(verdict.body)));
    }
  }

  // --- sending ---------------------------------------------------------------------------------------------------

  send(...messages: readonly Buffer[]): void {
    if (!this.closed) this.#socket.write(Buffer.concat(messages));
  }

  /** The bytes of `messages` in pieces of these sizes, again and again from the first; each goes out by itself. */
  async sendCut(messages: readonly Buffer[], sizes: readonly number[]): Promise<void> {
    const bytes = Buffer.concat(messages);
    for (let at = 0, turns = 0; at < bytes.length; turns++) {
      const end = at + (sizes[turns % sizes.length] ?? bytes.length);
      this.send(bytes.subarray(at, end));
      at = end;
      await turn();
    }
  }

  /** Sends and waits until the kernel has all of it: what is too large to be queued here. */
  sendSlowly(bytes: Buffer): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.write(bytes, () => resolve());
    });
  }

  /** Runs a simple query and gives its replies, ReadyForQuery included. */
  query(sql: string): Promise<Reply[]> {
    this.send(query(sql));
    return this.ready();
  }

  /** Sends and gives all replies up to the `count`-th ReadyForQuery. */
  ask(messages: readonly Buffer[], count = 1): Promise<Reply[]> {
    this.send(...messages);
    return this.ready(count);
  }

  // --- receiving ---------------------------------------------------------------------------------------------------

  /** Takes the oldest reply; waits for it. */
  async next(): Promise<Reply> {
    await this.#until(() => this.replies.length > 0, 'a reply comes');
    const reply = this.replies.shift();
    if (reply === undefined) throw new Error('bug: no reply');
    return reply;
  }

  /** Takes all replies up to the `count`-th ReadyForQuery; waits for it. */
  async ready(count = 1): Promise<Reply[]> {
    const readies = (): number => this.replies.filter(({ type }) => type === 'Z').length;
    await this.#until(
      () => readies() >= count,
      () => `${String(count)} ReadyForQuery come, not ${this.#types()}`,
    );
    let end = 0;
    for (let left = count; left > 0; end++) if (this.replies[end]?.type === 'Z') left--;
    return this.replies.splice(0, end);
  }

  /** Takes all replies up to the first of this type; waits for it. */
  async upTo(type: string): Promise<Reply[]> {
    const find = (): number => this.replies.findIndex((reply) => reply.type === type);
    await this.#until(
      () => find() >= 0,
      () => `${type} comes, not ${this.#types()}`,
    );
    return this.replies.splice(0, find() + 1);
  }

  /** Everything that comes until the backend closes the connection. */
  async untilClosed(): Promise<Reply[]> {
    await until(() => this.closed, { what: () => `the connection is closed, after ${this.#types()}` });
    return this.replies.splice(0);
  }

  /** From here on replies are only counted, by `onReply`. */
  keepNothing(): void {
    this.#keeps = false;
  }

  keepEverything(): void {
    this.#keeps = true;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  // --- leaving -------------------------------------------------------------------------------------------------------

  /** Terminate, then FIN. */
  quit(): void {
    this.send(message('X'));
    this.#socket.end();
  }

  /** FIN without a word. */
  end(): void {
    this.#socket.end();
  }

  /** RST: like the kernel of a machine whose process died with unread bytes. */
  reset(): void {
    // Node leaks the handle of a socket that is reset while it says goodbye, and then never exits.
    if (this.#socket.writableEnded) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  // --- inside ----------------------------------------------------------------------------------------------------------

  #listen(): void {
    const socket = this.#socket;
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
    });
    socket.on('data', (chunk: Buffer) => {
      this.bytesReceived += chunk.length;
      this.#chunks.push(chunk);
      this.#size += chunk.length;
      if (this.#size >= this.#needed) this.#cut();
    });
  }

  /** Takes the whole replies out of what has come. */
  #cut(): void {
    const bytes = Buffer.concat(this.#chunks);
    let at = 0;
    this.#needed = HEADER;
    while (bytes.length - at >= this.#needed) {
      this.#needed = 1 + bytes.readInt32BE(at + 1);
      if (bytes.length - at < this.#needed) break;
      const end = at + this.#needed;
      this.#replied(String.fromCharCode(bytes.readUInt8(at)), bytes.subarray(at + HEADER, end));
      this.#needed = HEADER;
      at = end;
    }
    this.#chunks = at === bytes.length ? [] : [bytes.subarray(at)];
    this.#size = bytes.length - at;
  }

  #replied(type: string, body: Buffer): void {
    this.onReply?.(type, body.length);
    if (type === 'S') {
      const reader = new BodyReader(body);
      this.parameters.set(reader.cstring(), reader.cstring());
      return;
    }
    if (type === 'K') this.key = { processId: body.readInt32BE(0), secret: Buffer.from(body.subarray(4)) };
    if (type === 'Z') this.status = body.toString('latin1');
    if (this.#keeps) this.replies.push({ type, body: Buffer.from(body) });
  }

  /** Looks again whenever something has come: a turn of a timer for each reply would be most of what a test takes. */
  async #until(condition: () => boolean, what: string | (() => string)): Promise<void> {
    const say = (): string => (typeof what === 'string' ? what : what());
    const giveUpAt = performance.now() + PATIENCE;
    while (!condition()) {
      if (this.closed) {
        throw new Error(`the connection was closed before ${say()}; ${this.replies.map(told).join('; ')}`);
      }
      const left = giveUpAt - performance.now();
      if (left <= 0) throw new Error(`gave up after ${String(PATIENCE)} ms waiting until ${say()}`);
      await this.#arrival(left);
    }
  }

  /** Resolves when bytes have come or the connection is closed; after `patience` ms in any case. */
  #arrival(patience: number): Promise<void> {
    return new Promise((resolve) => {
      const impatience = setTimeout(resolve, patience);
      const woken = (): void => {
        clearTimeout(impatience);
        this.#socket.off('data', woken).off('close', woken);
        resolve();
      };
      this.#socket.on('data', woken).on('close', woken);
    });
  }

  #types(): string {
    return this.replies.map(({ type }) => type).join('') || 'nothing';
  }
}

async function secured(socket: Socket): Promise<TLSSocket> {
  socket.write(sslRequest);
  const [answer]: unknown[] = await once(socket, 'data');
  if (!Buffer.isBuffer(answer) || answer.toString() !== 'S') throw new Error('TLS was refused');
  socket.removeAllListeners('data');
  const tls = connectTls({ socket, rejectUnauthorized: false });
  await once(tls, 'secureConnect');
  return tls;
}

/** Sends a cancel request and waits until the other side has closed its connection. */
export async function cancel(place: Place, key: CancelKey, options = {}): Promise<void> {
  const client = await RawClient.open(place, options);
  client.send(cancelRequest(key));
  await client.untilClosed();
}
