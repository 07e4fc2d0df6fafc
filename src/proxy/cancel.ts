/**
 * Carries cancel requests to servers, each on a connection of its own, and knows when they have had their effect.
 *
 * A cancel reaches the query it was meant for or nobody: whether it is still wanted is asked when its bytes are about to go out, and from
 * then until the server has closed that connection the target is not handed to anybody else.
 */
import type { ReasonCounter, CancelOutcome } from '../observability/reasons.ts';
import { type Connection } from '../net/connection.ts';
import { dial, type DialOptions } from '../net/dial.ts';
import type { ServerTls } from '../net/tls.ts';
import { cancelRequest, sslRequest } from '../protocol/startup.ts';
import { LoginStream } from './login-stream.ts';
import type { ServerRoute, ServerSession } from './server-session.ts';

export interface CancelOrder extends ServerRoute {
  readonly server: ServerSession;
  readonly dial: DialOptions;
  /** Asked at the last moment. */
  readonly stillWanted: () => boolean;
  /** No cancel aimed at this server is under way any more. */
  readonly landed: (server: ServerSession) => void;
}

export class Cancels {
  readonly #outcomes: ReasonCounter<CancelOutcome>;
  readonly #limit: () => number;
  readonly #line: { readonly start: () => void; readonly giveUp: () => void }[] = [];
  /** Those whose bytes have not gone out yet. */
  readonly #unsent = new Set<CancelOrder>();
  #running = 0;

  /** `limit`: how many are under way at a time. */
  constructor(outcomes: ReasonCounter<CancelOutcome>, limit: () => number) {
    this.#outcomes = outcomes;
    this.#limit = limit;
  }

  /** The target of each request that has not been sent on yet: it waits its turn, or its connection is being made. */
  *unsent(): Generator<ServerSession, void, undefined> {
    for (const { server } of this.#unsent) yield server;
  }

  /** Resolves when the server has taken the request, or it is clear that it will not. `timeout` (cancel_wait_timeout) in ms. */
  async send(order: CancelOrder, timeout: number): Promise<void> {
    const deadline = performance.now() + timeout;
    this.#unsent.add(order);
    try {
      if (await this.#turn(timeout)) await this.#deliver(order, deadline);
      else this.#outcomes.add('timeout');
    } finally {
      this.#unsent.delete(order);
    }
  }

  async #deliver(order: CancelOrder, deadline: number): Promise<void> {
    this.#running++;
    try {
      const sent = (): void => void this.#unsent.delete(order);
      this.#outcomes.add(await deliver(order, Math.max(deadline - performance.now(), 1), sent));
    } catch {
      this.#outcomes.add('failed');
    } finally {
      this.#running--;
      this.#line.shift()?.start();
    }
  }

  #turn(timeout: number): Promise<boolean> {
    if (this.#running < this.#limit()) return Promise.resolve(true);
    if (this.#line.length >= 10 * this.#limit()) return Promise.resolve(false);
    return new Promise((resolve) => {
      const place = {
        start: () => {
          clearTimeout(timer);
          resolve(true);
        },
        giveUp: () => {
          this.#line.splice(this.#line.indexOf(place), 1);
          resolve(false);
        },
      };
      const timer = setTimeout(place.giveUp, timeout);
      this.#line.push(place);
    });
  }
}

async function deliver(order: CancelOrder, timeout: number, sent: () => void): Promise<CancelOutcome> {
  const { server } = order;
  const connection = await dial(order.destination, { ...order.dial, timeoutMs: timeout });
  const stream = new LoginStream(connection);
  const patience = new AbortController();
  const timer = setTimeout(() => {
    patience.abort();
    connection.destroy();
  }, timeout);
  try {
    if (order.tls !== undefined && server.connection?.tls !== undefined) {
      await secure(connection, stream, order.host, order.tls);
    }
    if (!order.stillWanted()) {
      connection.destroy();
      return 'nothing_to_cancel';
    }
    server.cancels++;
    sent();
    try {
      connection.write(cancelRequest(server.processId, server.secret));
      await stream.over;
    } finally {
      server.cancels--;
      if (patience.signal.aborted) server.cancelIsLate = true;
      if (server.cancels === 0) order.landed(server);
    }
    return patience.signal.aborted ? 'timeout' : 'forwarded';
  } finally {
    clearTimeout(timer);
    connection.destroy();
  }
}

/** The key is worth a session: it goes over TLS wherever the session does. */
async function secure(
  connection: Connection,
  stream: LoginStream,
  host: string,
  tls: ServerTls,
): Promise<void> {
  connection.write(sslRequest());
  if ((await stream.byte()) !== 0x53 || stream.buffered > 0) throw new Error('server refused SSL');
  await connection.upgradeToTlsClient(tls.optionsFor(host));
}
