/**
 * The idle servers of one pool, longest idle first.
 *
 * An array: a pool has tens of servers, the newest is taken and put back at the end, and looking for a particular one costs a
 * few comparisons of references. Nothing is allocated.
 */
import { invariant } from '../base/assert.ts';

export class IdleServers<Server> {
  readonly #servers: Server[] = [];

  get size(): number {
    return this.#servers.length;
  }

  get oldest(): Server | undefined {
    return this.#servers[0];
  }

  get newest(): Server | undefined {
    return this.#servers[this.#servers.length - 1];
  }

  /** The server that has been idle for the `index`-th shortest time; 0 is the newest. */
  newestAt(index: number): Server | undefined {
    return this.#servers[this.#servers.length - 1 - index];
  }

  push(server: Server): void {
    this.#servers.push(server);
  }

  delete(server: Server): void {
    const servers = this.#servers;
    const at = servers.lastIndexOf(server);
    invariant(at >= 0, 'an idle server is among the idle ones');
    // Not splice: it allocates an array for what it takes out.
    servers.copyWithin(at, at + 1);
    servers.pop();
  }

  /** A copy, longest idle first: it may be walked while servers come and go. */
  toArray(): Server[] {
    return this.#servers.slice();
  }
}
