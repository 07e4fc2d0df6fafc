/**
 * The averages of SHOW STATS: a window that runs from the second-last stats_period tick to now, so between one and two periods long.
 *
 *     ── older tick ────── newer tick ──── now ──▶
 *        └───────────── the window ────────┘
 */
import type { Clock } from '../base/clock.ts';
import type { StatsTotals } from './counters.ts';

const NOTHING: Readonly<StatsTotals> = {
  serverAssignmentCount: 0,
  xactCount: 0,
  queryCount: 0,
  bytesReceived: 0,
  bytesSent: 0,
  xactTime: 0,
  queryTime: 0,
  waitTime: 0,
  clientParseCount: 0,
  serverParseCount: 0,
  bindCount: 0,
  clientLoginCount: 0,
};

/** Field by field what `combine` makes of two sets of totals. */
function combineTotals(
  a: Readonly<StatsTotals>,
  b: Readonly<StatsTotals>,
  combine: (a: number, b: number) => number,
): StatsTotals {
  return {
    serverAssignmentCount: combine(a.serverAssignmentCount, b.serverAssignmentCount),
    xactCount: combine(a.xactCount, b.xactCount),
    queryCount: combine(a.queryCount, b.queryCount),
    bytesReceived: combine(a.bytesReceived, b.bytesReceived),
    bytesSent: combine(a.bytesSent, b.bytesSent),
    xactTime: combine(a.xactTime, b.xactTime),
    queryTime: combine(a.queryTime, b.queryTime),
    waitTime: combine(a.waitTime, b.waitTime),
    clientParseCount: combine(a.clientParseCount, b.clientParseCount),
    serverParseCount: combine(a.serverParseCount, b.serverParseCount),
    bindCount: combine(a.bindCount, b.bindCount),
    clientLoginCount: combine(a.clientLoginCount, b.clientLoginCount),
  };
}

/** The totals of several databases together, for SHOW TOTALS and the stats line. */
export function sumTotals(all: Iterable<Readonly<StatsTotals>>): StatsTotals {
  let sum: StatsTotals = { ...NOTHING };
  for (const totals of all) sum = combineTotals(sum, totals, (a, b) => a + b);
  return sum;
}

/**
 * Totals that grew by `growth` in `elapsed` ms, as PgBouncer averages them: counts and bytes per second, xact_time per
 * transaction, query_time per query and wait_time per assignment, whole numbers, rounded down.
 */
function averageOf(growth: Readonly<StatsTotals>, elapsed: number): StatsTotals {
  const per = (amount: number, count: number): number => (count > 0 ? Math.trunc(amount / count) : 0);
  const perSecond = combineTotals(growth, NOTHING, (amount) => per(amount * 1000, elapsed));
  return {
    ...perSecond,
    xactTime: per(growth.xactTime, growth.xactCount),
    queryTime: per(growth.queryTime, growth.queryCount),
    waitTime: per(growth.waitTime, growth.serverAssignmentCount),
  };
}

interface Window {
  older: Readonly<StatsTotals>;
  newer: Readonly<StatsTotals>;
}

export class StatsAverages {
  readonly #clock: Clock;
  /** Weak, so that a dropped database takes its window along. Before its first tick a database's window starts at zero. */
  readonly #windows = new WeakMap<StatsTotals, Window>();
  #olderTick: number;
  #newerTick: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#olderTick = clock.now();
    this.#newerTick = this.#olderTick;
  }

  /** To be called every stats_period with the totals of every database. */
  tick(databases: Iterable<StatsTotals>): void {
    this.#olderTick = this.#newerTick;
    this.#newerTick = this.#clock.now();
    for (const totals of databases) {
      const window = this.#windows.get(totals);
      const now = combineTotals(totals, NOTHING, (amount) => amount);
      this.#windows.set(totals, { older: window?.newer ?? NOTHING, newer: now });
    }
  }

  /** The averages of these databases together; of one, with an array of one. Times in µs. */
  read(databases: Iterable<StatsTotals>): StatsTotals {
    const growths: StatsTotals[] = [];
    for (const totals of databases) {
      const older = this.#windows.get(totals)?.older ?? NOTHING;
      growths.push(combineTotals(totals, older, (now, then) => now - then));
    }
    return averageOf(sumTotals(growths), this.#clock.now() - this.#olderTick);
  }
}
