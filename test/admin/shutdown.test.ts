/** SHUTDOWN in its three forms; each ends a daemon of its own. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, test } from 'node:test';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import * as m from '../support/messages.ts';
import { connect, type Target, usePostgres } from '../support/postgres.ts';
import { RawClient } from '../support/raw-client.ts';
import { until } from '../support/wait.ts';

const postgres = usePostgres();

interface Running {
  readonly daemon: Daemon;
  readonly app: Target;
  readonly console: RawClient;
}

async function start(): Promise<Running> {
  const { host, port, user, password } = postgres();
  const daemon = await startDaemon({
    config: `[ostler]
listen_addr = "127.0.0.1"
listen_port = 0
http_port = 0
unix_socket_dir = "."
auth_type = "trust"
admin_users = ["boss"]
[databases.app]
host = "${host}"
port = ${String(port)}
dbname = "postgres"
[users.${user}]
password = ${JSON.stringify(password)}
[users.boss]
password = "b"
`,
  });
  const app = { host: '127.0.0.1', port: daemon.port, user, password, database: 'app' };
  const console = await RawClient.login({ ...app, database: 'pgbouncer', user: 'boss' });
  return { daemon, app, console };
}

/** The exit status, once the daemon has ended by itself. */
async function ended({ child }: Daemon): Promise<number | null> {
  await until(() => child.exitCode !== null || child.signalCode !== null, { what: 'the daemon has ended' });
  return child.exitCode;
}

describe('SHUTDOWN', () => {
  test('ends the daemon at once', async () => {
    const { daemon, app, console } = await start();
    const client = await connect(app);
    await client.query('BEGIN');
    console.send(m.query('SHUTDOWN'));
    assert.equal(await ended(daemon), 0);
    await console.untilClosed();
  });

  test('WAIT_FOR_SERVERS lets transactions finish, and tells whoever wants another', async () => {
    const { daemon, app, console } = await start();
    const busy = await connect(app);
    const idle = await connect(app);
    await busy.query('BEGIN');
    assert.deepEqual((await console.query('SHUTDOWN WAIT_FOR_SERVERS')).map(m.told), ['C SHUTDOWN', 'Z I']);
    await assert.rejects(connect(app), 'nobody new comes in');
    assert.deepEqual((await console.query('RESUME')).map(m.told), ['E 55000 pooler is shutting down', 'Z I']);
    await assert.rejects(idle.query('SELECT 1'), { message: 'server shutting down' });
    assert.equal((await busy.query('SELECT 1')).rows.length, 1);
    await busy.query('COMMIT');
    assert.equal(await ended(daemon), 0);
  });

  test('WAIT_FOR_CLIENTS serves those who are there until the last has left', async () => {
    const { daemon, app, console } = await start();
    const client = await connect(app);
    assert.deepEqual((await console.query('shutdown wait_for_clients')).map(m.told), ['C SHUTDOWN', 'Z I']);
    await assert.rejects(connect(app), { code: 'ECONNREFUSED' });
    assert.deepEqual((await console.query('RESUME')).map(m.told), ['E 55000 pooler is shutting down', 'Z I']);
    assert.equal((await client.query('SELECT 1')).rows.length, 1);
    console.quit();
    assert.equal((await client.query('SELECT 1')).rows.length, 1);
    const host = daemon.folder;
    await assert.rejects(connect({ ...app, host }), { message: 'pooler is shutting down' });
    const watcher = await connect({ ...app, host, user: 'boss', database: 'pgbouncer' });
    const { rows } = await watcher.query<{ database: string }>('SHOW CLIENTS');
    assert.ok(rows.some(({ database }) => database === 'app'));
    await watcher.end();
    await client.end();
    assert.equal(await ended(daemon), 0);
    assert.ok(!existsSync(`${host}/.s.PGSQL.${String(daemon.port)}`));
  });

  test('refuses other words', async () => {
    const { daemon, console } = await start();
    assert.deepEqual((await console.query('SHUTDOWN NOW')).map(m.told), [
      "E 42601 bad SHUTDOWN mode 'NOW'",
      'Z I',
    ]);
    console.quit();
    assert.equal(await daemon.stop(), 0);
  });
});
