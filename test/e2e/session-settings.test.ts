/** What a client has set of the parameters that PostgreSQL reports is there in its next transaction, whatever server that meets. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { usePostgres } from '../support/postgres.ts';

describe('a reported setting', () => {
  const postgres = usePostgres({ settings: { timezone: 'America/Lima' } });
  let daemon: Daemon;

  before(async () => {
    const { host, port, user, password } = postgres();
    daemon = await startDaemon({
      config: `
[ostler]
listen_addr = "127.0.0.1"
listen_port = 0
http_port = 0
server_tls_sslmode = "disable"
[databases.postgres]
host = "${host}"
port = ${String(port)}
pool_size = 1
[users.${user}]
password = "${password}"
`,
    });
  });
  after(() => daemon.stop());

  const connect = async (): Promise<pg.Client> => {
    const { user, password } = postgres();
    const client = new pg.Client({
      host: '127.0.0.1',
      port: daemon.port,
      user,
      password,
      database: 'postgres',
    });
    await client.connect();
    return client;
  };
  const zone = async (client: pg.Client): Promise<unknown> =>
    (await client.query<{ zone: string }>(`SELECT current_setting('TimeZone') AS zone`)).rows[0]?.zone;

  test('is kept by a client that sets what the client before it on that server had set', async () => {
    const [first, second] = [await connect(), await connect()];
    // The server reports the first change, and not the second: it has reported that value already.
    await first.query(`SELECT set_config('TimeZone', 'UTC', false)`);
    await second.query(`SELECT set_config('TimeZone', 'UTC', false)`);
    const third = await connect();
    assert.equal(await zone(third), 'America/Lima');
    assert.equal(await zone(second), 'UTC');
    assert.equal(await zone(third), 'America/Lima');
    assert.equal(await zone(first), 'UTC');
    await Promise.all([first, second, third].map((client) => client.end()));
  });
});
