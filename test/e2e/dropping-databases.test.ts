/** A database that its clients have left can be dropped, renamed and copied, although the pool has had servers in it. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type pg from 'pg';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { connect, usePostgres } from '../support/postgres.ts';

describe('a database that nobody is connected to', () => {
  const postgres = usePostgres();
  let daemon: Daemon;
  let owner: pg.Client;

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
    owner = await join('postgres');
  });
  after(async () => {
    await owner.end();
    await daemon.stop();
  });

  const join = (database: string): Promise<pg.Client> => {
    const { user, password } = postgres();
    return connect({ host: '127.0.0.1', port: daemon.port, user, password, database });
  };

  /** Made, and left behind with idle servers in it. */
  const makeAndLeave = async (database: string): Promise<void> => {
    await owner.query(`CREATE DATABASE ${database}`);
    const clients = await Promise.all([join(database), join(database)]);
    await Promise.all(
      clients.map((client) => client.query('CREATE TEMP TABLE mine (); SELECT pg_sleep(0.01)')),
    );
    await Promise.all(clients.map((client) => client.end()));
  };

  test('is dropped, and made again', async () => {
    await makeAndLeave('stable');
    await owner.query('DROP DATABASE stable');
    await makeAndLeave('stable');
    await owner.query({ name: 'drop', text: 'DROP DATABASE stable' });
  });

  test('is renamed and copied', async () => {
    await makeAndLeave('barn');
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
  });

  test('has somebody connected to it while a client is, whether it has a server or not', async () => {
    await owner.query('CREATE DATABASE paddock');
    const client = await join('paddock');
    await client.query('SELECT 1');
    await assert.rejects(owner.query('DROP DATABASE paddock'), { code: '55006' });
    assert.deepEqual((await client.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
    await client.end();
    await owner.query('DROP DATABASE paddock');
  });
});
