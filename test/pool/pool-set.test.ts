import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { ClientError } from '../../src/protocol/errors.ts';
import { type FakeClient, type FakePool, FakeProxy, told } from './fake-proxy.ts';

const removed = new ClientError('database removed', { sqlState: '57P01' });

let proxy: FakeProxy;
let pool: FakePool;

beforeEach(() => {
  proxy = new FakeProxy();
  pool = proxy.pools.open('app', 'alice');
});

function linked(at = pool): FakeClient {
  const client = proxy.acquire(at);
  proxy.connectAll();
  assert.ok(client.server !== undefined);
  return client;
}

/** What a promise has come to by now, without waiting for it. */
async function soFar<T>(promise: Promise<T>): Promise<T | 'pending'> {
  return Promise.race([promise, Promise.resolve('pending' as const)]);
}

describe('PAUSE', () => {
  test('closes idle servers and logins, and links nobody', () => {
    proxy.release(linked());
    proxy.acquire(proxy.pools.open('app', 'bob'));
    assert.equal(proxy.pools.pause(), undefined);
    assert.equal(proxy.in('closing').length, 2);
    const client = proxy.acquire(pool);
    proxy.closeAll();
    proxy.pass(1000);
    assert.equal(proxy.backends.size, 0);
    assert.equal(client.server, undefined);
  });

  test('is done when the last busy server has been released and is gone', async () => {
    const client = linked();
    proxy.pools.pause();
    const drained = proxy.pools.drained();
    assert.equal(await soFar(drained), 'pending');
    proxy.release(client);
    assert.equal(await soFar(drained), 'pending');
    proxy.closeAll();
    assert.equal(await soFar(drained), 'done');
  });

  test('lets query_wait_timeout stand still', () => {
    proxy.waitTimeout = 10_000;
    proxy.settings = { ...proxy.settings, poolSize: 1 };
    linked();
    const client = proxy.acquire(pool);
    proxy.pass(6000);
    proxy.pools.pause();
    proxy.pass(60_000);
    proxy.pools.resume();
    proxy.pass(3999);
    assert.equal(told(client), undefined);
    proxy.pass(1);
    assert.equal(told(client)?.message, 'query_wait_timeout');
  });

  test('of one database leaves the others alone, and covers pools that come later', () => {
    proxy.pools.pause('app');
    const client = proxy.acquire(proxy.pools.open('app', 'bob'));
    linked(proxy.pools.open('reports', 'alice'));
    assert.equal(client.server, undefined);
    assert.deepEqual(
      [proxy.pools.pauses.isDatabasePaused('app'), proxy.pools.pauses.isEverythingPaused],
      [true, false],
    );
  });

  test('cannot be given twice', () => {
    proxy.pools.pause();
    assert.equal(proxy.pools.pause()?.message, 'already suspended/paused');
    assert.equal(proxy.pools.kill(removed)?.message, 'already suspended/paused');
  });
});

describe('RESUME', () => {
  test('serves those who came meanwhile, in order', () => {
    proxy.settings = { ...proxy.settings, poolSize: 1 };
    proxy.pools.pause();
    const [first, second] = [proxy.acquire(pool), proxy.acquire(pool)];
    proxy.pools.resume();
    proxy.connectAll();
    assert.ok(first.server !== undefined);
    assert.equal(second.server, undefined);
  });

  test('ends a PAUSE that still waits', async () => {
    linked();
    proxy.pools.pause();
    const drained = proxy.pools.drained();
    proxy.pools.resume();
    assert.equal(await soFar(drained), 'done');
  });

  test('without a name leaves databases paused that were paused by name', () => {
    proxy.pools.pause('app');
    proxy.pools.pause();
    assert.equal(proxy.pools.resume(), undefined);
    assert.equal(pool.isPaused, true);
    assert.equal(proxy.pools.resume('app'), undefined);
    assert.equal(pool.isPaused, false);
  });

  test('of what is not paused is refused', () => {
    assert.equal(proxy.pools.resume()?.message, 'pooler is not paused/suspended');
    assert.equal(proxy.pools.resume('app')?.message, 'database app is not paused');
  });
});

describe('KILL', () => {
  test('refuses who waits, closes every server, and pauses the database', () => {
    const { server } = linked();
    proxy.settings = { ...proxy.settings, poolSize: 1 };
    const waiter = proxy.acquire(pool);
    assert.equal(proxy.pools.kill(removed, 'app'), undefined);
    assert.equal(waiter.error, removed);
    assert.equal(server?.state.kind, 'closing');
    const newcomer = proxy.acquire(pool);
    proxy.closeAll();
    assert.equal(proxy.backends.size, 0);
    proxy.pools.resume('app');
    proxy.connectAll();
    assert.ok(newcomer.server !== undefined);
  });

  test('of everything is undone by a plain RESUME', () => {
    proxy.pools.kill(removed);
    assert.equal(proxy.pools.resume(), undefined);
    linked();
  });
});

describe('RECONNECT', () => {
  test('closes idle servers at once and busy ones when they are released', async () => {
    proxy.settings = { ...proxy.settings, poolSize: 3 };
    const [idle, busy] = [linked(), linked()];
    const idleServer = idle.server;
    proxy.release(idle);
    proxy.pools.reconnect();
    const done = proxy.pools.reconnected();
    assert.equal(idleServer?.state.kind, 'closing');
    proxy.closeAll();
    const fresh = linked();
    assert.equal(await soFar(done), 'pending');
    proxy.release(busy);
    proxy.closeAll();
    assert.equal(await soFar(done), 'done');
    proxy.release(fresh);
    assert.equal(proxy.in('idle').length, 1, 'servers opened since then stay');
  });

  test('gives up logins in progress and begins them anew', () => {
    const client = proxy.acquire(pool);
    const [old] = proxy.in('connecting');
    proxy.pools.reconnect();
    assert.equal(old?.state.kind, 'closing');
    proxy.closeAll();
    proxy.connectAll();
    assert.ok(client.server !== undefined);
    assert.notEqual(client.server, old);
  });
});

describe('A console command that waits', () => {
  test('ends when its client goes', async () => {
    linked();
    proxy.pools.pause();
    const gone = new AbortController();
    const drained = proxy.pools.drained(undefined, gone.signal);
    gone.abort();
    assert.equal(await drained, 'aborted');
  });

  test('knows that from the start if its client has gone already', async () => {
    assert.equal(await proxy.pools.reconnected('app', AbortSignal.abort()), 'aborted');
  });
});

describe('SHUTDOWN WAIT_FOR_SERVERS', () => {
  test('tells who waits or comes, and is done when the last server has gone', async () => {
    const error = new ClientError('server shutting down', { sqlState: '57P01' });
    proxy.settings = { ...proxy.settings, poolSize: 1 };
    const busy = linked();
    const waiter = proxy.acquire(pool);
    const drained = proxy.pools.drain(error);
    assert.equal(waiter.error, error);
    assert.equal(proxy.acquire(pool).error, error);
    assert.equal(proxy.acquire(proxy.pools.open('reports', 'alice')).error, error);
    assert.equal(proxy.pools.resume()?.message, 'pooler is shutting down');
    assert.equal(await soFar(drained), 'pending');
    proxy.release(busy);
    proxy.closeAll();
    assert.equal(await soFar(drained), 'done');
  });
});

describe('A database entry', () => {
  test('that is removed refuses who waits, closes its servers and takes its pools along', () => {
    proxy.settings = { ...proxy.settings, poolSize: 1 };
    const busy = linked();
    const waiter = proxy.acquire(pool);
    proxy.pools.remove('app', removed);
    assert.equal(waiter.error, removed);
    assert.equal(proxy.acquire(pool).error, removed);
    proxy.release(busy);
    proxy.closeAll();
    proxy.pass(1);
    assert.equal(proxy.pools.find('app', 'alice'), undefined);
  });

  test('that comes back before its last server has gone works again', () => {
    linked();
    proxy.pools.remove('app', removed);
    assert.equal(proxy.pools.open('app', 'alice'), pool);
    proxy.closeAll();
    linked();
  });

  test('that was disabled is so until it is enabled', () => {
    proxy.pools.disable('app');
    assert.equal(proxy.pools.pauses.isDisabled('app'), true);
    proxy.pools.enable('app');
    assert.equal(proxy.pools.pauses.isDisabled('app'), false);
  });
});

describe('A pool', () => {
  test('is dropped when it had neither client nor server for so long as it is told', () => {
    proxy.dropAfter = 3_600_000;
    pool.join();
    proxy.pass(4_000_000);
    assert.equal(proxy.pools.find('app', 'alice'), pool);
    pool.leave();
    proxy.pass(1);
    proxy.pass(3_599_999);
    assert.equal(proxy.pools.find('app', 'alice'), pool);
    proxy.pass(1);
    assert.equal(proxy.pools.find('app', 'alice'), undefined);
  });

  test('is kept for ever when that is 0', () => {
    proxy.pass(1);
    proxy.pass(1e9);
    assert.equal(proxy.pools.find('app', 'alice'), pool);
  });

  test('is one for each pair of database entry and user', () => {
    assert.equal(proxy.pools.open('app', 'alice'), pool);
    proxy.pools.open('app', 'bob');
    proxy.pools.open('reports', 'alice');
    assert.deepEqual(
      Array.from(proxy.pools.pools('app'), ({ user }) => user),
      ['alice', 'bob'],
    );
    assert.equal(Array.from(proxy.pools.pools()).length, 3);
  });
});
