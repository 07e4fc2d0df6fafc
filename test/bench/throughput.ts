/**
 * pgbench through two poolers in turn, ostler and its rival. This machine's noise is larger than most differences between
 * them, but it changes slowly: so runs are short, each is compared with the one beside it, and the medians of many pairs
 * are reported.
 *
 * Two processes of one pooler differ too, by up to a tenth and for as long as they live: by where their memory lies, and by what was
 * compiled first. So there are new ones after a few pairs.
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

interface Pair {
  readonly ostler: Run;
  readonly rival: Run;
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
/** Of the same two processes. */
const PAIRS = 3;
/** Servers are connected, code is compiled and caches are filled, s. */
const WARM_UP = 3;

export async function measureThroughput(workload: Workload, options: ThroughputOptions): Promise<Throughput> {
  const { kinds, pairs, progress } = options;
  const runs: Pair[] = [];
  while (runs.length < pairs) {
    const ostler = await startPooler(kinds.ostler, workload, options);
    try {
      const rival = await startPooler(kinds.rival, workload, options);
      try {
        for (const pooler of [ostler, rival]) await runOnce(workload, pooler, WARM_UP, options);
        for (let left = Math.min(PAIRS, pairs - runs.length); left > 0; left -= 1) {
          // The order changes from pair to pair: what is first must not be ahead for that.
          runs.push(await runPair(workload, ostler, rival, runs.length % 2 === 0, options));
          progress(runs.length);
        }
      } finally {
        await rival.stop();
      }
    } finally {
      await ostler.stop();
    }
  }
  return summarize(workload, runs, kinds);
}

function startPooler(
  kind: PoolerKind,
  { poolSize, authType }: Workload,
  { postgres }: ThroughputOptions,
): Promise<Pooler> {
  return kind.start({
    server: postgres,
    users: { [postgres.user]: postgres.password },
    databases: [DATABASE],
    poolSize,
    authType,
  });
}

async function runPair(
  workload: Workload,
  ostler: Pooler,
  rival: Pooler,
  isOstlerFirst: boolean,
  options: ThroughputOptions,
): Promise<Pair> {
  const run = (pooler: Pooler): Promise<Run> => runOnce(workload, pooler, options.seconds, options);
  if (isOstlerFirst) {
    const first = await run(ostler);
    return { ostler: first, rival: await run(rival) };
  }
  const first = await run(rival);
  return { ostler: await run(ostler), rival: first };
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

function summarize({ name, what }: Workload, runs: readonly Pair[], kinds: Kinds): Throughput {
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
