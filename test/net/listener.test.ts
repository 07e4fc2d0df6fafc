import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, describe, test } from 'node:test';
import { spawn } from 'node:child_process';
import type { Connection } from '../../src/net/connection.ts';
import { hostAndPort, Listener } from '../../src/net/listener.ts';
import type { ListenSettings } from '../../src/net/listener.ts';
import { unixSocketPath } from '../../src/net/unix-socket.ts';
import { portOf } from '../support/ports.ts';
import { until } from '../support/wait.ts';
import { failOnFault, Witness } from './pairs.ts';

const directory = mkdtempSync(join(tmpdir(), 'ostler-listen-'));
after(() => rmSync(directory, { recursive: true }));

const noIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((address) => address?.address === '::1')
  ? false
  : 'this machine has no IPv6';

const opened: Listener[] = [];
const sockets: Socket[] = [];
afterEach(() => {
  for (const listener of opened.splice(0)) listener.close();
  for (const socket of sockets.splice(0)) socket.destroy();
});

async function open(
  settings: Partial<ListenSettings>,
  accepted: (connection: Connection) => void = (connection) => connection.destroy(),
  onFault: (error: unknown) => void = failOnFault,
): Promise<Listener> {
  const listener = await Listener.open(
    { addresses: [], port: 0, backlog: 16, ...settings },
    { accepted, acceptFailed: failOnFault, onFault },
  );
  opened.push(listener);
  return listener;
}

async function dialled(to: { port: number; host: string } | { path: string }): Promise<Socket> {
  const socket = connect(to);
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

function tcpPort(listener: Listener): number {
  const [first] = listener.bound;
  if (first?.kind !== 'tcp') throw new Error('no TCP address was bound');
  return first.port;
}

describe('Listener', () => {
  test('accepts on several addresses with one free port, and says which', { skip: noIpv6 }, async () => {
    const clients: Connection[] = [];
    const listener = await open({ addresses: ['127.0.0.1', '::1', '127.0.0.1'] }, (connection) => {
      connection.owner = new Witness();
      clients.push(connection);
    });
    const port = tcpPort(listener);
    assert.ok(port > 0);
    assert.deepEqual(listener.bound, [
      { kind: 'tcp', address: '127.0.0.1', port },
      { kind: 'tcp', address: '::1', port },
    ]);
    await dialled({ host: '127.0.0.1', port });
    await dialled({ host: '::1', port });
    await until(() => clients.length === 2, { what: 'both were accepted' });
    assert.deepEqual(clients.map((client) => client.remoteAddress).toSorted(), ['127.0.0.1', '::1']);
    assert.deepEqual(
      clients.map((client) => client.localPort),
      [port, port],
    );
  });

  test('takes * for both families, and a host name for its addresses', { skip: noIpv6 }, async () => {
    const listener = await open({ addresses: ['*'] });
    const port = tcpPort(listener);
    await dialled({ host: '127.0.0.1', port });
    await dialled({ host: '::1', port });
    const named = await open({ addresses: ['localhost'] });
    assert.ok(named.bound.length > 0);
  });

  test('shows an IPv4 client of the IPv6 wildcard by its IPv4 address', { skip: noIpv6 }, async () => {
    let client: Connection | undefined;
    const listener = await open({ addresses: ['::'] }, (connection) => {
      connection.owner = new Witness();
      client = connection;
    });
    await dialled({ host: '127.0.0.1', port: tcpPort(listener) });
    const accepted = await until(() => client, { what: 'the client was accepted' });
    assert.equal(accepted.remoteAddress, '127.0.0.1');
  });

  test('stops accepting without touching those already here', async () => {
    const witness = new Witness();
    let client: Connection | undefined;
    const listener = await open({ addresses: ['127.0.0.1'], unixSocketDir: directory }, (connection) => {
      connection.owner = witness;
      client = connection;
    });
    const port = tcpPort(listener);
    const path = unixSocketPath(directory, port);
    assert.deepEqual(listener.bound[1], { kind: 'unix', path });
    const socket = await dialled({ host: '127.0.0.1', port });
    await until(() => client, { what: 'the client was accepted' });
    listener.close();
    listener.close();
    await assert.rejects(dialled({ host: '127.0.0.1', port }), /ECONNREFUSED/);
    assert.equal(existsSync(path), false);
    socket.write('still here');
    assert.equal(String(await witness.hears(10)), 'still here');
  });

  test('destroys a connection whose acceptance throws, reports it, and goes on', async () => {
    const faults: unknown[] = [];
    const accepted = (): never => {
      throw new Error('a bug');
    };
    const listener = await open({ addresses: ['127.0.0.1'] }, accepted, (error) => faults.push(error));
    for (const count of [1, 2]) {
      const socket = await dialled({ host: '127.0.0.1', port: tcpPort(listener) });
      socket.resume();
      await once(socket, 'close');
      assert.equal(faults.length, count);
    }
  });

  describe('says clearly', () => {
    test('which address is in use, and opens none of the others', async () => {
      const other = createServer().listen(0, '127.0.0.1');
      await once(other, 'listening');
      const port = portOf(other);
      await assert.rejects(open({ addresses: ['127.0.0.2', '127.0.0.1'], port }), {
        message: `127.0.0.1:${port} is in use`,
      });
      await assert.rejects(dialled({ host: '127.0.0.2', port }), /ECONNREFUSED/);
      other.close();
    });

    test('that an address is not of this machine, or a name has none', async () => {
      await assert.rejects(open({ addresses: ['192.0.2.1'], port: 6432 }), {
        message: 'cannot listen on 192.0.2.1:6432: this machine has no such address',
      });
      await assert.rejects(open({ addresses: ['no-such-host.invalid'] }), {
        message: 'cannot listen on no-such-host.invalid: no address found for that name',
      });
    });

    test('that there is nothing to listen on', async () => {
      await assert.rejects(open({}), /nothing to listen on/);
    });

    test('what is wrong with the place of a Unix socket', async () => {
      const missing = join(directory, 'missing');
      await assert.rejects(open({ unixSocketDir: missing, port: 1 }), {
        message: `cannot listen on ${missing}/.s.PGSQL.1: no such folder`,
      });
      await assert.rejects(
        open({ unixSocketDir: `/${'x'.repeat(100)}`, port: 1 }),
        /has 112 bytes, and the system allows 107/,
      );
      const path = unixSocketPath(directory, 2);
      writeFileSync(path, 'precious');
      await assert.rejects(open({ unixSocketDir: directory, port: 2 }), {
        message: `${path} exists and is no socket`,
      });
      assert.equal(statSync(path).size, 8);
    });
  });

  describe('on a Unix socket', () => {
    test('gives the file its mode, and knows its clients', async () => {
      let client: Connection | undefined;
      await open({ unixSocketDir: directory, unixSocketMode: 0o740, port: 3 }, (connection) => {
        connection.owner = new Witness();
        client = connection;
      });
      const path = unixSocketPath(directory, 3);
      assert.equal(statSync(path).mode % 0o1000, 0o740);
      await dialled({ path });
      const accepted = await until(() => client, { what: 'the client was accepted' });
      assert.equal(accepted.unix, true);
      assert.equal(accepted.remoteAddress, 'unix');
    });

    test('replaces one that a killed process left behind, never one that is alive', async () => {
      const path = unixSocketPath(directory, 4);
      const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('listening'))`;
      const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
      await once(child.stdout, 'data');
      await assert.rejects(open({ unixSocketDir: directory, port: 4 }), {
        message: `${path} is in use: another process listens there`,
      });
      child.kill('SIGKILL');
      await once(child, 'exit');
      assert.equal(existsSync(path), true);
      await open({ unixSocketDir: directory, port: 4 });
      await dialled({ path });
    });
  });
});

test('hostAndPort puts IPv6 addresses in brackets', () => {
  assert.equal(hostAndPort('127.0.0.1', 6432), '127.0.0.1:6432');
  assert.equal(hostAndPort('::1', 6432), '[::1]:6432');
});
