/** What is measured with pgbench. */
import type { PoolerOptions } from '../support/poolers/pooler.ts';

export interface Workload {
  readonly name: string;
  readonly what: string;
  readonly poolSize: number;
  readonly authType: NonNullable<PoolerOptions['authType']>;
  /** Of pgbench, besides those that say how long and against what. */
  readonly args: readonly string[];
}

const POOL_SIZE = 20;
const SELECTS = ['--select-only', '--client=20', '--jobs=2'];
const ROWS_SCRIPT = new URL('rows.pgbench.sql', import.meta.url).pathname;

const selects = (protocol: string): Workload => ({
  name: `select-${protocol}`,
  what: `pgbench -S -M ${protocol}, 20 clients, pool 20`,
  poolSize: POOL_SIZE,
  // After the login it makes no difference, and a run is short.
  authType: 'trust',
  args: [...SELECTS, `--protocol=${protocol}`],
});

const connects = (authType: Workload['authType']): Workload => ({
  name: `connect-${authType}`,
  what: `pgbench -S -C, a connection a transaction, ${authType}`,
  poolSize: POOL_SIZE,
  authType,
  args: [...SELECTS, '--connect'],
});

export const WORKLOADS: readonly Workload[] = [
  selects('simple'),
  selects('extended'),
  selects('prepared'),
  {
    name: 'rows-20000',
    what: 'results of 20,000 rows, 4 clients, pool 20',
    poolSize: POOL_SIZE,
    authType: 'trust',
    args: [`--file=${ROWS_SCRIPT}`, '--client=4', '--jobs=2'],
  },
  connects('trust'),
  connects('scram-sha-256'),
];
