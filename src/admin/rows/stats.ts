/** SHOW STATS and its relatives: what is counted for each database entry, the console's among them. */
import type { DatabaseStats } from '../../observability/counters.ts';
import { byName, CONSOLE_NAME, type RowSource } from './source.ts';

/** Ordered by name. */
export function statsRows({
  pooler,
  consoleStats,
}: RowSource): (readonly [database: string, stats: DatabaseStats])[] {
  const rows: (readonly [string, DatabaseStats])[] = [...pooler.databaseStats];
  rows.push([CONSOLE_NAME, consoleStats]);
  return rows.toSorted(([a], [b]) => byName(a, b));
}
