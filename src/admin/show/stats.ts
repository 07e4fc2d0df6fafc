/** SHOW STATS, SHOW STATS_TOTALS, SHOW STATS_AVERAGES and SHOW TOTALS. Times are in µs. */
import { sumTotals } from '../../observability/averages.ts';
import type { StatsTotals } from '../../observability/counters.ts';
import type { CommandContext } from '../command.ts';
import { statsRows } from '../rows/stats.ts';
import { type Field, numeric, table, text } from '../table.ts';

interface StatsItem {
  readonly database: string;
  readonly totals: Readonly<StatsTotals>;
  readonly averages: Readonly<StatsTotals>;
}

interface Count {
  /** In SHOW STATS behind `total_`, and in SHOW STATS_TOTALS. */
  readonly total: string;
  /** In SHOW STATS behind `avg_`. */
  readonly average: string;
  readonly statsTotal?: string;
  /** In SHOW STATS_AVERAGES, where it is not as in SHOW STATS_TOTALS. */
  readonly statsAverage?: string;
  /** In SHOW TOTALS, behind `total_` and `avg_`. */
  readonly overall: string;
  readonly of: (totals: Readonly<StatsTotals>) => number;
}

/** Every column's several names, in wire order. */
const counts: readonly Count[] = [
  {
    total: 'server_assignment_count',
    average: 'server_assignment_count',
    overall: 'server_assignment_count',
    of: (totals) => totals.serverAssignmentCount,
  },
  { total: 'xact_count', average: 'xact_count', overall: 'xact_count', of: (totals) => totals.xactCount },
  { total: 'query_count', average: 'query_count', overall: 'query_count', of: (totals) => totals.queryCount },
  {
    total: 'received',
    average: 'recv',
    statsTotal: 'bytes_received',
    overall: 'client_bytes',
    of: (totals) => totals.bytesReceived,
  },
  {
    total: 'sent',
    average: 'sent',
    statsTotal: 'bytes_sent',
    overall: 'server_bytes',
    of: (totals) => totals.bytesSent,
  },
  { total: 'xact_time', average: 'xact_time', overall: 'xact_time', of: (totals) => totals.xactTime },
  { total: 'query_time', average: 'query_time', overall: 'query_time', of: (totals) => totals.queryTime },
  { total: 'wait_time', average: 'wait_time', overall: 'wait_time', of: (totals) => totals.waitTime },
  {
    total: 'client_parse_count',
    average: 'client_parse_count',
    statsAverage: 'avg_client_parse_count',
    overall: 'ps_client_parse_count',
    of: (totals) => totals.clientParseCount,
  },
  {
    total: 'server_parse_count',
    average: 'server_parse_count',
    statsAverage: 'avg_server_parse_count',
    overall: 'ps_server_parse_count',
    of: (totals) => totals.serverParseCount,
  },
  {
    total: 'bind_count',
    average: 'bind_count',
    statsAverage: 'avg_bind_count',
    overall: 'ps_bind_count',
    of: (totals) => totals.bindCount,
  },
  {
    total: 'client_login_count',
    average: 'client_login_count',
    statsAverage: 'avg_client_login_count',
    overall: 'client_login_count',
    of: (totals) => totals.clientLoginCount,
  },
];

const whole = (value: number): number => Math.round(value);
const database: Field<StatsItem> = text('database', (item) => item.database);
const totalOf = (name: string, count: Count): Field<StatsItem> =>
  numeric(name, ({ totals }) => whole(count.of(totals)));
const averageOf = (name: string, count: Count): Field<StatsItem> =>
  numeric(name, ({ averages }) => whole(count.of(averages)));

function items({ source, host }: CommandContext): StatsItem[] {
  return statsRows(source).map(([name, stats]) => ({
    database: name,
    totals: stats,
    averages: host.averages.read([stats]),
  }));
}

export const showStats = table(
  [
    database,
    ...counts.map((count) => totalOf(`total_${count.total}`, count)),
    ...counts.map((count) => averageOf(`avg_${count.average}`, count)),
  ],
  items,
);

export const showStatsTotals = table(
  [database, ...counts.map((count) => totalOf(count.statsTotal ?? count.total, count))],
  items,
);

export const showStatsAverages = table(
  [
    database,
    ...counts.map((count) => averageOf(count.statsAverage ?? count.statsTotal ?? count.total, count)),
  ],
  items,
);

/** All databases together. */
export const showTotals = table<readonly [name: string, value: number]>(
  [text('name', ([name]) => name), numeric('value', ([, value]) => value)],
  ({ source, host }) => {
    const all = statsRows(source).map(([, stats]) => stats);
    const totals = sumTotals(all);
    const averages = host.averages.read(all);
    return [
      ...counts.map((count) => [`total_${count.overall}`, whole(count.of(totals))] as const),
      ...counts.map((count) => [`avg_${count.overall}`, whole(count.of(averages))] as const),
    ];
  },
);
