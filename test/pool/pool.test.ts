import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import type { PoolSettings } from '../../src/pool/pool-settings.ts';
import {
  FakeClient,
  closeReason,
  type FakePool,
  told,
  FakeProxy,
  type FakeServer,
  loginFailure,
} from './fake-proxy.ts';

let proxy: FakeProxy;
let pool: FakePool;

beforeEach(() => {
  proxy = new FakeProxy();
  pool = proxy.pools.open('app', 'alice');
  pool.join();
});

function set(changes: Partial<PoolSettings>): void {
  proxy.settings = { ...proxy.settings, ...changes };
}

/** Clients that have a server each, the pool's only ones. */
function linkedClients(count: number, at = pool): FakeClient[] {
  const clients = Array.from({ length: count }, (_, index) =>
    proxy.acquire(at, new FakeClient(`client ${index}`)),
  );
  while (clients.some(({ server }) => server === undefined)) {
    assert.ok(proxy.in('connecting').length > 0, 'there is room for so many');
    proxy.connectAll();
  }
  return clients;
}

/** Idle servers, longest idle first. */
function idleServers(count: number, at = pool): FakeServer[] {
  return linkedClients(count, at).map((client) => {
    const { server } = client;
    assert.ok(server !== undefined);
    proxy.release(client);
    proxy.clock.advance(1);
    return server;
  });
}

describe('A client that wants a server', () => {
  test('has a server opened for it if there is none', () => {
    const client = proxy.acquire(pool);
    assert.deepEqual([client.server, proxy.in('connecting').length], [undefined, 1]);
    proxy.connectAll();
    assert.equal(client.server?.state.kind, 'active');
  });

  test('gets the server that was used last', () => {
    const [, newest] = idleServers(2);
    assert.equal(proxy.acquire(pool).server, newest);
  });

  test('gets the longest idle server with server_round_robin', () => {
    set({ serverRoundRobin: true });
    const [oldest] = idleServers(2);
    assert.equal(proxy.acquire(pool).server, oldest);
  });

  test('gets the server it had before', () => {
    const [first, second] = linkedClients(2);
    assert.ok(first !== undefined && second !== undefined);
    const before = first.server;
    proxy.release(first);
    proxy.release(second);
    assert.equal(proxy.acquire(pool, first).server, before);
  });

  test('gets a server that carries its session state', () => {
    set({ poolSize: 3 });
    const [, suitable] = idleServers(3);
    assert.ok(suitable !== undefined);
    const client = new FakeClient('a');
    proxy.preferred.set(client, suitable);
    assert.equal(proxy.acquire(pool, client).server, suitable);
  });

  test('gets no special server with server_round_robin', () => {
    set({ serverRoundRobin: true });
    const [oldest, other] = idleServers(2);
    assert.ok(other !== undefined);
    const client = new FakeClient('a');
    client.lastServerId = other.id;
    proxy.preferred.set(client, other);
    assert.equal(proxy.acquire(pool, client).server, oldest);
  });

  test('waits until a server that was idle for server_check_delay has answered', () => {
    const [, stale] = idleServers(2);
    proxy.pass(30_000);
    const client = proxy.acquire(pool);
    assert.equal(client.server, undefined);
    assert.deepEqual(stale?.state, { kind: 'tested', since: proxy.clock.now(), purpose: 'check' });
    stale.pool.release(stale);
    assert.equal(client.server, stale);
  });

  test('stays first in line when the tested server turns out to be dead', () => {
    const [older, stale] = idleServers(2);
    proxy.pass(30_000);
    const first = proxy.acquire(pool);
    const second = proxy.acquire(pool);
    assert.ok(stale !== undefined && older !== undefined);
    proxy.closed(stale);
    older.pool.release(older);
    assert.equal(first.server, older);
    proxy.connectAll();
    assert.ok(second.server !== undefined);
  });

  test('does not wait for a test while another server is fresh', () => {
    set({ serverRoundRobin: true });
    const [stale, other] = idleServers(2);
    proxy.pass(20_000);
    const client = new FakeClient('a');
    assert.equal(proxy.acquire(pool, client).server, stale);
    proxy.release(client);
    proxy.pass(15_000);
    assert.equal(proxy.acquire(pool).server, stale);
    assert.equal(other?.state.kind, 'idle');
  });

  test('needs no test where there is no check query', () => {
    set({ serverCheckDelay: undefined });
    idleServers(1);
    proxy.pass(100_000);
    assert.ok(proxy.acquire(pool).server !== undefined);
  });
});

describe('Clients in line', () => {
  test('are served in the order in which they came', () => {
    const [holder] = linkedClients(2);
    assert.ok(holder !== undefined);
    const line = ['a', 'b', 'c'].map((name) => proxy.acquire(pool, new FakeClient(name)));
    let previous = holder;
    for (const client of line) {
      proxy.release(previous);
      assert.ok(client.server !== undefined);
      previous = client;
    }
  });

  test('may leave it', () => {
    const [holder] = linkedClients(2);
    const [leaver, stayer] = [proxy.acquire(pool), proxy.acquire(pool)];
    pool.abandon(leaver);
    assert.ok(holder !== undefined);
    proxy.release(holder);
    assert.equal(leaver.server, undefined);
    assert.ok(stayer.server !== undefined);
  });

  test('have servers opened for as many of them as server_login_concurrency allows, at a time', () => {
    set({ poolSize: 10, serverLoginConcurrency: 3 });
    for (let index = 0; index < 5; index += 1) proxy.acquire(pool);
    assert.equal(proxy.in('connecting').length, 3);
    proxy.connectAll();
    assert.equal(proxy.in('connecting').length, 2);
  });

  test('get a notice after query_wait_notify, once', () => {
    linkedClients(2);
    const client = proxy.acquire(pool);
    proxy.pass(4999);
    assert.equal(client.notices, 0);
    proxy.pass(1);
    proxy.pass(10_000);
    assert.equal(client.notices, 1);
  });

  test('are told after query_wait_timeout what is full and who holds it', () => {
    const [report] = linkedClients(2);
    assert.ok(report !== undefined);
    proxy.waitTimeout = 15_000;
    const client = proxy.acquire(pool);
    proxy.pass(14_999);
    assert.equal(told(client), undefined);
    proxy.pass(1);
    assert.equal(told(client)?.message, 'query_wait_timeout');
    assert.equal(told(client)?.sqlState, '53300');
    assert.equal(
      told(client)?.detail,
      'pool app/alice: 2 active of 2 server connections, pool_size 2; oldest transaction: 15.0 s, application_name "client 0"',
    );
    proxy.release(report);
    assert.equal(client.server, undefined, 'who was refused is out of the line');
  });

  test('wait for ever when query_wait_timeout is 0', () => {
    linkedClients(2);
    proxy.waitTimeout = 0;
    const client = proxy.acquire(pool);
    proxy.pass(1e9);
    assert.equal(told(client), undefined);
  });
});

describe('pool_size', () => {
  test('counts logins in progress and servers that have not closed their side yet', () => {
    const [first] = linkedClients(2);
    assert.ok(first?.server !== undefined);
    const client = proxy.acquire(pool);
    const { server } = first;
    pool.close(server, 'query timeout');
    assert.equal(proxy.backends.size, 2);
    assert.equal(proxy.in('connecting').length, 0);
    proxy.closed(server);
    proxy.connectAll();
    assert.ok(client.server !== undefined);
  });

  test('frees the slot of a server that does not close within server_close_timeout', () => {
    const [first] = linkedClients(2);
    assert.ok(first?.server !== undefined);
    proxy.acquire(pool);
    pool.close(first.server, 'query timeout');
    proxy.pass(4999);
    assert.deepEqual(proxy.destroyed, []);
    proxy.pass(1);
    assert.deepEqual(proxy.destroyed, [first.server]);
    assert.equal(proxy.in('connecting').length, 1);
    proxy.closed(first.server);
    assert.equal(pool.size, 2, 'its close is not counted twice');
  });

  test('of 0 is no limit', () => {
    set({ poolSize: 0 });
    assert.equal(linkedClients(30).length, 30);
  });

  test('that was lowered closes idle servers, and busy ones when they are released', () => {
    set({ poolSize: 4 });
    const clients = linkedClients(4);
    const [idle, busy] = clients;
    assert.ok(idle !== undefined && busy?.server !== undefined);
    proxy.release(idle);
    set({ poolSize: 2 });
    proxy.pass(1);
    assert.equal(proxy.in('closing').length, 1);
    const { server } = busy;
    proxy.release(busy);
    assert.equal(closeReason(server), 'too many servers in the pool');
  });

  test('that was raised opens servers for those who wait', () => {
    linkedClients(2);
    proxy.acquire(pool);
    set({ poolSize: 3 });
    proxy.pass(1);
    assert.equal(proxy.in('connecting').length, 1);
  });
});

describe('reserve_pool_size', () => {
  beforeEach(() => set({ reservePoolSize: 1 }));

  test('adds servers when a client has waited reserve_pool_timeout', () => {
    linkedClients(2);
    proxy.acquire(pool);
    proxy.acquire(pool);
    proxy.pass(4999);
    assert.equal(proxy.backends.size, 2);
    proxy.pass(1);
    assert.equal(proxy.backends.size, 3);
  });

  test('is not used when reserve_pool_timeout is 0', () => {
    set({ reservePoolTimeout: 0 });
    linkedClients(2);
    proxy.acquire(pool);
    proxy.pass(100_000);
    assert.equal(proxy.backends.size, 2);
  });

  test('is given back when it is idle for as long', () => {
    const clients = linkedClients(2);
    clients.push(proxy.acquire(pool));
    proxy.pass(5000);
    proxy.connectAll();
    for (const client of clients) proxy.release(client);
    proxy.pass(4999);
    assert.equal(proxy.in('idle').length, 3);
    proxy.pass(1);
    assert.equal(proxy.in('idle').length, 2);
  });
});

describe('min_pool_size', () => {
  beforeEach(() => set({ minPoolSize: 2, poolSize: 5 }));

  test('keeps servers open while the pool has a client', () => {
    proxy.pass(1);
    proxy.connectAll();
    assert.equal(proxy.in('idle').length, 2);
    pool.leave();
    for (const server of proxy.in('idle')) proxy.closed(server);
    proxy.pass(1);
    assert.equal(proxy.backends.size, 0);
  });

  test('keeps servers open without a client where the database entry forces a user', () => {
    pool.leave();
    set({ forcedUser: true });
    proxy.pass(1);
    assert.equal(proxy.backends.size, 2);
  });

  test('is not fallen below by server_idle_timeout', () => {
    idleServers(4);
    proxy.pass(600_000);
    assert.equal(proxy.in('idle').length, 2);
  });
});

describe('A server', () => {
  test('is closed after server_idle_timeout', () => {
    const [server] = idleServers(1);
    proxy.pass(599_000);
    assert.equal(server?.state.kind, 'idle');
    proxy.pass(1000);
    assert.equal(closeReason(server), 'server idle timeout');
  });

  test('is closed when its lifetime is over, at its release at the latest', () => {
    const [client] = linkedClients(1);
    assert.ok(client?.server !== undefined);
    const { server } = client;
    proxy.pass(3_600_000);
    assert.equal(server.state.kind, 'active');
    proxy.release(client);
    assert.equal(closeReason(server), 'server lifetime over');
  });

  test('lives a little shorter than server_lifetime, each by its own amount', () => {
    set({ serverIdleTimeout: 0 });
    let random = 0;
    const lives = new FakeProxy(() => (random += 0.4));
    lives.settings = proxy.settings;
    const clients = ['a', 'b'].map((name) =>
      lives.acquire(lives.pools.open('app', 'alice'), new FakeClient(name)),
    );
    lives.connectAll();
    for (const client of clients) lives.release(client);
    lives.pass(3_600_000 * 0.85);
    assert.equal(lives.in('idle').length, 2);
    lives.pass(3_600_000 * 0.05);
    assert.equal(lives.in('idle').length, 1);
    lives.pass(3_600_000 * 0.1);
    assert.equal(lives.in('idle').length, 0);
  });

  test('serves one client when server_lifetime is 0', () => {
    set({ serverLifetime: 0, minPoolSize: 1 });
    proxy.pass(1);
    proxy.connectAll();
    proxy.pass(1000);
    const [server] = proxy.in('idle');
    const client = proxy.acquire(pool);
    assert.equal(client.server, server);
    proxy.release(client);
    assert.equal(server?.state.kind, 'closing');
  });

  test('that is reset after its client waits for nobody, and then serves the next', () => {
    const [client] = linkedClients(2);
    assert.ok(client?.server !== undefined);
    const { server } = client;
    assert.equal(pool.hold(server, 'reset'), true);
    const next = proxy.acquire(pool);
    assert.equal(next.server, undefined);
    pool.release(server);
    assert.equal(next.server, server);
  });

  test('that a cancel request may still hit is not handed on', () => {
    const [client] = linkedClients(2);
    assert.ok(client?.server !== undefined);
    const { server } = client;
    const next = proxy.acquire(pool);
    pool.hold(server, 'cancel');
    assert.equal(pool.counts().being_canceled, 1);
    assert.equal(next.server, undefined);
    pool.release(server);
    assert.equal(next.server, server);
  });

  test('that a cancel request holds up after its reset is not counted on by those who wait', () => {
    const [client] = linkedClients(1);
    assert.ok(client?.server !== undefined);
    pool.hold(client.server, 'reset');
    proxy.acquire(pool);
    assert.equal(proxy.in('connecting').length, 0);
    pool.hold(client.server, 'cancel');
    assert.equal(proxy.in('connecting').length, 1);
  });

  test('that is being closed is not held, nor handed on', () => {
    const [client] = linkedClients(2);
    assert.ok(client?.server !== undefined);
    const { server } = client;
    const next = proxy.acquire(pool);
    pool.close(server, 'admin forced disconnect');
    assert.equal(pool.hold(server, 'reset'), false);
    pool.release(server);
    assert.equal(server.state.kind, 'closing');
    assert.equal(next.server, undefined);
  });

  test('marked close_needed is closed when it is released, an idle one at once', () => {
    const [idle] = idleServers(2);
    assert.ok(idle !== undefined);
    const { server } = proxy.acquire(pool);
    assert.ok(server !== undefined);
    for (const each of [idle, server]) pool.retire(each);
    assert.equal(idle.state.kind, 'closing');
    assert.equal(pool.closeNeeded(server), true);
    pool.release(server);
    assert.equal(closeReason(server), 'close_needed');
  });
});

describe('A login that fails', () => {
  const wrongPassword = loginFailure('28P01', 'password authentication failed for user "alice"');
  const startingUp = loginFailure('57P03', 'the database system is starting up');

  function fail(failure: typeof wrongPassword): void {
    const [server] = proxy.in('connecting');
    assert.ok(server !== undefined);
    proxy.failed(server, failure);
  }

  test('tells everybody in line the own words of the server, where no other server is', () => {
    const clients = [proxy.acquire(pool), proxy.acquire(pool), proxy.acquire(pool)];
    fail(wrongPassword);
    for (const { error } of clients) assert.equal(error, wrongPassword.error);
  });

  test('leaves the line alone while another server works', () => {
    const [holder] = linkedClients(1);
    const waiter = proxy.acquire(pool);
    fail(wrongPassword);
    assert.equal(waiter.error, undefined);
    assert.ok(holder !== undefined);
    proxy.release(holder);
    assert.ok(waiter.server !== undefined);
  });

  test('tells the line also where the only other server goes at its release', () => {
    linkedClients(1);
    pool.reconnect();
    const waiter = proxy.acquire(pool);
    fail(wrongPassword);
    assert.equal(waiter.error, wrongPassword.error);
  });

  test('tells the line when the last working server has gone as well', () => {
    const [holder] = linkedClients(1);
    const waiter = proxy.acquire(pool);
    fail(wrongPassword);
    assert.ok(holder?.server !== undefined);
    proxy.closed(holder.server);
    assert.equal(told(waiter)?.sqlState, '28P01');
  });

  test('answers newcomers with the cached error for server_login_retry', () => {
    proxy.acquire(pool);
    fail(wrongPassword);
    proxy.pass(14_999);
    const { error } = proxy.acquire(pool);
    assert.equal(error?.message, 'password authentication failed for user "alice"');
    assert.equal(error.sqlState, '28P01');
    assert.match(
      error.detail ?? '',
      /^server login has been failing, cached error: .*alice" \(server_login_retry\)$/,
    );
    assert.equal(proxy.backends.size, 0);
  });

  test('answers nobody with a stale error: after server_login_retry a newcomer waits for a new attempt', () => {
    proxy.acquire(pool);
    fail(wrongPassword);
    proxy.clock.advance(15_000);
    const client = proxy.acquire(pool);
    assert.equal(told(client), undefined);
    proxy.connectAll();
    assert.ok(client.server !== undefined);
  });

  test('that will pass by itself lets clients wait on, and is tried again after server_login_retry', () => {
    const client = proxy.acquire(pool);
    fail(startingUp);
    const newcomer = proxy.acquire(pool);
    proxy.pass(14_999);
    assert.equal(proxy.backends.size, 0);
    proxy.pass(1);
    assert.equal(proxy.in('connecting').length, 1, 'one finds out whether the server is back');
    proxy.connectAll();
    proxy.connectAll();
    assert.deepEqual([client.error, newcomer.error], [undefined, undefined]);
    assert.ok(client.server !== undefined && newcomer.server !== undefined);
  });

  test('without a word is a failure too', () => {
    const client = proxy.acquire(pool);
    const [server] = proxy.in('connecting');
    assert.ok(server !== undefined);
    proxy.closed(server);
    assert.equal(told(client)?.sqlState, '08006');
    assert.equal(proxy.backends.size, 0);
  });

  test('is forgotten by RECONNECT', () => {
    proxy.acquire(pool);
    fail(wrongPassword);
    proxy.pools.reconnect('app');
    assert.equal(proxy.acquire(pool).error, undefined);
  });
});

describe('SHOW POOLS', () => {
  test('counts servers by state, and clients that wait', () => {
    set({ poolSize: 4 });
    const [idle, tested] = linkedClients(3);
    assert.ok(idle !== undefined && tested?.server !== undefined);
    proxy.release(idle);
    pool.hold(tested.server, 'reset');
    proxy.pass(30_000);
    assert.deepEqual(pool.counts(), {
      connecting: 0,
      idle: 1,
      used: 1,
      active: 1,
      tested: 1,
      being_canceled: 0,
      closing: 0,
      waiting: 0,
      maxWait: 0,
    });
  });

  test('says how long the first in line has waited', () => {
    linkedClients(2);
    proxy.acquire(pool);
    proxy.clock.advance(1234);
    assert.equal(pool.counts().maxWait, 1234);
  });
});
