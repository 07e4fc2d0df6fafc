/** TLS on both sides: who is encrypted, who is believed, and what is said to those who are not. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect as connectTls, TLSSocket } from 'node:tls';
import type pg from 'pg';
import { Authority, type Certificate } from '../support/certificates.ts';
import { type Daemon, type LogLine, startDaemon } from '../support/daemon.ts';
import { sslRequest } from '../support/messages.ts';
import {
  backendPid,
  clientsOf,
  type Configuration,
  createRoles,
  endsWell,
  leave,
  refusalOf,
  toml,
  useYard,
  value,
} from '../support/pooling.ts';
import { portOf } from '../support/ports.ts';
import { usePostgres } from '../support/postgres.ts';

const authority = new Authority();
const stranger = new Authority('some other authority');
const pem = (certificate: Certificate, name: string): Record<string, string> => ({
  [`${name}.crt`]: certificate.cert,
  [`${name}.key`]: certificate.key,
});

describe('to a server with TLS', () => {
  // Good for one name of the server, and not for its address.
  const certificate = authority.issue('localhost', { altNames: ['localhost'] });
  const files = {
    'ca.crt': authority.certificate.cert,
    'stranger.crt': stranger.certificate.cert,
    ...pem(authority.issue('by_cert'), 'by_cert'),
  };
  const verified = { server_tls_ca_file: 'ca.crt' };
  const byName = { host: 'localhost' };
  const yard = useYard({
    roles: { app: '', by_cert: '', in_clear: '' },
    postgres: {
      settings: { ssl: 'on', ssl_ca_file: 'ca.crt' },
      files: {
        ...pem(certificate, 'server'),
        'ca.crt': authority.certificate.cert,
        'pg_hba.conf': `hostssl all by_cert 127.0.0.1/32 cert
hostssl all in_clear 127.0.0.1/32 password
host all all 127.0.0.1/32 scram-sha-256
`,
      },
    },
    files,
    configuration: {
      ostler: { server_login_retry: 0 },
      databases: {
        default: {},
        disable: { server_tls_sslmode: 'disable' },
        prefer: { server_tls_sslmode: 'prefer' },
        require: { server_tls_sslmode: 'require' },
        'verify-ca': { ...verified, server_tls_sslmode: 'verify-ca' },
        'verify-full': { ...verified, ...byName, server_tls_sslmode: 'verify-full' },
        'wrong name': { ...verified, server_tls_sslmode: 'verify-full' },
        'wrong authority': { server_tls_sslmode: 'verify-ca', server_tls_ca_file: 'stranger.crt' },
        'by certificate': {
          user: 'by_cert',
          server_tls_sslmode: 'require',
          server_tls_cert_file: 'by_cert.crt',
          server_tls_key_file: 'by_cert.key',
        },
      },
      users: { app: {}, by_cert: {}, in_clear: {} },
    },
  });

  for (const [mode, encrypted] of [
    ['default', true],
    ['disable', false],
    ['prefer', true],
    ['require', true],
    ['verify-ca', true],
    ['verify-full', true],
  ] as const) {
    test(`the connection is ${encrypted ? '' : 'not '}encrypted with sslmode ${mode}`, async () => {
      const client = await yard().client({ database: mode });
      const { rows } = await client.query(
        'SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
      );
      assert.deepEqual(rows, [{ ssl: encrypted, version: encrypted ? 'TLSv1.3' : null }]);
      await leave(client);
    });
  }

  test('a certificate for another name is not believed with verify-full', async () => {
    const error = await refusalOf(yard().client({ database: 'wrong name' }));
    assert.equal(error.code, '08006');
    assert.match(
      error.message,
      /^TLS handshake with the server failed: .*127\.0\.0\.1.*(altnames|list|cert)/i,
    );
  });

  test('a certificate of another authority is not believed with verify-ca', async () => {
    const error = await refusalOf(yard().client({ database: 'wrong authority' }));
    assert.equal(error.code, '08006');
    assert.match(error.message, /^TLS handshake with the server failed: .*(certificate|verify)/);
  });

  test('connections are made anew when a RELOAD finds another content in a file that they rest on', async () => {
    const { daemon } = yard();
    const pids = (): Promise<unknown[]> =>
      Promise.all(
        ['verify-ca', 'require'].map(async (database) => {
          const client = await yard().client({ database });
          const pid = await backendPid(client);
          await leave(client);
          return pid;
        }),
      );
    const reload = async (): Promise<unknown> => {
      const since = daemon.log.length;
      daemon.child.kill('SIGHUP');
      return (await daemon.waitForLog(({ msg }) => msg === 'RELOAD', since))['changed'];
    };
    const [checked, plain] = await pids();
    assert.deepEqual(await reload(), []);
    assert.deepEqual(await pids(), [checked, plain], 'nothing is different yet');
    await writeFile(
      join(daemon.folder, 'ca.crt'),
      `${authority.certificate.cert}${stranger.certificate.cert}`,
    );
    const changed = ['verify-ca', 'verify-full', 'wrong name'].map((name) => `databases.${name} (TLS files)`);
    assert.deepEqual(await reload(), changed);
    const [checkedAnew, stillPlain] = await pids();
    assert.notEqual(checkedAnew, checked);
    assert.equal(stillPlain, plain, 'it does not use the file');
  });

  test('the pooler shows its own certificate where it has one', async () => {
    const client = await yard().client({ database: 'by certificate' });
    const { rows } = await client.query(
      'SELECT session_user::text, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    );
    assert.deepEqual(rows, [{ session_user: 'by_cert', client_dn: '/CN=by_cert' }]);
    await leave(client);
  });

  test('a password may go in clear inside of it', async () => {
    const client = await yard().client({ user: 'in_clear', database: 'require' });
    assert.equal(await value(client, 'SELECT session_user::text'), 'in_clear');
    await leave(client);
  });

  describe('behind somebody who listens in with a certificate of his own', () => {
    let eavesdropper: Server;
    let daemon: Daemon;
    before(async () => {
      eavesdropper = await eavesdrop(yard().postgres.port, stranger.issue());
      daemon = await startDaemon({
        config: toml(
          { host: '127.0.0.1', port: portOf(eavesdropper) },
          { ostler: { server_tls_sslmode: 'require' }, users: { app: {}, in_clear: {} } },
        ),
      });
    });
    after(async () => {
      await endsWell(daemon);
      eavesdropper.close();
    });

    test('no login takes place even with sslmode require, because SCRAM is bound to the certificate', async () => {
      const error = await refusalOf(clientsOf(daemon).client());
      assert.match(error.message, /channel binding/);
    });

    test('which would not be noticed without SCRAM', async () => {
      const client = await clientsOf(daemon).client({ user: 'in_clear' });
      await leave(client);
    });
  });
});

test('a server without TLS is refused with sslmode require, and told so', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.write('N'));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const daemon = await startDaemon({
    config: toml({ host: '127.0.0.1', port: portOf(server) }, { ostler: { server_tls_sslmode: 'require' } }),
  });
  const error = await refusalOf(clientsOf(daemon).client());
  assert.equal(error.code, '08006');
  assert.equal(error.message, 'server refused SSL');
  assert.match(error.hint ?? '', /server_tls_sslmode/);
  await endsWell(daemon);
  server.close();
});

describe('from clients', () => {
  const postgres = usePostgres();
  const first = authority.issue();
  let daemon: Daemon;

  const configuration = (ostler: Configuration['ostler']): string =>
    toml(postgres(), {
      ostler: {
        client_tls_sslmode: 'prefer',
        client_tls_cert_file: 'pooler.crt',
        client_tls_key_file: 'pooler.key',
        ...ostler,
      },
    });

  before(async () => {
    await createRoles(postgres());
    daemon = await startDaemon({
      config: configuration({}),
      files: { ...pem(first, 'pooler'), 'ca.crt': authority.certificate.cert },
    });
  });
  after(() => endsWell(daemon, /RELOAD failed|pooler\.crt/));

  async function reloadLine(config: string): Promise<LogLine> {
    const since = daemon.log.length;
    await daemon.writeConfig(config);
    daemon.child.kill('SIGHUP');
    return daemon.waitForLog((line) => String(line['msg']).startsWith('RELOAD'), since);
  }
  const reload = async (config: string): Promise<unknown> => (await reloadLine(config))['msg'];

  const trusting = { ca: authority.certificate.cert, servername: 'localhost' };
  const client = (options: pg.ClientConfig = {}): Promise<pg.Client> => clientsOf(daemon).client({}, options);

  /** The certificate that the pooler shows to a new client. */
  async function shown(): Promise<string> {
    const socket = connectTcp({ host: '127.0.0.1', port: daemon.port });
    socket.write(sslRequest);
    await once(socket, 'data');
    const secured = connectTls({ socket, ...trusting });
    await once(secured, 'secureConnect');
    const certificate = secured.getPeerX509Certificate()?.toString() ?? '';
    secured.destroy();
    return certificate.trim();
  }

  async function serves(options: pg.ClientConfig): Promise<void> {
    const served = await client(options);
    assert.equal(await value(served, 'SELECT 1'), 1);
    await leave(served);
  }

  test('TLS begins after SSLRequest, or at once, and with sslmode prefer need not', async () => {
    await serves({ ssl: trusting });
    await serves({ ssl: { ...trusting, ALPNProtocols: ['postgresql'] }, sslnegotiation: 'direct' });
    await serves({});
  });

  test('TLS that begins at once is refused without ALPN, for it may be meant for somebody else', async () => {
    const socket = connectTls({ host: '127.0.0.1', port: daemon.port, ...trusting });
    await once(socket, 'secureConnect');
    const [said]: unknown[] = await once(socket, 'data');
    assert.match(String(said), /without ALPN/);
    socket.destroy();
  });

  test('large answers and many small ones come through whole', async () => {
    const encrypted = await client({ ssl: trusting });
    const { rows } = await encrypted.query<{ text: string; sum: string }>(
      `SELECT text, md5(text) AS sum FROM (
         SELECT repeat(md5(n::text), 20000) AS text FROM generate_series(1, 10) n) AS texts`,
    );
    for (const { text, sum } of rows) assert.equal(createHash('md5').update(text).digest('hex'), sum);
    for (let n = 0; n < 200; n += 1) assert.equal(await value(encrypted, 'SELECT $1::int', [n]), n);
    await leave(encrypted);
  });

  test('a handshake that fails is nobody else’s matter', async () => {
    const broken = connectTcp({ host: '127.0.0.1', port: daemon.port });
    broken.write(sslRequest);
    await once(broken, 'data');
    broken.write(Buffer.alloc(300, 0x2a));
    broken.resume();
    await once(broken, 'close');
    const failed = ({ level, msg }: LogLine): boolean =>
      level === 'info' && msg === 'TLS handshake with a client failed';
    await daemon.waitForLog(failed);
    await assert.rejects(client({ ssl: { ...trusting, ca: stranger.certificate.cert } }));
    await serves({ ssl: trusting });
    assert.ok(!daemon.log.some((line) => JSON.stringify(line).includes('"stack"')), 'it is no bug of ours');
  });

  test('no client comes in without TLS where it is required', async () => {
    assert.equal(await reload(configuration({ client_tls_sslmode: 'require' })), 'RELOAD');
    const error = await refusalOf(client());
    assert.equal(error.code, '28000');
    assert.equal(error.message, 'SSL required');
    await serves({ ssl: trusting });
  });

  test('no client comes in without a certificate of the authority with verify-full', async () => {
    const config = configuration({ client_tls_sslmode: 'verify-full', client_tls_ca_file: 'ca.crt' });
    assert.equal(await reload(config), 'RELOAD');
    const { cert, key } = authority.issue('app');
    await serves({ ssl: { ...trusting, cert, key } });
    await assert.rejects(client({ ssl: trusting }));
    const other = stranger.issue('app');
    await assert.rejects(client({ ssl: { ...trusting, cert: other.cert, key: other.key } }));
  });

  test('a version of TLS that is not allowed is refused', async () => {
    assert.equal(await reload(configuration({ client_tls_protocols: 'tlsv1.3' })), 'RELOAD');
    await assert.rejects(client({ ssl: { ...trusting, maxVersion: 'TLSv1.2' } }));
    await serves({ ssl: trusting });
  });

  test('RELOAD takes a new certificate, for new connections, and says so', async () => {
    assert.equal(await reload(configuration({})), 'RELOAD');
    const staying = await client({ ssl: trusting });
    assert.equal(await shown(), first.cert.trim());
    const second = authority.issue();
    await writeFile(join(daemon.folder, 'pooler.crt'), second.cert);
    await writeFile(join(daemon.folder, 'pooler.key'), second.key);
    assert.deepEqual((await reloadLine(configuration({})))['changed'], ['client_tls_* (files)']);
    assert.deepEqual((await reloadLine(configuration({})))['changed'], []);
    assert.equal(await shown(), second.cert.trim());
    assert.equal(await value(staying, 'SELECT 1'), 1);
    await leave(staying);
  });

  test('RELOAD keeps the old certificate when the new one is broken, or not for its key', async () => {
    const kept = await shown();
    for (const broken of ['not a certificate', stranger.issue().cert]) {
      await writeFile(join(daemon.folder, 'pooler.crt'), broken);
      assert.equal(await reload(configuration({})), 'RELOAD failed: nothing was changed');
      assert.equal(await shown(), kept);
    }
  });
});

/** Takes TLS connections with a certificate of its own and passes on what is inside, over TLS, to the server behind it. */
async function eavesdrop(port: number, certificate: Certificate): Promise<Server> {
  const server = createServer((outside) => {
    void pass(outside, port, certificate).catch(() => outside.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function pass(outside: Socket, port: number, { cert, key }: Certificate): Promise<void> {
  outside.on('error', () => undefined);
  await once(outside, 'data');
  outside.pause();
  outside.removeAllListeners('data');
  outside.write('S');
  const towardsPooler = new TLSSocket(outside, { isServer: true, cert, key, ALPNProtocols: ['postgresql'] });
  const inside = connectTcp({ host: '127.0.0.1', port });
  inside.write(sslRequest);
  await once(inside, 'data');
  const towardsServer = connectTls({
    socket: inside,
    rejectUnauthorized: false,
    ALPNProtocols: ['postgresql'],
  });
  towardsPooler.on('error', () => towardsServer.destroy());
  towardsServer.on('error', () => towardsPooler.destroy());
  towardsPooler.pipe(towardsServer);
  towardsServer.pipe(towardsPooler);
}
