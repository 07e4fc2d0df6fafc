/** The command line of `npm run bench -- …`. */
import { parseArgs } from 'node:util';

/** What ostler is measured against. */
export type Rival =
  | { readonly kind: 'pgbouncer'; readonly program: string | undefined }
  /** What Node runs as another ostler. */
  | { readonly kind: 'ostler'; readonly main: string }
  /** The same ostler with one setting changed. */
  | { readonly kind: 'setting'; readonly name: string; readonly value: string };

export interface BenchOptions {
  /** Runs of each pooler and workload; odd, so that the median is one of them. */
  readonly pairs: number;
  /** Of one run. */
  readonly seconds: number;
  /** Parts of names; empty means all workloads. */
  readonly only: readonly string[];
  readonly out: string | undefined;
  /** What Node runs as ostler. */
  readonly ostler: string | undefined;
  readonly against: Rival;
  /** Those that the poolers run on, as `taskset` takes them; undefined = all. */
  readonly cpus: string | undefined;
  readonly idleClients: number;
  /** Rows of pgbench_accounts, in units of 100,000. */
  readonly scale: number;
}

export const USAGE = `npm run bench -- [options]

Runs pgbench through ostler and through PgBouncer in turn and prints the medians of their ratios.

  --pairs N           runs of each of the two (default 15)
  --seconds N         length of a run (default 2)
  --only NAME         only workloads whose name contains NAME; may be given more than once
  --out FILE          write everything that was measured as JSON
  --ostler FILE       what Node runs as ostler (default src/main.ts; dist/main.js is what is shipped)
  --pgbouncer FILE    the PgBouncer to compare with (default: the one in PATH)
  --against WHAT      compare with something else than PgBouncer: the same ostler with a setting changed
                      (session_state=off), or another ostler (a file that Node runs)
  --cpus LIST         cores that the poolers run on, as for taskset (default: all)
  --idle-clients N    idle connections whose memory is measured (default 5000)
  --scale N           size of pgbench's tables (default 5)

A quick look: npm run bench -- --pairs 3 --seconds 1 --only select --idle-clients 500
`;

/** Throws what is wrong, in one line. */
export function parseOptions(args: readonly string[]): BenchOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      pairs: { type: 'string', default: '15' },
      seconds: { type: 'string', default: '2' },
      only: { type: 'string', multiple: true, default: [] },
      out: { type: 'string' },
      ostler: { type: 'string' },
      pgbouncer: { type: 'string' },
      against: { type: 'string' },
      cpus: { type: 'string' },
      'idle-clients': { type: 'string', default: '5000' },
      scale: { type: 'string', default: '5' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  return {
    pairs: positive('pairs', values.pairs),
    seconds: positive('seconds', values.seconds),
    only: values.only,
    out: values.out,
    ostler: values.ostler,
    against: rival(values.against, values.pgbouncer),
    cpus: values.cpus,
    idleClients: positive('idle-clients', values['idle-clients']),
    scale: positive('scale', values.scale),
  };
}

function rival(against: string | undefined, pgbouncer: string | undefined): Rival {
  if (against === undefined) return { kind: 'pgbouncer', program: pgbouncer };
  if (pgbouncer !== undefined) throw new Error('either --against or --pgbouncer');
  const [, name, value] = /^(\w+)=(.*)$/.exec(against) ?? [];
  if (name === undefined || value === undefined) return { kind: 'ostler', main: against };
  return { kind: 'setting', name, value };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} takes a whole number, not "${text}"`);
  return value;
}
