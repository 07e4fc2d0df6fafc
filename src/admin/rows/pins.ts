/** SHOW PINS, and what a scrape says of them: the clients that keep their server in transaction mode. */
import type { PinReason } from '../../session/pins.ts';
import type { RowSource } from './source.ts';

export interface PinRow {
  readonly database: string;
  readonly user: string;
  readonly applicationName: string;
  readonly reasons: readonly PinReason[];
  /** ms. */
  readonly age: number;
  /** How long the client has been silent, ms; 0 = it is not. */
  readonly idle: number;
  readonly client: number;
  readonly server: number | undefined;
  readonly remotePid: number;
}

/** Oldest first. */
export function pinRows({ pooler }: RowSource): PinRow[] {
  const now = performance.now();
  const rows: PinRow[] = [];
  for (const client of pooler.clients.all.values()) {
    const { pin, server } = client;
    if (pin === undefined) continue;
    rows.push({
      database: client.pool.database,
      user: client.user,
      applicationName: client.applicationName,
      reasons: pin.reasons,
      age: now - pin.since,
      idle: client.isIdle ? now - client.activeAt : 0,
      client: client.id,
      server: server?.id,
      remotePid: server?.processId ?? 0,
    });
  }
  return rows.toSorted((a, b) => b.age - a.age);
}
