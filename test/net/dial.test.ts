import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { Connection } from '../../src/net/connection.ts';
import { dial, DialError } from '../../src/net/dial.ts';
import type { DialOptions } from '../../src/net/dial.ts';
import { Resolver } from '../../src/net/dns.ts';
import { unixSocketPath } from '../../src/net/unix-socket.ts';
import { freePort, portOf } from '../support/ports.ts';
import { until } from '../support/wait.ts';
import { failOnFault, Witness } from './pairs.ts';

const directory = mkdtempSync(join(tmpdir(), 'ostler-dial-'));
after(() => rmSync(directory, { recursive: true }));

function options(addresses: readonly string[] = [], more: Partial<DialOptions> = {}): DialOptions {
  const resolver = new Resolver({ ttl: () => 1_000, lookUp: () => Promise.resolve(addresses) });
  return { resolver, timeoutMs: 5_000, onFault: failOnFault, ...more };
}

/** Greets whoever comes. */
async function greeter(listenOn: (server: Server) => void): Promise<Server> {
  const server = createServer((socket) => socket.end('hello'));
  listenOn(server);
  await once(server, 'listening');
  after(() => server.close());
  return server;
}

async function greeting(connection: Connection): Promise<string> {
  const witness = new Witness();
  connection.owner = witness;
  await witness.ended();
  return String(witness.bytes);
}

/** A port of 127.0.0.3 that does not answer: its process is stopped and the kernel holds as many clients as it will. */
async function silentPort(): Promise<number> {
  const script = `const server = require('net').createServer();
    server.listen({ port: 0, host: '127.0.0.3', backlog: 1 }, () => console.log(server.address().port));`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = Number(String((await once(child.stdout, 'data'))[0]));
  child.kill('SIGSTOP');
  const fillers = Array.from({ length: 4 }, () => connect({ host: '127.0.0.3', port }));
  after(() => {
    child.kill('SIGKILL');
    for (const filler of fillers) filler.destroy();
  });
  for (const filler of fillers) filler.on('error', () => {});
  await until(() => fillers.filter((filler) => !filler.connecting).length >= 2, {
    what: 'the backlog is full',
  });
  return port;
}

describe('dial', () => {
  test('connects to an address, a name and a Unix socket', async () => {
    const server = await greeter((listening) => listening.listen(0, '127.0.0.1'));
    const port = portOf(server);
    const keepAlive = { idle: 240_000, interval: 30_000, count: 3 };
    const byAddress = await dial({ host: '127.0.0.1', port }, options([], { keepAlive }));
    assert.equal(byAddress.remotePort, port);
    assert.equal(await greeting(byAddress), 'hello');
    const resolver = new Resolver({ ttl: () => 1_000 });
    assert.equal(await greeting(await dial({ host: 'localhost', port }, options([], { resolver }))), 'hello');
    const path = unixSocketPath(directory, 5432);
    await greeter((listening) => listening.listen(path));
    const byPath = await dial({ path }, options());
    assert.equal(byPath.unix, true);
    assert.equal(await greeting(byPath), 'hello');
  });

  test('tries the next address when one refuses', async () => {
    const server = await greeter((listening) => listening.listen(0, '127.0.0.1'));
    const connection = await dial({ host: 'db', port: portOf(server) }, options(['127.0.0.9', '127.0.0.1']));
    assert.equal(connection.remoteAddress, '127.0.0.1');
    assert.equal(await greeting(connection), 'hello');
  });

  test('says of every address what went wrong, and keeps the code', async () => {
    const port = await freePort();
    await assert.rejects(dial({ host: '127.0.0.1', port }, options()), {
      name: 'DialError',
      code: 'ECONNREFUSED',
      message: `connection to 127.0.0.1:${port} refused`,
    });
    await assert.rejects(dial({ host: 'db', port }, options(['127.0.0.1', '127.0.0.2'])), {
      code: 'ECONNREFUSED',
      message: `connection to 127.0.0.1:${port} refused; connection to 127.0.0.2:${port} refused`,
    });
    const path = join(directory, 'none');
    await assert.rejects(dial({ path }, options()), {
      code: 'ENOENT',
      message: `connection to ${path} failed: no such socket`,
    });
    const resolver = new Resolver({ ttl: () => 1_000 });
    const lost = dial({ host: 'no-such-host.invalid', port }, options([], { resolver }));
    await assert.rejects(lost, (error: unknown) => {
      assert.ok(error instanceof DialError);
      assert.match(error.message, /cannot find the address of host "no-such-host.invalid"/);
      assert.match(error.code, /ENOTFOUND|EAI_AGAIN/);
      return true;
    });
  });

  test('gives up in time on a name that is not answered', async () => {
    const resolver = new Resolver({
      ttl: () => 1_000,
      lookUp: () => Promise.withResolvers<string[]>().promise,
    });
    await assert.rejects(dial({ host: 'slow', port: 1 }, options([], { resolver, timeoutMs: 30 })), {
      code: 'ETIMEDOUT',
      message: 'looking up host "slow" timed out',
    });
  });

  test('gives up in time on an address that swallows packets, and leaves time for the next', async () => {
    const port = await silentPort();
    const good = await greeter((listening) => listening.listen(port, '127.0.0.1'));
    await assert.rejects(dial({ host: '127.0.0.3', port }, options([], { timeoutMs: 50 })), {
      code: 'ETIMEDOUT',
      message: `connection to 127.0.0.3:${port} timed out`,
    });
    const connection = await dial(
      { host: 'db', port },
      options(['127.0.0.3', '127.0.0.1'], { timeoutMs: 400 }),
    );
    assert.equal(connection.remoteAddress, '127.0.0.1');
    assert.equal(await greeting(connection), 'hello');
    good.close();
  });

  test('is given up by a signal, before and during', async () => {
    const port = await silentPort();
    const early = options([], { signal: AbortSignal.abort() });
    await assert.rejects(dial({ host: '127.0.0.3', port }, early), { code: 'ECANCELED' });
    const controller = new AbortController();
    const dialling = dial({ host: '127.0.0.3', port }, options([], { signal: controller.signal }));
    setImmediate(() => controller.abort());
    await assert.rejects(dialling, { code: 'ECANCELED' });
  });
});
