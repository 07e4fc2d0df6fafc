/** SHOW STATS and its relatives: what is counted for each database entry, the console's among them. */
import type { DatabaseStats } from '../../observability/counters.ts';
import { byName, type RowSource } from './source.ts';

/** Ordered by name. */
export function statsRows({ pooler }: RowSource): (readonly [database: string, stats: DatabaseStats])[] {
  return [...pooler.databaseStats].toSorted(([a], [b]) => byName(a, b));
}
