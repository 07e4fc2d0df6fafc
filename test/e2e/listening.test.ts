/** Where clients come in: IPv4, IPv6, Unix sockets. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { clientsOf, createRoles, each, endsWell, leave, toml, value } from '../support/pooling.ts';
import { RawClient } from '../support/raw-client.ts';
import { sslRequest } from '../support/messages.ts';
import { usePostgres } from '../support/postgres.ts';
import { until } from '../support/wait.ts';

/** Of established IPv4 connections with this port at one end, in how many seconds each will be probed, as the kernel says. */
async function keepAliveTimers(place: 'local' | 'remote', port: number): Promise<number[]> {
  const end = `[0-9A-F]{8}:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const other = '[0-9A-F]{8}:[0-9A-F]{4}';
  const ends = place === 'local' ? `${end} ${other}` : `${other} ${end}`;
  // State 01 is established, timer 02 is keepalive, in hundredths of a second.
  const row = new RegExp(`: ${ends} 01 \\S+ 02:([0-9A-F]{8}) `, 'g');
  const table = await readFile('/proc/net/tcp', 'utf8');
  return [...table.matchAll(row)].map(([, ticks = '']) => Number.parseInt(ticks, 16) / 100);
}

describe('a daemon', () => {
  const postgres = usePostgres();
  let folder: string;
  let daemon: Daemon;

  const start = (port: number): Promise<Daemon> =>
    startDaemon({
      config: toml(postgres(), {
        ostler: {
          listen_addr: ['127.0.0.1', '::1'],
          unix_socket_dir: folder,
          unix_socket_mode: '0700',
          listen_port: port,
        },
      }),
    });

  before(async () => {
    await createRoles(postgres());
    folder = await mkdtemp(join(tmpdir(), 'ostler-socket-'));
    daemon = await start(0);
  });
  after(async () => {
    await endsWell(daemon);
    await rm(folder, { recursive: true });
  });

  const socketFile = (): string => join(folder, `.s.PGSQL.${String(daemon.port)}`);

  for (const [name, host] of [
    ['IPv4', () => '127.0.0.1'],
    ['IPv6', () => '::1'],
    ['a Unix socket', () => folder],
  ] as const) {
    test(`serves clients over ${name}, on the same port`, async () => {
      const client = await clientsOf(daemon).client({ host: host() });
      assert.equal(await value(client, 'SELECT 1'), 1);
      await leave(client);
    });
  }

  test('gives the file of its Unix socket the mode that it was told', async () => {
    const { mode } = await stat(socketFile());
    assert.equal(mode & 0o777, 0o700);
  });

  test('says N to requests for encryption that it does not have, and goes on', async () => {
    const client = await RawClient.open({ host: '127.0.0.1', port: daemon.port });
    client.send(sslRequest);
    await until(() => client.bytesReceived === 1);
    const gssRequest = Buffer.from(sslRequest);
    gssRequest.writeInt32BE(80_877_104, 4);
    client.send(gssRequest);
    await until(() => client.bytesReceived === 2);
    client.end();
  });

  test(
    'probes silent clients and servers well before a load balancer would forget them',
    { skip: process.platform === 'linux' ? false : 'it reads /proc' },
    async () => {
      const client = await clientsOf(daemon).client({ host: '127.0.0.1' });
      assert.equal(await value(client, 'SELECT 1'), 1);
      for (const [place, port] of [
        ['local', daemon.port],
        ['remote', postgres().port],
      ] as const) {
        // Whatever was sent last has been acknowledged by now or will be; then only the keepalive timer is left.
        const seconds = await until(async () => (await keepAliveTimers(place, port)).at(0));
        assert.ok(seconds > 200 && seconds <= 240, `the next probe is in ${String(seconds)} s`);
      }
      await leave(client);
    },
  );

  test('takes hundreds of clients that connect in the same moment', async () => {
    const clients = await each(300, () => RawClient.open({ host: '127.0.0.1', port: daemon.port }));
    for (const client of clients) client.send(sslRequest);
    await Promise.all(clients.map((client) => until(() => client.bytesReceived === 1)));
    for (const client of clients) client.end();
  });

  test('starts again beside the socket file that a killed one has left, and removes its own at the end', async () => {
    await daemon.stop('SIGKILL');
    await stat(socketFile());
    daemon = await start(daemon.port);
    const client = await clientsOf(daemon).client({ host: folder });
    assert.equal(await value(client, 'SELECT 1'), 1);
    await leave(client);
    await daemon.stop('SIGTERM');
    await assert.rejects(stat(socketFile()), { code: 'ENOENT' });
    daemon = await start(daemon.port);
  });
});
