import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClient, FakeProxy } from './fake-proxy.ts';

test('a server that is looked at while it is idle goes back to its place among the others, and idles on', () => {
  const proxy = new FakeProxy();
  proxy.settings = { ...proxy.settings, poolSize: 3 };
  const pool = proxy.pools.open('app', 'alice');
  pool.join();
  const clients = ['a', 'b', 'c'].map((name) => proxy.acquire(pool, new FakeClient(name)));
  while (clients.some(({ server }) => server === undefined)) proxy.connectAll();
  const servers = clients.map((client) => {
    const { server } = client;
    assert.ok(server !== undefined);
    proxy.release(client);
    proxy.clock.advance(1);
    return server;
  });
  for (const server of servers) {
    const { state } = server;
    pool.hold(server, 'check');
    proxy.clock.advance(1);
    pool.release(server);
    assert.deepEqual(server.state, state);
  }
  assert.deepEqual(
    servers.map(() => proxy.acquire(pool).server),
    servers.toReversed(),
  );
});
