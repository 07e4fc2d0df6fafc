/** The servers of one pool that take a slot: where each of them is, how many are where, and since when it has them. */
import { invariant } from '../base/assert.ts';
import { IdleServers } from './idle-servers.ts';
import type { SharedLimit } from './limits.ts';
import type { PooledServer } from './port.ts';
import { mayFollow, type ServerState, type ServerStateKind } from './server-state.ts';
import { LIFETIME_SPREAD, type Tenure } from './tenure.ts';

export class ServerRoster<Client, Server extends PooledServer<Client>> {
  readonly idle: IdleServers<Client, Server>;
  readonly #limits: readonly SharedLimit[];
  /** By id. */
  readonly #tenures = new Map<number, Tenure<Server>>();
  /** Written by `add` and `#tally` only. */
  readonly #count = {
    connecting: 0,
    idle: 0,
    active: 0,
    tested: 0,
    being_canceled: 0,
    closing: 0,
    closed: 0,
  };
  /** Servers of an earlier generation are close_needed. */
  #generation = 1;

  constructor(limits: readonly SharedLimit[], prefers: (client: Client, server: Server) => boolean) {
    this.idle = new IdleServers(prefers);
    this.#limits = limits;
  }

  get size(): number {
    return this.#tenures.size;
  }

  get count(): { readonly [kind in ServerStateKind]: number } {
    return this.#count;
  }

  /** Servers that are not on their way out. */
  get live(): number {
    return this.#tenures.size - this.#count.closing;
  }

  /** Servers that will come to the waiting line without anybody releasing them. */
  get onTheWay(): number {
    return this.#count.connecting + this.#count.tested;
  }

  /** Some server is logged in and comes back to the line, so that who waits will be served sooner or later. */
  get hasUsable(): boolean {
    for (const tenure of this.#tenures.values()) {
      const { kind } = tenure.server.state;
      if (kind !== 'connecting' && kind !== 'closing' && !this.closeNeeded(tenure)) return true;
    }
    return false;
  }

  get hasCloseNeeded(): boolean {
    for (const { generation } of this.#tenures.values()) if (generation !== this.#generation) return true;
    return false;
  }

  add(server: Server, now: number, random: number): void {
    invariant(server.state.kind === 'connecting', 'a new server begins by connecting');
    invariant(!this.#tenures.has(server.id), 'the id of a server is its own');
    const spread = 1 - LIFETIME_SPREAD * random;
    this.#tenures.set(server.id, { server, connectedAt: now, spread, generation: this.#generation });
    this.#count.connecting += 1;
    for (const limit of this.#limits) limit.serverCame();
  }

  /** The one place where a server changes its state, so that lists, counts and limits cannot drift from it. */
  move(server: Server, next: ServerState<Client>): void {
    const from = server.state.kind;
    invariant(mayFollow(from, next.kind), 'a server goes only from a state to one of its successors');
    if (from === 'idle') this.idle.delete(server);
    this.#tally(from, -1);
    server.state = next;
    if (next.kind === 'closed') {
      this.#tenures.delete(server.id);
      for (const limit of this.#limits) limit.serverWent();
      return;
    }
    this.#tally(next.kind, 1);
    if (next.kind === 'idle') this.idle.add(server);
  }

  /** What each link and release changes is not looked up by a computed name, which is many times slower. */
  #tally(kind: ServerStateKind, change: 1 | -1): void {
    const count = this.#count;
    if (kind === 'idle') count.idle += change;
    else if (kind === 'active') count.active += change;
    else count[kind] += change;
  }

  tenure(serverId: number): Tenure<Server> | undefined {
    return this.#tenures.get(serverId);
  }

  closeNeeded(tenure: Tenure<Server>): boolean {
    return tenure.generation !== this.#generation;
  }

  /** Every server there is now becomes close_needed. */
  nextGeneration(): void {
    this.#generation += 1;
  }

  /** A copy: it may be walked while servers come and go. */
  toArray(): Server[] {
    return Array.from(this.#tenures.values(), ({ server }) => server);
  }
}
