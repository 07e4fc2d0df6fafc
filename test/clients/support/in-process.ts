/** What clients that live in the test's own process share. */
import type { Arena } from '../../support/arena.ts';
import type { Target } from '../../support/postgres.ts';

/** All from 0 to `count` - 1 at once; the first failure is told when all have ended. */
export async function each(count: number, work: (n: number) => Promise<void>): Promise<void> {
  const results = await Promise.allSettled(Array.from({ length: count }, (_, n) => work(n)));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/** How a driver that knows nothing of the PG* variables finds the pooler. */
export const where = ({ environment }: Arena): Required<Target> => ({
  host: environment['PGHOST'] ?? '',
  port: Number(environment['PGPORT']),
  user: environment['PGUSER'] ?? '',
  password: environment['PGPASSWORD'] ?? '',
  database: environment['PGDATABASE'] ?? '',
});
