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
    proxy.pass(1);
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

  describe('kept full by one pool', () => {
    let busy: FakeClient[];

    beforeEach(() => {
      busy = [linked(alice), linked(alice)];
    });

    /** 300 ms in which every busy server goes from its client to the next one, the line of that pool never being empty. */
    function round(): void {
      const next = busy.map(() => proxy.acquire(alice));
      proxy.clock.advance(1);
      const passing = proxy.acquire(carol);
      proxy.pass(299);
      carol.abandon(passing);
      for (const client of busy) proxy.release(client);
      busy = next;
    }

    test('starves nobody: that pool gives up a server for clients that wait longer than its own', () => {
      const client = proxy.acquire(bob);
      for (let rounds = 0; rounds < 10 && client.server === undefined; rounds += 1) {
        round();
        proxy.closeAll();
        proxy.connectAll();
      }
      assert.ok(client.server !== undefined);
    });

    test('takes one server from it at a time', () => {
      proxy.acquire(bob);
      for (let rounds = 0; rounds < 10; rounds += 1) round();
      assert.equal(proxy.in('closing').length, 1);
    });

    test('takes none from it for clients that came only just now', () => {
      proxy.acquire(bob);
      for (let rounds = 0; rounds < 3; rounds += 1) round();
      assert.equal(proxy.in('closing').length, 0);
    });
  });

  test('that was lowered closes servers until it holds again', () => {
    linked(alice);
    const idle = linked(bob);
    proxy.release(idle);
    proxy.maxDbConnections = 1;
    proxy.pass(1);
    assert.deepEqual([proxy.in('active').length, proxy.in('closing').length], [1, 1]);
  });

  test('that was lowered closes a busy server when it is released, whoever waits for it', () => {
    const holder = linked(alice);
    linked(alice);
    const waiter = proxy.acquire(alice);
    proxy.maxDbConnections = 1;
    proxy.release(holder);
    assert.equal(waiter.server, undefined);
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
