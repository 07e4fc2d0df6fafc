/**
 * How the daemon ends, inside shutdown_timeout:
 *
 *     not ready ─ shutdown_delay ─▶ listening stops ─▶ idle clients are told, busy ones after their transaction
 *                                                            └─ deadline ─▶ the rest is cancelled and told ─▶ servers closed
 */
import type { Logger } from '../observability/logger.ts';
import { ClientError } from '../protocol/errors.ts';
import { SqlState } from '../protocol/sql-state.ts';
import type { Pooler } from '../proxy/pooler.ts';

/** Kept of shutdown_timeout for cancelling, rolling back and saying goodbye, ms; less where the whole is short. */
const LAST_WORDS = 1500;

export interface DrainOptions {
  readonly pooler: Pooler;
  readonly logger: Logger;
  /** For the load balancer to notice, ms. */
  readonly delay: number;
  /** For everything together, ms. */
  readonly timeout: number;
  readonly stopListening: () => void;
  /** Console sessions watch a drain to its end. */
  readonly dismissConsole: (error: ClientError) => void;
}

const terminated = (): ClientError =>
  new ClientError('terminating connection due to administrator command', {
    sqlState: SqlState.adminShutdown,
  });

export const shuttingDown = (): ClientError =>
  new ClientError('pooler is shutting down', { sqlState: SqlState.cannotConnectNow });

export async function drain({
  pooler,
  logger,
  delay,
  timeout,
  stopListening,
  dismissConsole,
}: DrainOptions): Promise<void> {
  const startedAt = performance.now();
  const left = (): number => timeout - (performance.now() - startedAt);
  logger.info({ clients: pooler.clients.all.size, timeout: timeout / 1000 }, 'draining');
  const patience = Math.min(LAST_WORDS, timeout / 4);
  await until(() => false, Math.min(delay, Math.max(left() - patience, 0)));
  stopListening();
  pooler.admission.refuseAll(shuttingDown());
  pooler.dismissClients(terminated());
  await until(() => pooler.clients.all.size === 0, left() - patience);
  if (pooler.clients.all.size > 0) {
    logger.warn({ clients: pooler.clients.all.size }, 'shutdown_timeout: clients are cut off');
    pooler.cutOff(terminated());
  }
  // What they left on servers is being cancelled and rolled back.
  await until(() => !pooler.isCleaning, left() - patience / 2);
  dismissConsole(terminated());
  pooler.closeServers(shuttingDown());
  await until(() => pooler.serverCount === 0, left() - 100);
  // Who has been told goodbye may read it first; who does not say it too is not waited for.
  await until(() => pooler.admission.connections === 0, Math.min(patience, left() - 100));
}

/** Waits for a condition, `limit` ms at most. */
async function until(condition: () => boolean, limit: number): Promise<void> {
  const deadline = performance.now() + limit;
  while (!condition()) {
    const left = deadline - performance.now();
    if (left <= 0) return;
    // oxlint-disable-next-line no-await-in-loop
    await new Promise((resolve) => {
      setTimeout(resolve, Math.min(20, left));
    });
  }
}
