/** What a client is told when query_wait_timeout has passed: what is full, and who has held it longest. */
import { ClientError } from '../protocol/errors.ts';
import { SqlState } from '../protocol/sql-state.ts';
import type { PoolSettings } from './pool-settings.ts';
import type { ClientDescription, PooledServer } from './port.ts';

interface FullPool<Client> {
  readonly database: string;
  readonly user: string;
  readonly active: number;
  readonly size: number;
  servers(): Iterable<PooledServer<Client>>;
}

export function queryWaitTimeout<Client>(
  pool: FullPool<Client>,
  { poolSize }: PoolSettings,
  port: { describe(client: Client): ClientDescription },
  now: number,
): ClientError {
  let oldest: ClientDescription | undefined;
  let pinned = 0;
  for (const { state } of pool.servers()) {
    if (state.kind !== 'active') continue;
    const holder = port.describe(state.client);
    if (holder.pinnedBy !== undefined) pinned++;
    if (oldest === undefined || holder.since < oldest.since) oldest = holder;
  }
  const name = `pool ${pool.database}/${pool.user}`;
  const usage = `${name}: ${pool.active} active of ${pool.size} server connections, pool_size ${poolSize === 0 ? 'unlimited' : poolSize}`;
  const kept = pinned === 0 ? '' : `, ${pinned} of them kept by session state (SHOW PINS)`;
  return new ClientError('query_wait_timeout', {
    sqlState: SqlState.tooManyConnections,
    detail: oldest === undefined ? usage : `${usage}${kept}; ${holding(oldest, now)}`,
  });
}

function holding({ since, applicationName }: ClientDescription, now: number): string {
  const name =
    applicationName === undefined || applicationName === ''
      ? 'no application_name'
      : `application_name "${applicationName}"`;
  return `oldest transaction: ${((now - since) / 1000).toFixed(1)} s, ${name}`;
}
