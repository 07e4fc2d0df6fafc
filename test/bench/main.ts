/** `npm run bench`: ostler beside PgBouncer, or beside another ostler, on this machine, one workload after another. It measures and judges nothing. */
import { writeFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { findProgram, runProgram } from '../clients/support/programs.ts';
import { startPostgres } from '../support/postgres.ts';
import { contenders } from './contenders.ts';
import { IDLE_WORKLOADS, type IdleMemory, measureIdle } from './idle.ts';
import { type BenchOptions, parseOptions, USAGE } from './options.ts';
import { idleTable, throughputTable } from './report.ts';
import { measureThroughput, type Target, type Throughput } from './throughput.ts';
import { WORKLOADS } from './workloads.ts';

const POSTGRES_SETTINGS = { max_connections: '100', shared_buffers: '256MB' };

try {
  process.once('SIGINT', () => process.exit(130)); // An orderly end, which takes the poolers along.
  const options = parseOptions(process.argv.slice(2));
  if (options === 'help') console.log(USAGE);
  else await bench(options);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

async function bench(options: BenchOptions): Promise<void> {
  const wanted = ({ name }: { readonly name: string }): boolean =>
    options.only.length === 0 || options.only.some((part) => name.includes(part));
  const [workloads, idleWorkloads] = [WORKLOADS.filter(wanted), IDLE_WORKLOADS.filter(wanted)];
  if (workloads.length + idleWorkloads.length === 0) {
    const names = [...WORKLOADS, ...IDLE_WORKLOADS].map(({ name }) => name).join(', ');
    throw new Error(`--only matches no workload; there are ${names}`);
  }
  const kinds = await contenders(options);
  const pgbench = await findProgram('pgbench', 'postgresql-contrib');
  if (pgbench.kind === 'missing') throw new Error(pgbench.reason);

  const postgres = await startPostgres({ settings: POSTGRES_SETTINGS });
  try {
    const throughput: Throughput[] = [];
    if (workloads.length > 0) await fillTables(pgbench.value, postgres, options.scale);
    for (const workload of workloads) {
      const { pairs, seconds } = options;
      const progress = (pair: number): void =>
        note(`${workload.name}: pair ${String(pair)} of ${String(pairs)}`);
      throughput.push(
        await measureThroughput(workload, {
          pgbench: pgbench.value,
          postgres,
          kinds,
          pairs,
          seconds,
          progress,
        }),
      );
    }
    const idle: IdleMemory[] = [];
    for (const workload of idleWorkloads) {
      note(`${workload.name}: ${String(options.idleClients)} clients`);
      idle.push(await measureIdle(workload, { postgres, kinds, clients: options.idleClients }));
    }
    note('');
    const machine = `${cpus()[0]?.model ?? 'unknown'}, ${String(availableParallelism())} cores`;
    const rival = kinds.rival.name;
    console.log(`ostler beside ${rival}, Node ${process.version}, ${machine}\n`);
    const tables = [throughputTable(rival, throughput), idleTable(rival, idle)];
    console.log(tables.filter((text) => text !== '').join('\n\n'));
    if (options.out !== undefined) {
      const measured = { node: process.version, machine, options, throughput, idle };
      await writeFile(options.out, `${JSON.stringify(measured, undefined, 2)}\n`);
    }
  } finally {
    await postgres.stop();
  }
}

async function fillTables(
  pgbench: string,
  { host, port, user, password }: Target,
  scale: number,
): Promise<void> {
  note('filling tables');
  const environment = {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGPASSWORD: password,
    PGDATABASE: 'postgres',
  };
  await runProgram(pgbench, ['--initialize', `--scale=${String(scale)}`, '--quiet'], { environment });
}

/** How far it is, on the one line of a terminal that is written over. */
function note(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}
