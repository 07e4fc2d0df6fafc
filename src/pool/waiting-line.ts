/** The clients that wait for a server of one pool: first come, first served, each with the time it has waited. */
import { LinkedList } from '../base/linked-list.ts';
import type { PooledClient } from './port.ts';

export class WaitingLine<Client extends PooledClient> {
  readonly #clients = new LinkedList<Client>();
  /** How long the pool has been paused in all, not counting a pause that still lasts. */
  #pausedFor = 0;
  #pausedAt: number | undefined;

  get size(): number {
    return this.#clients.size;
  }

  get first(): Client | undefined {
    return this.#clients.first;
  }

  push(client: Client, now: number): void {
    this.#clients.push(client);
    client.waiting = { since: now, runningSince: this.#running(now), notified: false };
  }

  /** False when the client was not in this line. */
  delete(client: Client): boolean {
    if (!this.#clients.delete(client)) return false;
    client.waiting = undefined;
    return true;
  }

  /** When the client came that has `ahead` others before it; undefined if the line is not that long. */
  arrival(ahead: number): number | undefined {
    if (ahead <= 0) return this.first?.waiting?.since;
    if (ahead >= this.size) return undefined;
    let place = 0;
    for (const client of this.#clients) {
      if (place === ahead) return client.waiting?.since;
      place += 1;
    }
    return undefined;
  }

  /** How long a client has waited while the pool was not paused: a pause is not the client's fault. */
  waited(client: Client, now: number): number {
    return client.waiting === undefined ? 0 : this.#running(now) - client.waiting.runningSince;
  }

  stopClock(now: number): void {
    this.#pausedAt ??= now;
  }

  startClock(now: number): void {
    if (this.#pausedAt === undefined) return;
    this.#pausedFor += now - this.#pausedAt;
    this.#pausedAt = undefined;
  }

  /** A copy, first come first: it may be walked while clients come and go. */
  toArray(): Client[] {
    return Array.from(this.#clients);
  }

  #running(now: number): number {
    return (this.#pausedAt ?? now) - this.#pausedFor;
  }
}
