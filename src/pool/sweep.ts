/** What happens in a pool only because time passes: servers that are too old or too many, closes that take too long, waits that end. */
import type { ClientError } from '../protocol/errors.ts';
import type { Pool } from './pool.ts';
import type { PoolSettings } from './pool-settings.ts';
import type { PooledClient, PooledServer, PoolPort } from './port.ts';
import type { ServerRoster } from './server-roster.ts';
import { idleCloseReason } from './tenure.ts';
import { queryWaitTimeout } from './wait-timeout.ts';
import type { WaitingLine } from './waiting-line.ts';

/** One pool from the inside. */
export interface Sweepable<Client extends PooledClient, Server extends PooledServer<Client>> {
  readonly pool: Pool<Client, Server>;
  readonly port: PoolPort<Client, Server>;
  readonly roster: ServerRoster<Client, Server>;
  readonly line: WaitingLine<Client>;
}

export function sweepIdle<Client extends PooledClient, Server extends PooledServer<Client>>(
  { pool, roster }: Sweepable<Client, Server>,
  settings: PoolSettings,
  now: number,
): void {
  for (const server of roster.idle.toArray()) {
    const tenure = roster.tenure(server.id);
    if (tenure === undefined) continue;
    let reason = idleCloseReason(tenure, server.state, settings, roster.live, now);
    if (reason === undefined && pool.isOverSharedLimit) reason = 'too many servers in the pool';
    if (reason !== undefined) pool.close(server, reason);
  }
}

/** After server_close_timeout a server counts as gone, whether or not its socket has noticed. */
export function sweepClosing<Client extends PooledClient, Server extends PooledServer<Client>>(
  { pool, port, roster }: Sweepable<Client, Server>,
  { serverCloseTimeout }: PoolSettings,
  now: number,
): void {
  if (roster.count.closing === 0) return;
  for (const server of roster.toArray()) {
    if (server.state.kind !== 'closing' || now - server.state.since < serverCloseTimeout) continue;
    port.destroy(server);
    pool.closed(server);
  }
}

/** query_wait_timeout and query_wait_notify. */
export function sweepLine<Client extends PooledClient, Server extends PooledServer<Client>>(
  { pool, port, line }: Sweepable<Client, Server>,
  settings: PoolSettings,
  now: number,
): void {
  let error: ClientError | undefined;
  for (const client of line.toArray()) {
    const place = client.waiting;
    if (place === undefined) continue;
    const waited = line.waited(client, now);
    const timeout = port.waitTimeout(client);
    if (timeout > 0 && waited >= timeout) {
      error ??= queryWaitTimeout(pool, settings, port, now);
      pool.abandon(client);
      port.refuse(client, error);
    } else if (settings.queryWaitNotify > 0 && waited >= settings.queryWaitNotify && !place.notified) {
      place.notified = true;
      port.notify(client);
    }
  }
}
