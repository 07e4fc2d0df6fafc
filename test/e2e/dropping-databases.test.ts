/** A database that its clients have left can be dropped, renamed and copied, although the pool has had servers in it. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type pg from 'pg';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { connect, usePostgres } from '../support/postgres.ts';

/** PostgreSQL waits for five seconds before it says that somebody is connected; the others need not wait for that. */
describe('a database that nobody is connected to', { concurrency: true }, () => {
  const postgres = usePostgres();
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
min_pool_size = 2
[databases."*"]
host = "${host}"
port = ${String(port)}
[users.${user}]
password = "${password}"
`,
    });
  });
  after(async () => {
    await daemon.stop();
  });

  const join = (database: string): Promise<pg.Client> => {
    const { user, password } = postgres();
    return connect({ host: '127.0.0.1', port: daemon.port, user, password, database });
  };

  /** Made, and left behind with idle servers in it. */
  const makeAndLeave = async (owner: pg.Client, database: string): Promise<void> => {
    await owner.query(`CREATE DATABASE ${database}`);
    const clients = await Promise.all([join(database), join(database)]);
    await Promise.all(
      clients.map((client) => client.query('CREATE TEMP TABLE mine (); SELECT pg_sleep(0.01)')),
    );
    await Promise.all(clients.map((client) => client.end()));
  };

  test('is dropped, and made again', async () => {
    const owner = await join('postgres');
    await makeAndLeave(owner, 'stable');
    await owner.query('DROP DATABASE stable');
    await makeAndLeave(owner, 'stable');
    await owner.query({ name: 'drop', text: 'DROP DATABASE stable' });
    await owner.end();
  });

  test('is renamed and copied', async () => {
    const owner = await join('postgres');
    await makeAndLeave(owner, 'barn');
    await owner.query('ALTER DATABASE barn RENAME TO shed');
    const client = await join('shed');
    await client.query('CREATE TABLE hay ()');
    await client.end();
    await owner.query('CREATE DATABASE copy TEMPLATE shed');
    const copy = await join('copy');
    await copy.query('TABLE hay');
    await copy.end();
    await owner.query('DROP DATABASE copy');
    await owner.query('DROP DATABASE shed');
    await owner.end();
  });

  test('has somebody connected to it while a client is, whether it has a server or not', async () => {
    const owner = await join('postgres');
    await owner.query('CREATE DATABASE paddock');
    const client = await join('paddock');
    await client.query('SELECT 1');
    await assert.rejects(owner.query('DROP DATABASE paddock'), { code: '55006' });
    assert.deepEqual((await client.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
    await client.end();
    await owner.query('DROP DATABASE paddock');
    await owner.end();
  });
});
