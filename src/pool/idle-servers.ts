/**
 * The idle servers of one pool, longest idle first, and which of them a client gets.
 *
 * An array: a pool has tens of servers, the newest is taken and put back at the end, and looking for a particular one costs a
 * few comparisons of references. Nothing is allocated.
 */
import { invariant } from '../base/assert.ts';
import type { PooledServer } from './port.ts';

/** How many of the newest idle servers are asked whether they suit a client. */
const PREFERENCE_SCAN = 8;

export interface ChoiceSettings {
  readonly serverRoundRobin: boolean;
  /** ms; undefined = servers are never tested. */
  readonly serverCheckDelay: number | undefined;
}

export class IdleServers<Client, Server extends PooledServer<Client>> {
  readonly #servers: Server[] = [];
  readonly #prefers: (client: Client, server: Server) => boolean;

  constructor(prefers: (client: Client, server: Server) => boolean) {
    this.#prefers = prefers;
  }

  get oldest(): Server | undefined {
    return this.#servers[0];
  }

  get newest(): Server | undefined {
    return this.#servers[this.#servers.length - 1];
  }

  /** Nearly always the one that has come last. */
  add(server: Server): void {
    const servers = this.#servers;
    servers.push(server);
    for (let at = servers.length - 1; at > 0; at -= 1) {
      const before = servers[at - 1];
      if (before === undefined || idleSince(before) <= idleSince(server)) return;
      servers[at] = before;
      servers[at - 1] = server;
    }
  }

  delete(server: Server): void {
    const servers = this.#servers;
    // Not lastIndexOf, nor splice, which allocates, nor copyWithin, all of which are slower for so few.
    let at = servers.length - 1;
    while (at >= 0 && servers[at] !== server) at -= 1;
    invariant(at >= 0, 'an idle server is among the idle ones');
    for (let index = at + 1; index < servers.length; index += 1) {
      const moved = servers[index];
      if (moved !== undefined) servers[index - 1] = moved;
    }
    servers.pop();
  }

  /** A copy, longest idle first: it may be walked while servers come and go. */
  toArray(): Server[] {
    return this.#servers.slice();
  }

  /**
   * The client's last server, else one of the newest that carries its state, else the newest; with server_round_robin the longest idle.
   * undefined if none can be had without a test.
   */
  choose(
    client: Client,
    last: Server | undefined,
    settings: ChoiceSettings,
    now: number,
  ): Server | undefined {
    const { newest } = this;
    if (newest === undefined || isStale(newest, settings, now)) return undefined;
    if (settings.serverRoundRobin) return this.#oldestFresh(settings, now);
    if (last?.state.kind === 'idle' && !isStale(last, settings, now)) return last;
    const end = Math.max(0, this.#servers.length - PREFERENCE_SCAN);
    for (let index = this.#servers.length - 1; index >= end; index -= 1) {
      const server = this.#servers[index];
      if (server === undefined || isStale(server, settings, now)) break;
      if (this.#prefers(client, server)) return server;
    }
    return newest;
  }

  #oldestFresh(settings: ChoiceSettings, now: number): Server | undefined {
    for (const server of this.#servers) if (!isStale(server, settings, now)) return server;
    return undefined;
  }

  /** What is tested if all are stale: who has been idle for the shortest time has the best chance. */
  toTest(settings: ChoiceSettings, now: number): Server | undefined {
    const { newest } = this;
    return newest !== undefined && isStale(newest, settings, now) ? newest : undefined;
  }

  countStale(settings: ChoiceSettings, now: number): number {
    let count = 0;
    for (const server of this.#servers) if (isStale(server, settings, now)) count += 1;
    return count;
  }
}

const idleSince = ({ state }: PooledServer<unknown>): number =>
  state.kind === 'idle' ? state.since : Infinity;

/** Idle for so long (server_check_delay) that it may have died unnoticed. */
function isStale(
  { state }: PooledServer<unknown>,
  { serverCheckDelay }: ChoiceSettings,
  now: number,
): boolean {
  return serverCheckDelay !== undefined && state.kind === 'idle' && now - state.since >= serverCheckDelay;
}
