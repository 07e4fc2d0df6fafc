/** How much memory a pooler needs for a client that is logged in and does nothing. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Authority, writeCertificate } from '../support/certificates.ts';
import type { PoolerKind, PoolerOptions } from '../support/poolers/pooler.ts';
import type { IdleClientsOptions, Order } from './idle-clients.ts';
import { settledMemory } from './process-stats.ts';
import type { Kinds, Target } from './throughput.ts';

export interface IdleWorkload {
  readonly name: string;
  readonly what: string;
  readonly tls: boolean;
}

export const IDLE_WORKLOADS: readonly IdleWorkload[] = [
  { name: 'idle-plain', what: 'memory of an idle client, plain TCP', tls: false },
  { name: 'idle-tls', what: 'memory of an idle client, TLS', tls: true },
];

/** In bytes. */
export interface PoolerMemory {
  readonly name: string;
  /** The whole process before the clients came. */
  readonly empty: number;
  /** For each client after its login, and after it has had a query answered as well. */
  readonly perClient: number;
  readonly perClientAfterQuery: number;
}

export interface IdleMemory {
  readonly workload: string;
  readonly what: string;
  readonly clients: number;
  readonly ostler: PoolerMemory;
  readonly rival: PoolerMemory;
}

export interface IdleOptions {
  readonly postgres: Target;
  readonly kinds: Kinds;
  readonly clients: number;
}

const DATABASE = 'postgres';
const POOL_SIZE = 20;
/** Clients that come and go before anything is measured: what is there once for all must not be counted for each. */
const WARM_UP_CLIENTS = 100;

export async function measureIdle(workload: IdleWorkload, options: IdleOptions): Promise<IdleMemory> {
  const folder = await mkdtemp(join(tmpdir(), 'ostler-bench-'));
  try {
    const certificate = workload.tls
      ? writeCertificate(new Authority().issue(), 'server', folder)
      : undefined;
    const { name, what, tls } = workload;
    const ostler = await measureOne(options.kinds.ostler, tls, certificate, options);
    const rival = await measureOne(options.kinds.rival, tls, certificate, options);
    return { workload: name, what, clients: options.clients, ostler, rival };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureOne(
  kind: PoolerKind,
  tls: boolean,
  certificate: PoolerOptions['certificate'],
  { postgres, clients }: IdleOptions,
): Promise<PoolerMemory> {
  const pooler = await kind.start({
    server: postgres,
    users: { [postgres.user]: postgres.password },
    databases: [DATABASE],
    poolSize: POOL_SIZE,
    ...(certificate !== undefined && { certificate }),
    settings: { max_client_conn: clients + WARM_UP_CLIENTS },
  });
  try {
    const { host, port } = pooler;
    const target = { host, port, user: postgres.user, password: postgres.password, database: DATABASE, tls };
    await (await openClients({ ...target, count: WARM_UP_CLIENTS })).close();
    const empty = await settledMemory(pooler.pid);
    const opened = await openClients({ ...target, count: clients });
    const loggedIn = await settledMemory(pooler.pid);
    await opened.query();
    const asked = await settledMemory(pooler.pid);
    await opened.close();
    return {
      name: kind.name,
      empty,
      perClient: (loggedIn - empty) / clients,
      perClientAfterQuery: (asked - empty) / clients,
    };
  } finally {
    await pooler.stop();
  }
}

interface OpenClients {
  query(): Promise<void>;
  close(): Promise<void>;
}

async function openClients(options: IdleClientsOptions): Promise<OpenClients> {
  const child = fork(join(import.meta.dirname, 'idle-clients.ts'), { stdio: 'inherit' });
  await tell(child, { open: options });
  return {
    query: () => tell(child, { query: true }),
    close: async () => {
      const ended = once(child, 'exit');
      child.disconnect();
      await ended;
    },
  };
}

async function tell(child: ChildProcess, order: Order): Promise<void> {
  const answered = once(child, 'message');
  const ended = once(child, 'exit').then(() => {
    throw new Error('the process with the idle clients has ended');
  });
  child.send(order);
  const [answer]: unknown[] = await Promise.race([answered, ended]);
  if (answer === 'done') return;
  child.disconnect();
  throw new Error(`idle clients: ${JSON.stringify(answer)}`);
}
