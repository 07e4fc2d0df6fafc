/** How the daemon starts, or says in clear words and by its exit status why it does not. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { before, describe, test } from 'node:test';
import { startDaemon, type DaemonOptions } from '../support/daemon.ts';
import { clientsOf, createRoles, each, endsWell, leave, PASSWORD, toml, value } from '../support/pooling.ts';
import { portOf } from '../support/ports.ts';
import { usePostgres } from '../support/postgres.ts';
import * as m from '../support/messages.ts';
import { RawClient } from '../support/raw-client.ts';
import { until } from '../support/wait.ts';

/** What a daemon that does not start wrote, line by line, and its exit status. */
async function failedStart(options: DaemonOptions): Promise<{ status: unknown; lines: string[] }> {
  try {
    const daemon = await startDaemon(options);
    await daemon.stop('SIGKILL');
  } catch (error) {
    assert.ok(error instanceof Error);
    const [first = '', ...written] = error.message.split('\n');
    const status = /\(status (\w+)\)/.exec(first)?.[1];
    const lines = written.map((line) => {
      const parsed: unknown = JSON.parse(line);
      return typeof parsed === 'object' && parsed !== null && 'text' in parsed ? String(parsed.text) : line;
    });
    return { status: Number(status), lines };
  }
  throw new Error('it has started');
}

const nowhere = { host: '127.0.0.1', port: 1 };

describe('a daemon with a wrong configuration', () => {
  test('names everything that is wrong with file and line, and exits with status 2', async () => {
    const { status, lines } = await failedStart({
      config: `[ostler]
listen_prot = 6432
pool_mode = "sesion"
default_pool_size = "many"

[databases.app]
port = 70000

[users.app]
password = "\${env:NO_SUCH_VARIABLE}"
`,
    });
    assert.equal(status, 2);
    const said = lines.map((line) => line.replace(/^.*ostler\.toml/, 'ostler.toml')).join('\n');
    for (const expected of [
      /^ostler\.toml:2:\d+: .*listen_prot.*did you mean "listen_port"/m,
      /^ostler\.toml:3:\d+: .*pool_mode/m,
      /^ostler\.toml:4:\d+: .*default_pool_size/m,
      /^ostler\.toml:6:\d+: .*host/m,
      /^ostler\.toml:7:\d+: .*port/m,
      /^ostler\.toml:10:\d+: .*NO_SUCH_VARIABLE/m,
    ]) {
      assert.match(said, expected);
    }
    assert.equal(lines.length, 6);
  });

  test('names the one place that cannot be read, with line and column, and exits with status 2', async () => {
    const { status, lines } = await failedStart({ config: '[ostler]\nlisten_port = = 3\n' });
    assert.equal(status, 2);
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /ostler\.toml:2:15: /);
  });

  for (const type of ['trust', 'any']) {
    test(`that would let everybody in by auth_type "${type}" does not start, unless told that this is meant`, async () => {
      const ostler = { listen_addr: '0.0.0.0', auth_type: type };
      const databases = { postgres: { user: 'app' } };
      const { status, lines } = await failedStart({ config: toml(nowhere, { ostler, databases }) });
      assert.equal(status, 2);
      assert.match(lines.join('\n'), /auth_type.*lets in everybody.*\n?.*allow_insecure_auth/);
      const meant = { ...ostler, allow_insecure_auth: true };
      await endsWell(await startDaemon({ config: toml(nowhere, { ostler: meant, databases }) }));
    });
  }

  test('in which a stored secret can never serve says what to store instead', async () => {
    const { status, lines } = await failedStart({
      config: toml(nowhere, {
        users: {
          hashed: { password: 'md5d41d8cd98f00b204e9800998ecf8427e' },
          verified: {
            password:
              'SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
          },
        },
      }),
    });
    assert.equal(status, 2);
    assert.match(
      lines.join('\n'),
      /hashed: an MD5 hash cannot serve auth_type "scram-sha-256"; set users\.hashed/,
    );
    assert.match(
      lines.join('\n'),
      /verified: a SCRAM verifier cannot log in to the server; set the password/,
    );
  });
});

describe('a daemon that cannot start', () => {
  test('because its port is taken says so in one line and exits with status 1', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const port = portOf(other);
    const { status, lines } = await failedStart({ config: toml(nowhere, { ostler: { listen_port: port } }) });
    assert.equal(status, 1);
    assert.deepEqual(lines, [`ostler: 127.0.0.1:${String(port)} is in use`]);
    // By then it listens for clients, which is logged. It is a start that failed all the same.
    await assert.rejects(
      startDaemon({ config: toml(nowhere, { ostler: { http_port: port } }) }).then(async (daemon) => {
        await daemon.waitForLog(({ msg }) => msg === 'nothing that it logs');
      }),
      new RegExp(`status 1\\).*ostler: http: 127\\.0\\.0\\.1:${String(port)} is in use`, 's'),
    );
    other.close();
  });

  test('because it may open too few files for max_client_conn says both numbers and exits with status 1', async () => {
    const { status, lines } = await failedStart({
      config: toml(nowhere, { ostler: { max_client_conn: 1_000 } }),
      openFiles: 300,
    });
    assert.equal(status, 1);
    assert.equal(lines.length, 1);
    assert.match(
      lines[0] ?? '',
      /max_client_conn = 1000 needs (\d+) file descriptors, but the hard limit is 300; set ulimit -n \(nofile\) to at least \1$/,
    );
  });
});

describe('a daemon', () => {
  const postgres = usePostgres();
  before(() => createRoles(postgres()));

  test('takes fewer clients than by default where it may open few files, and says so', async () => {
    const daemon = await startDaemon({ config: toml(postgres(), {}), openFiles: 300 });
    const { level, msg } = await daemon.waitForLog(({ msg: text }) => /ulimit/.test(String(text)));
    assert.equal(level, 'warn');
    assert.match(
      String(msg),
      /max_client_conn = 2000 needs .* hard limit is 300.*going on with max_client_conn = \d+/,
    );
    daemon.child.kill('SIGHUP');
    const reloaded = await daemon.waitForLog(({ msg: text }) => text === 'RELOAD');
    assert.deepEqual(reloaded['changed'], [], 'to lower it again is no change');
    const client = await clientsOf(daemon).client();
    assert.equal(await value(client, 'SELECT 1'), 1);
    await leave(client);
    await endsWell(daemon);
  });

  test('that may open few files still tells everybody beyond max_client_conn why they get nothing', async () => {
    const daemon = await startDaemon({
      config: toml(postgres(), { ostler: { auth_type: 'trust' } }),
      openFiles: 300,
    });
    const { msg } = await daemon.waitForLog(({ msg: text }) => /ulimit/.test(String(text)));
    const limit = Number(/max_client_conn = (\d+)$/.exec(String(msg))?.[1]);
    const clients = await each(limit + 300, () => RawClient.open({ host: '127.0.0.1', port: daemon.port }));
    // Those whom there is no descriptor to listen to are told at once; the first are to be served, which takes one for a server.
    await until(() => clients.filter(({ closed }) => closed).length >= 200);
    const isIn = ({ status }: RawClient): boolean => status === 'I';
    for (const client of clients) client.send(m.startup({ user: 'app', database: 'postgres' }));
    await until(() => clients.every((client) => isIn(client) || client.closed));
    const refused = clients.filter((client) => !isIn(client));
    assert.equal(refused.length, 300);
    for (const client of refused) assert.deepEqual(m.errorsOf(client.replies), ['53300']);
    for (const client of clients) client.end();
    await endsWell(daemon);
  });

  test('needs no more than DATABASE_URL', async () => {
    const { host, port } = postgres();
    const password = encodeURIComponent(PASSWORD);
    const daemon = await startDaemon({
      env: {
        DATABASE_URL: `postgres://app:${password}@${host}:${String(port)}/postgres?sslmode=disable`,
        OSTLER__OSTLER__LISTEN_PORT: '0',
        OSTLER__OSTLER__LISTEN_ADDR: '127.0.0.1',
        OSTLER__OSTLER__HTTP_PORT: '0',
      },
    });
    const client = await clientsOf(daemon).client({ database: 'postgres' });
    assert.equal(await value(client, 'SELECT current_user::text'), 'app');
    await leave(client);
    await endsWell(daemon);
  });

  test('starts while the server is down, and works when that comes up', async () => {
    await postgres().halt();
    const daemon = await startDaemon({ config: toml(postgres(), { ostler: { server_login_retry: 0 } }) });
    await assert.rejects(clientsOf(daemon).client(), { code: '08006' });
    await postgres().resume();
    const client = await clientsOf(daemon).client();
    assert.equal(await value(client, 'SELECT 1'), 1);
    await leave(client);
    await endsWell(daemon);
  });
});
