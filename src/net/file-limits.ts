/**
 * Whether the process may open enough descriptors. Beyond the limit the kernel closes new clients without a word to
 * anybody, so it is found out at the start. Node raises the soft limit to the hard one by itself.
 */
import { readFileSync } from 'node:fs';

export interface DescriptorNeed {
  readonly maxClientConn: number;
  /** Server connections at the worst, all pools together. */
  readonly servers: number;
  /** Cancel requests under way, each a connection. */
  readonly cancels: number;
  readonly listeners: number;
}

/** `refusals`: how many connections beyond max_client_conn may be kept for as long as it takes to tell them so. */
export type Decision =
  | { readonly kind: 'enough'; readonly refusals: number }
  /** max_client_conn was nobody's wish: go on with `maxClientConn` of them, and say `warning`. */
  | {
      readonly kind: 'lowered';
      readonly maxClientConn: number;
      readonly refusals: number;
      readonly warning: string;
    }
  | { readonly kind: 'too low'; readonly error: string };

/** Logs, standard streams, the event loop's own, HTTP, files read by RELOAD. */
const OTHERS = 32;
/** Connections that are kept to be refused with a text: so many always, more where the limit allows it. */
const FEWEST_REFUSALS = 32;
const MOST_REFUSALS = 512;

/** Fewer clients than this are not worth starting for. */
const FEWEST_CLIENTS = 10;

export function neededDescriptors({ maxClientConn, servers, cancels, listeners }: DescriptorNeed): number {
  return maxClientConn + servers + cancels + listeners + OTHERS + FEWEST_REFUSALS;
}

/** `limit` is undefined where it is not known or there is none. */
export function decideOnLimit(
  need: DescriptorNeed,
  limit: number | undefined,
  maxClientConnWasSet: boolean,
): Decision {
  const needed = neededDescriptors(need);
  if (limit === undefined) return { kind: 'enough', refusals: MOST_REFUSALS };
  if (needed <= limit) {
    return { kind: 'enough', refusals: Math.min(FEWEST_REFUSALS + limit - needed, MOST_REFUSALS) };
  }
  const left = need.maxClientConn - (needed - limit);
  const why =
    `max_client_conn = ${need.maxClientConn} needs ${needed} file descriptors, but the hard limit is ${limit}; ` +
    `set ulimit -n (nofile) to at least ${needed}`;
  if (maxClientConnWasSet || left < FEWEST_CLIENTS) return { kind: 'too low', error: why };
  return {
    kind: 'lowered',
    maxClientConn: left,
    refusals: FEWEST_REFUSALS,
    warning: `${why}; going on with max_client_conn = ${left}`,
  };
}

/** The hard limit on open files of this process; undefined when there is none or it cannot be found out. */
export function descriptorLimit(): number | undefined {
  try {
    return hardLimitIn(readFileSync('/proc/self/limits', 'utf8'));
  } catch {
    // Not Linux, or no /proc: Node knows too, at the price of a whole report.
    return hardLimitInReport();
  }
}

/** `text` is /proc/self/limits. */
export function hardLimitIn(text: string): number | undefined {
  const hard = /^Max open files\s+\S+\s+(\d+)/m.exec(text)?.[1];
  return hard === undefined ? undefined : Number(hard);
}

function hardLimitInReport(): number | undefined {
  // Without this the report looks up the names of all peers.
  Reflect.set(process.report, 'excludeNetwork', true);
  const written: unknown = process.report.getReport();
  const limits = property(written, 'userLimits');
  const hard = property(property(limits, 'open_files'), 'hard');
  return typeof hard === 'number' ? hard : undefined;
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
