/**
 * The server's side of TLS handshakes, for sockets that already exist: a `tls.Server` that never listens. Node verifies
 * client certificates and keeps session tickets only for sockets of a server; one is made for each set of settings, and a
 * RELOAD replaces it by another.
 */
import { createServer } from 'node:tls';
import type { Server, TLSSocket, TlsOptions } from 'node:tls';
import type { Socket } from 'node:net';
import { carrierOf } from './relay-socket.ts';

/** Called once, with an error or with the TLS socket. */
export type Handshaken = (error: Error | undefined, secured: TLSSocket | undefined) => void;

export class TlsAcceptor {
  readonly #server: Server;
  readonly #waiting = new Map<Socket, Handshaken>();

  /** Throws when OpenSSL does not accept the options. */
  constructor(options: TlsOptions) {
    this.#server = createServer({ ...options, allowHalfOpen: false });
    this.#server.on('secureConnection', (secured) => this.#settle(secured, undefined));
    this.#server.on('tlsClientError', (error, secured) => this.#settle(secured, error));
  }

  /** Begins a handshake on `carrier`, which is paused; bytes unshifted into it count as its beginning. */
  accept(carrier: Socket, done: Handshaken): void {
    this.#waiting.set(carrier, done);
    carrier.once('close', () => this.#waiting.delete(carrier));
    this.#server.emit('connection', carrier);
  }

  #settle(secured: TLSSocket, error: Error | undefined): void {
    const carrier = carrierOf(secured);
    const done = carrier === undefined ? undefined : this.#waiting.get(carrier);
    if (carrier === undefined || done === undefined) {
      secured.destroy();
      return;
    }
    this.#waiting.delete(carrier);
    done(error, error === undefined ? secured : undefined);
  }
}
