import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { describe, test } from 'node:test';
import { probe } from '../../src/http/probe.ts';
import { startEndpoint } from './fixtures.ts';

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address: AddressInfo | string | null = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

describe('probe', () => {
  test('is healthy when the endpoint is', async (context) => {
    const { port } = await startEndpoint(context);
    const result = await probe({ host: '0.0.0.0', port, path: '/ready', timeout: 2000 });
    assert.deepEqual(result, { healthy: true, message: `0.0.0.0:${port}/ready: 200 ready` });
  });

  test('is not while draining, but is alive', async (context) => {
    const endpoint = await startEndpoint(context);
    endpoint.readiness = { kind: 'draining' };
    const target = { host: '127.0.0.1', port: endpoint.port, timeout: 2000 };
    const ready = await probe({ ...target, path: '/ready' });
    assert.equal(ready.healthy, false);
    assert.match(ready.message, /503 draining$/);
    assert.equal((await probe({ ...target, path: '/live' })).healthy, true);
  });

  test('says so when nobody listens', async () => {
    const server = createServer();
    const port = await listen(server);
    server.close();
    await once(server, 'close');
    const result = await probe({ host: '127.0.0.1', port, path: '/live', timeout: 2000 });
    assert.equal(result.healthy, false);
    assert.match(result.message, /nobody listens there$/);
  });

  test('does not wait for one that never answers', async (context) => {
    const server = createServer((socket) => socket.resume());
    const port = await listen(server);
    context.after(() => server.close());
    const result = await probe({ host: '127.0.0.1', port, path: '/live', timeout: 50 });
    assert.deepEqual(result, { healthy: false, message: `127.0.0.1:${port}/live: no answer within 50 ms` });
  });

  test('is not healthy when something else answers', async (context) => {
    const server = createServer((socket) => socket.end('220 mail ready\r\n'));
    const port = await listen(server);
    context.after(() => server.close());
    const result = await probe({ host: '127.0.0.1', port, path: '/live', timeout: 2000 });
    assert.equal(result.healthy, false);
  });
});
