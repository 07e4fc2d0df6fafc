/**
 * Which pooler the client tests go through: OSTLER_TEST_POOLER is `ostler` (or nothing), `pgbouncer`, either followed by
 * `:` and the path of its program (`ostler:dist/main.js`), or `none`. A test that also fails on PgBouncer or straight on
 * PostgreSQL is wrong itself.
 */
import { ostler } from './ostler.ts';
import { pgbouncer } from './pgbouncer.ts';
import type { PoolerKind } from './pooler.ts';

export async function chosenPooler(): Promise<PoolerKind> {
  const choice = process.env['OSTLER_TEST_POOLER'] ?? 'ostler';
  const [kind, path] = [choice.replace(/:.*/, ''), /:(.*)/.exec(choice)?.[1]];
  switch (kind) {
    case 'ostler':
      return ostler(path);
    case 'pgbouncer':
      return pgbouncer(path);
    case 'none':
      return none;
    default:
      throw new Error(`OSTLER_TEST_POOLER is "${choice}", not ostler[:PATH], pgbouncer[:PATH] or none`);
  }
}

/** PostgreSQL itself: every client is a server of its own, and no limit holds. */
const none: PoolerKind = {
  name: 'no pooler',
  limitsServers: false,
  namedPreparedStatements: true,
  sessionState: true,
  start: async ({ server }) => ({
    name: 'no pooler',
    host: server.host,
    port: server.port,
    pid: 0,
    log: () => '',
    stop: async () => {},
  }),
};
