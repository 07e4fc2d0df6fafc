import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { startEndpoint } from './fixtures.ts';

/** Sends bytes as they are and gives all that comes back until the endpoint closes. */
async function exchange(port: number, bytes: string | Buffer): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.end(bytes);
  try {
    return await text(socket);
  } catch {
    return '(reset)';
  }
}

async function connected(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

describe('the HTTP endpoint', () => {
  test('is live', async (context) => {
    const { url } = await startEndpoint(context);
    const response = await fetch(`${url}/live`);
    assert.equal(response.status, 200);
    assert.equal(await response.text(), 'live\n');
    assert.equal(response.headers.get('cache-control'), 'no-store');
  });

  test('is ready only between starting and draining', async (context) => {
    const endpoint = await startEndpoint(context);
    const ask = async (): Promise<string> => {
      const response = await fetch(`${endpoint.url}/ready`);
      return `${response.status} ${await response.text()}`;
    };
    endpoint.readiness = { kind: 'starting' };
    assert.equal(await ask(), '503 starting\n');
    endpoint.readiness = { kind: 'ready' };
    assert.equal(await ask(), '200 ready\n');
    endpoint.readiness = { kind: 'draining' };
    assert.equal(await ask(), '503 draining\n');
    assert.equal((await fetch(`${endpoint.url}/live`)).status, 200, 'a drain is not a death');
  });

  test('stays ready while every database is down', async (context) => {
    const endpoint = await startEndpoint(context);
    endpoint.databases = endpoint.databases.map((database) => ({
      ...database,
      lastConnectAge: undefined,
      lastError: { message: 'connection refused', sqlState: undefined, age: 1 },
    }));
    assert.equal((await fetch(`${endpoint.url}/ready`)).status, 200);
    assert.equal((await fetch(`${endpoint.url}/health`)).status, 200);
  });

  test('hands out metrics with their content type', async (context) => {
    const { url } = await startEndpoint(context);
    const response = await fetch(`${url}/metrics?name=all`);
    assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4');
    assert.equal(await response.text(), 'up 1\n');
  });

  test('answers HEAD with the headers of GET and no body', async (context) => {
    const { url } = await startEndpoint(context);
    for (const path of ['/live', '/ready', '/health', '/metrics']) {
      const [get, head] = await Promise.all([fetch(url + path), fetch(url + path, { method: 'HEAD' })]);
      assert.equal(head.status, get.status);
      assert.equal(head.headers.get('content-length'), String((await get.text()).length));
      assert.equal(await head.text(), '');
    }
  });

  test('says what there is instead of an unknown path, and which methods', async (context) => {
    const { url } = await startEndpoint(context);
    const unknown = await fetch(`${url}/admin`);
    assert.equal(unknown.status, 404);
    assert.match(await unknown.text(), /\/live \/ready \/health \/metrics/);

    const post = await fetch(`${url}/ready`, { method: 'POST', body: 'x' });
    assert.equal(post.status, 405);
    assert.equal(post.headers.get('allow'), 'GET, HEAD');
  });

  test('answers 500 and logs when a scrape fails, and then goes on', async (context) => {
    const endpoint = await startEndpoint(context);
    endpoint.metrics = () => Promise.reject(new Error('broken'));
    const response = await fetch(`${endpoint.url}/metrics`);
    assert.equal(response.status, 500);
    assert.ok(!(await response.text()).includes('broken'));
    assert.equal(endpoint.logged[0]?.message, 'http request failed');
    assert.equal((await fetch(`${endpoint.url}/live`)).status, 200);
  });

  test('does not read a body, and closes after it was announced', async (context) => {
    const { port } = await startEndpoint(context);
    const socket = await connected(port);
    socket.write('POST /live HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\nabc');
    assert.match(await text(socket), /^HTTP\/1\.1 405 [^]*Connection: close/);
  });

  test('answers garbage with 400 and lives', async (context) => {
    const { port, url } = await startEndpoint(context);
    const startup = Buffer.from('0000000800000004d2162f00', 'hex');
    for (const garbage of ['\0\0\0\u0008\u0004\u00d2\u0016\u002f', startup, 'GET\r\n\r\n', 'x'.repeat(100)]) {
      assert.match(await exchange(port, garbage), /^HTTP\/1\.1 400 /);
    }
    assert.match(
      await exchange(port, `GET /live HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`),
      /431|\(reset\)/,
    );
    assert.equal((await fetch(`${url}/live`)).status, 200);
  });

  test('survives any bytes, and any request target', async (context) => {
    const { port, url } = await startEndpoint(context);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.webUrl(), async (bytes, target) => {
        await exchange(port, Buffer.from(bytes));
        const reply = await exchange(port, `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
        assert.match(reply, /^HTTP\/1\.1 (404|400) /);
      }),
      { numRuns: 40 },
    );
    assert.equal((await fetch(`${url}/live`)).status, 200);
  });

  test('holds no more connections than it has room for', async (context) => {
    const { port } = await startEndpoint(context);
    const sockets = await Promise.all(Array.from({ length: 100 }, () => connected(port)));
    let closed = 0;
    const dropped = new Promise<void>((resolve) => {
      for (const socket of sockets) {
        socket.once('close', () => {
          closed += 1;
          if (closed === 36) resolve();
        });
        socket.resume();
      }
    });
    await dropped;
    assert.equal(closed, 36);
    for (const socket of sockets) socket.destroy();
  });

  test('closes at once although somebody keeps a connection open', async (context) => {
    const { port, url, close } = await startEndpoint(context);
    const socket = await connected(port);
    socket.write('GET /live HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'data');
    await close();
    await assert.rejects(fetch(`${url}/live`));
    socket.destroy();
  });
});

describe('/health', () => {
  interface Report {
    readonly status: string;
    readonly databases: readonly Record<string, unknown>[];
  }

  async function healthOf(url: string): Promise<Report> {
    const report: Report = JSON.parse(await (await fetch(`${url}/health`)).text());
    return report;
  }

  test('tells per database how its servers are', async (context) => {
    const endpoint = await startEndpoint(context);
    const response = await fetch(`${endpoint.url}/health`);
    assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
    assert.deepEqual(await response.json(), {
      status: 'ready',
      databases: [
        {
          name: 'app',
          status: 'ok',
          host: 'db.internal',
          port: 5432,
          servers: { active: 3, idle: 1, used: 0, tested: 0, login: 2 },
          clients: { active: 10, waiting: 4 },
          last_connect_seconds_ago: 1.5,
          last_error: null,
        },
      ],
    });
  });

  test('has the last error in the words of the server', async (context) => {
    const endpoint = await startEndpoint(context);
    const error = { message: 'password authentication failed for user "app"', sqlState: '28P01', age: 250 };
    endpoint.databases = endpoint.databases.map((database) => ({ ...database, lastError: error }));
    const report = await healthOf(endpoint.url);
    assert.deepEqual(report.databases[0]?.['last_error'], {
      message: error.message,
      sqlstate: '28P01',
      seconds_ago: 0.25,
    });
    assert.equal(report.databases[0]['status'], 'failing');
  });

  test('calls a database by what matters most', async (context) => {
    const endpoint = await startEndpoint(context);
    const [database] = endpoint.databases;
    assert.ok(database !== undefined);
    const lastError = { message: 'connection refused', sqlState: undefined, age: 9000 };
    endpoint.databases = [
      { ...database, disabled: true, paused: true, lastError },
      { ...database, paused: true },
      { ...database, lastError },
      { ...database, lastConnectAge: undefined, lastError },
      { ...database, lastConnectAge: undefined },
    ];
    const report = await healthOf(endpoint.url);
    assert.deepEqual(
      report.databases.map(({ status }) => status),
      ['disabled', 'paused', 'ok', 'failing', 'unknown'],
    );
  });
});
