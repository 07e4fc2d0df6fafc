import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { FakeClient, closeReason, type FakePool, FakeProxy, ordinarySettings } from './fake-proxy.ts';

let proxy: FakeProxy;
let alice: FakePool;
let bob: FakePool;
let carol: FakePool;

beforeEach(() => {
  proxy = new FakeProxy();
  proxy.maxDbConnections = 2;
  alice = proxy.pools.open('app', 'alice');
  bob = proxy.pools.open('app', 'bob');
  carol = proxy.pools.open('app', 'carol');
});

function linked(pool: FakePool, name = 'a client'): FakeClient {
  const client = proxy.acquire(pool, new FakeClient(name));
  proxy.connectAll();
  assert.ok(client.server !== undefined);
  return client;
}

describe('max_db_connections', () => {
  test('holds over all pools of the database entry', () => {
    linked(alice);
    linked(bob);
    proxy.acquire(carol);
    assert.equal(proxy.backends.size, 2);
    assert.equal(proxy.pools.databaseServers('app'), 2);
  });

  test('does not touch other databases', () => {
    linked(alice);
    linked(bob);
    linked(proxy.pools.open('reports', 'alice'));
    assert.equal(proxy.backends.size, 3);
  });

  test('closes the longest idle server of another pool, and waits until it has gone', () => {
    const [first, second] = [linked(alice), linked(bob)];
    const oldest = second.server;
    proxy.release(second);
    proxy.clock.advance(1);
    proxy.release(first);
    const client = proxy.acquire(carol);
    assert.equal(closeReason(oldest), 'evicted');
    assert.equal(proxy.backends.size, 2);
    assert.equal(proxy.in('closing').length, 1, 'one client needs one server');
    proxy.closeAll();
    proxy.connectAll();
    assert.ok(client.server !== undefined);
  });

  test('closes a server that falls idle while another pool waits', () => {
    const holder = linked(alice);
    linked(bob);
    const client = proxy.acquire(carol);
    proxy.release(holder);
    proxy.closeAll();
    proxy.connectAll();
    assert.ok(client.server !== undefined);
  });

  test('gives a free slot to the client that has waited longest, whichever pool it is in', () => {
    const [holder] = [linked(alice), linked(bob)];
    const late: FakeClient[] = [];
    const first = proxy.acquire(carol);
    proxy.clock.advance(1);
    late.push(proxy.acquire(alice), proxy.acquire(bob));
    assert.ok(holder.server !== undefined);
    proxy.closed(holder.server);
    proxy.connectAll();
    assert.ok(first.server !== undefined);
    assert.deepEqual(
      late.map(({ server }) => server),
      [undefined, undefined],
    );
  });

  test('starves nobody: a busy pool gives up a server for clients that wait longer than its own', () => {
    let [one, two] = [linked(alice), linked(alice)];
    const client = proxy.acquire(bob);
    for (let round = 0; round < 20 && client.server === undefined; round += 1) {
      const [next, afterNext] = [proxy.acquire(alice), proxy.acquire(alice)];
      proxy.pass(300);
      proxy.release(one);
      proxy.release(two);
      proxy.closeAll();
      proxy.connectAll();
      [one, two] = [next, afterNext];
    }
    assert.ok(client.server !== undefined);
  });

  test('that was lowered closes servers until it holds again', () => {
    linked(alice);
    const idle = linked(bob);
    proxy.release(idle);
    proxy.maxDbConnections = 1;
    proxy.pass(1);
    assert.deepEqual([proxy.in('active').length, proxy.in('closing').length], [1, 1]);
  });
});

describe('max_user_connections', () => {
  test('holds over all databases of the pool user', () => {
    proxy.maxDbConnections = 0;
    proxy.maxUserConnections = 1;
    linked(alice);
    proxy.acquire(proxy.pools.open('reports', 'alice'));
    assert.equal(proxy.backends.size, 1);
    assert.equal(proxy.pools.userServers('alice'), 1);
    linked(bob);
  });

  test('does not cost other pools their servers when it is what stands in the way', () => {
    proxy.maxUserConnections = 1;
    linked(proxy.pools.open('reports', 'alice'));
    const [idle, other] = [linked(bob), linked(carol)];
    proxy.acquire(alice);
    proxy.release(idle);
    proxy.release(other);
    assert.equal(proxy.in('idle').length, 2);
  });
});

describe('min_pool_size', () => {
  test('evicts nobody', () => {
    proxy.settings = { ...ordinarySettings, minPoolSize: 2 };
    proxy.release(linked(alice));
    proxy.release(linked(bob));
    carol.join();
    proxy.pass(1);
    assert.equal(proxy.in('idle').length, 2);
  });
});
