/** Who is measured: ostler and its rival, by the command line. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { unreachable } from '../../src/base/assert.ts';
import { ostler } from '../support/poolers/ostler.ts';
import { pgbouncer } from '../support/poolers/pgbouncer.ts';
import type { PoolerKind } from '../support/poolers/pooler.ts';
import type { BenchOptions } from './options.ts';
import type { Kinds } from './throughput.ts';

const run = promisify(execFile);

export async function contenders(options: BenchOptions): Promise<Kinds> {
  const { cpus } = options;
  const kinds = { ostler: ostler(options.ostler), rival: await rivalOf(options) };
  if (cpus === undefined) return kinds;
  return { ostler: bound(kinds.ostler, cpus), rival: bound(kinds.rival, cpus) };
}

async function rivalOf({ against, ostler: main }: BenchOptions): Promise<PoolerKind> {
  switch (against.kind) {
    case 'pgbouncer':
      return pgbouncer(against.program);
    case 'ostler':
      return { ...ostler(against.main), name: 'the other' };
    case 'setting': {
      const { name, value } = against;
      return configured(ostler(main), name, value);
    }
    default:
      return unreachable(against);
  }
}

/** The same pooler with a setting of its own. */
const configured = (kind: PoolerKind, name: string, value: string): PoolerKind => ({
  ...kind,
  name: `${name}=${value}`,
  start: (options) => kind.start({ ...options, settings: { ...options.settings, [name]: value } }),
});

/** The same pooler with all its threads on some of the cores. */
const bound = (kind: PoolerKind, cpus: string): PoolerKind => ({
  ...kind,
  start: async (options) => {
    const pooler = await kind.start(options);
    await run('taskset', ['--all-tasks', '--cpu-list', '--pid', cpus, String(pooler.pid)]);
    return pooler;
  },
});
