/** The main job: a thousand clients and more over twenty servers, and every answer goes to whoever asked. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { backendPid, each, leave, peakOf, useYard, value } from '../support/pooling.ts';

const CLIENTS = 1_000;
const POOL_SIZE = 20;

describe('a thousand SCRAM clients over twenty servers', () => {
  const yard = useYard({
    // The server itself refuses a twenty-first connection of this role, at whatever moment it comes.
    roles: { app: `CONNECTION LIMIT ${String(POOL_SIZE)}` },
    schema: 'CREATE TABLE ledger (client int, entry int); GRANT ALL ON ledger TO app',
    configuration: {
      ostler: { default_pool_size: POOL_SIZE, query_wait_timeout: '60s', query_wait_notify: 0 },
    },
  });

  test('each gets its own answers and no error, and PostgreSQL never has more than twenty connections', async () => {
    const servers = new Set<unknown>();
    const peak = await peakOf(yard(), async () => {
      const clients = await each(CLIENTS, () => yard().client());
      await Promise.all(
        clients.map(async (client, n) => {
          for (let round = 0; round < 2; round += 1) {
            assert.equal(
              await value(client, `SELECT ${String(n)} * 1000 + ${String(round)}`),
              n * 1_000 + round,
            );
          }
          const { rows } = await client.query<{ n: number; text: string }>(
            'SELECT $1::int AS n, $2::text AS text',
            [n, `client ${String(n)}`],
          );
          assert.deepEqual(rows, [{ n, text: `client ${String(n)}` }]);
          await client.query('BEGIN');
          const pid = await backendPid(client);
          await client.query('INSERT INTO ledger VALUES ($1, 1), ($1, 2)', [n]);
          assert.equal(await value(client, 'SELECT sum(entry)::int FROM ledger WHERE client = $1', [n]), 3);
          assert.equal(await backendPid(client), pid, 'a transaction stays on its server');
          await client.query(n % 10 === 0 ? 'ROLLBACK' : 'COMMIT');
          servers.add(pid);
        }),
      );
      await Promise.all(clients.map((client) => leave(client)));
    });
    assert.equal(peak, POOL_SIZE);
    assert.equal(servers.size, POOL_SIZE, 'all twenty took part, and no other');
    const [ledger] = await yard().sql<{ clients: number; entries: number }>(
      'SELECT count(DISTINCT client)::int AS clients, count(*)::int AS entries FROM ledger',
    );
    assert.deepEqual(ledger, { clients: CLIENTS * 0.9, entries: CLIENTS * 0.9 * 2 });
    const refused = yard().daemon.log.filter(({ msg }) => /login failed/.test(String(msg)));
    assert.deepEqual(refused, [], 'PostgreSQL never had to refuse a server connection');
  });
});
