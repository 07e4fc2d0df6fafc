/**
 * pgbench through two poolers in turn, ostler and its rival. This machine's noise is larger than most differences between
 * them, but it changes slowly: so runs are short, each is compared with the one beside it, and the medians of many pairs
 * are reported.
 */
import { runProgram } from '../clients/support/programs.ts';
import type { Pooler, PoolerKind } from '../support/poolers/pooler.ts';
import { type CpuTime, cpuTime } from './process-stats.ts';
import { type Spread, spread } from './statistics.ts';
import type { Workload } from './workloads.ts';

export interface Kinds {
  readonly ostler: PoolerKind;
  readonly rival: PoolerKind;
}

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

/** One run of pgbench. */
interface Run {
  readonly tps: number;
  /** µs of the pooler's process for each transaction. */
  readonly cpu: CpuTime;
}

export interface PoolerThroughput {
  readonly name: string;
  readonly tps: Spread;
  readonly cpuUser: Spread;
  readonly cpuSystem: Spread;
  readonly runs: readonly Run[];
}

export interface Throughput {
  readonly workload: string;
  readonly what: string;
  readonly ostler: PoolerThroughput;
  readonly rival: PoolerThroughput;
  /** Of ostler to its rival, pair by pair. */
  readonly tpsRatio: Spread;
  readonly cpuRatio: Spread;
}

export interface ThroughputOptions {
  readonly pgbench: string;
  readonly postgres: Target;
  readonly kinds: Kinds;
  readonly pairs: number;
  readonly seconds: number;
  /** Called after each pair. */
  readonly progress: (pair: number) => void;
}

const DATABASE = 'postgres';

export async function measureThroughput(workload: Workload, options: ThroughputOptions): Promise<Throughput> {
  const { postgres, kinds, pairs, seconds } = options;
  const start = (kind: PoolerKind): Promise<Pooler> =>
    kind.start({
      server: postgres,
      users: { [postgres.user]: postgres.password },
      databases: [DATABASE],
      poolSize: workload.poolSize,
      authType: workload.authType,
    });
  const ostler = await start(kinds.ostler);
  try {
    const rival = await start(kinds.rival);
    try {
      const run = (pooler: Pooler, length: number): Promise<Run> =>
        runOnce(workload, pooler, length, options);
      await run(ostler, 1); // So that servers are connected, code compiled and caches filled.
      await run(rival, 1);
      const runs: { ostler: Run; rival: Run }[] = [];
      for (let pair = 0; pair < pairs; pair += 1) {
        // The order changes from pair to pair: what is first must not be ahead for that.
        if (pair % 2 === 0) {
          const first = await run(ostler, seconds);
          runs.push({ ostler: first, rival: await run(rival, seconds) });
        } else {
          const first = await run(rival, seconds);
          runs.push({ ostler: await run(ostler, seconds), rival: first });
        }
        options.progress(pair + 1);
      }
      return summarize(workload, runs, kinds);
    } finally {
      await rival.stop();
    }
  } finally {
    await ostler.stop();
  }
}

async function runOnce(
  { args }: Workload,
  pooler: Pooler,
  seconds: number,
  { pgbench, postgres }: ThroughputOptions,
): Promise<Run> {
  const environment = {
    PGHOST: pooler.host,
    PGPORT: String(pooler.port),
    PGUSER: postgres.user,
    PGPASSWORD: postgres.password,
    PGDATABASE: DATABASE,
    PGSSLMODE: 'disable',
  };
  const before = cpuTime(pooler.pid);
  const { stdout } = await runProgram(pgbench, ['--no-vacuum', `--time=${String(seconds)}`, ...args], {
    environment,
  });
  const after = cpuTime(pooler.pid);
  const transactions = numberAfter(stdout, 'number of transactions actually processed: ');
  if (transactions === 0) throw new Error(`no transaction came to its end:\n${stdout}`);
  return {
    tps: numberAfter(stdout, 'tps = '),
    cpu: {
      user: (after.user - before.user) / transactions,
      system: (after.system - before.system) / transactions,
    },
  };
}

function numberAfter(report: string, label: string): number {
  const start = report.indexOf(label);
  const value = start === -1 ? NaN : Number.parseFloat(report.slice(start + label.length));
  if (Number.isNaN(value)) throw new Error(`pgbench's report says nothing after "${label}":\n${report}`);
  return value;
}

function summarize(
  { name, what }: Workload,
  runs: readonly { readonly ostler: Run; readonly rival: Run }[],
  kinds: Kinds,
): Throughput {
  const total = ({ cpu }: Run): number => cpu.user + cpu.system;
  return {
    workload: name,
    what,
    ostler: describe(
      kinds.ostler.name,
      runs.map((pair) => pair.ostler),
    ),
    rival: describe(
      kinds.rival.name,
      runs.map((pair) => pair.rival),
    ),
    tpsRatio: spread(runs.map((pair) => pair.ostler.tps / pair.rival.tps)),
    cpuRatio: spread(runs.map((pair) => total(pair.ostler) / total(pair.rival))),
  };
}

function describe(name: string, runs: readonly Run[]): PoolerThroughput {
  return {
    name,
    tps: spread(runs.map((run) => run.tps)),
    cpuUser: spread(runs.map((run) => run.cpu.user)),
    cpuSystem: spread(runs.map((run) => run.cpu.system)),
    runs,
  };
}
