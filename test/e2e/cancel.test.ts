/** A cancel request reaches the query it was meant for, or nobody. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, describe, test } from 'node:test';
import pg from 'pg';
import { Authority } from '../support/certificates.ts';
import * as m from '../support/messages.ts';
import { cancel, RawClient } from '../support/raw-client.ts';
import { query as ask } from '../support/postgres.ts';
import { startSlowRelay } from '../support/slow-relay.ts';
import { type Stage, useStage } from '../support/stage.ts';
import { until } from '../support/wait.ts';

const { cert, key } = new Authority().issue();

const relay = await startSlowRelay();
after(() => relay.close());

const stage = useStage({
  databases: {
    one: 'pool_size = 1',
    session: 'pool_size = 1\npool_mode = "session"',
    two: 'pool_size = 2',
    far: `pool_size = 1\nport = ${String(relay.port)}`,
  },
  settings: `
stats_users = ["postgres"]
client_tls_sslmode = "allow"
client_tls_cert_file = "cert.pem"
client_tls_key_file = "key.pem"
server_tls_sslmode = "require"`,
  files: { 'cert.pem': cert, 'key.pem': key },
  postgres: {
    settings: { ssl: 'on' },
    files: { 'server.crt': cert, 'server.key': key },
  },
});

const CANCELED = '57014';
const place = ({ daemon }: Stage) => ({ host: '127.0.0.1', port: daemon.port });

/** Waits until what contains `text` runs on a server. */
const runs = (text: string): Promise<unknown> =>
  until(
    async () => {
      const found = await stage().sql(
        `SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%${text}%' AND pid <> pg_backend_pid()`,
      );
      return found.length > 0;
    },
    { what: `${text} runs` },
  );

describe('a cancel request', () => {
  for (const database of ['one', 'session']) {
    test(`ends the query of its client (${database})`, async () => {
      const client = await stage().login(database);
      client.send(m.query('SELECT pg_sleep(30)'));
      await runs('pg_sleep(30)');
      await cancel(place(stage()), client.key);
      assert.deepEqual(m.errorsOf(await client.ready()), [CANCELED]);
      assert.deepEqual(m.valuesOf(await client.query('SELECT 1')), ['1']);
      client.quit();
    });
  }

  test('ends a query in front of which its settings were restored', async () => {
    const client = await stage().login('one');
    await client.query('SET work_mem = 4321');
    const other = await stage().login('one');
    await other.query('SELECT 1');
    client.send(m.query('SELECT pg_sleep(27)'));
    await runs('pg_sleep(27)');
    await cancel(place(stage()), client.key);
    assert.deepEqual(m.errorsOf(await client.ready()), [CANCELED]);
    assert.deepEqual(m.valuesOf(await client.query('SHOW work_mem')), ['4321kB']);
    client.quit();
    other.quit();
  });

  test('ends a query inside a transaction, which has failed then', async () => {
    const client = await stage().login('one');
    await client.query('BEGIN');
    client.send(m.run('SELECT pg_sleep(29)'), m.sync);
    await runs('pg_sleep(29)');
    await cancel(place(stage()), client.key);
    assert.deepEqual(m.errorsOf(await client.ready()), [CANCELED]);
    assert.equal(client.status, 'E');
    await client.query('ROLLBACK');
    client.quit();
  });

  test('ends a COPY that waits for data', async () => {
    const client = await stage().login('one');
    await client.query('BEGIN; CREATE TEMP TABLE hay (n int) ON COMMIT DROP');
    client.send(m.query('COPY hay FROM STDIN'), m.copyData('1\n'));
    await client.upTo('G');
    await cancel(place(stage()), client.key);
    client.send(m.copyDone);
    await client.ready();
    await client.query('ROLLBACK');
    client.quit();
  });

  test('may come over TLS, and goes to the server over TLS', async () => {
    const client = await RawClient.login(stage().through('one'), {}, { tls: true });
    client.send(m.query('SELECT pg_sleep(28)'));
    await runs('pg_sleep(28)');
    const [row] = await stage().sql(
      "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE query LIKE '%pg_sleep(28)'",
    );
    assert.deepEqual(row, { ssl: true });
    await cancel(place(stage()), client.key, { tls: true });
    assert.deepEqual(m.errorsOf(await client.ready()), [CANCELED]);
    client.quit();
  });

  test('goes to the server over TLS from its first byte on, for its key is worth a session', async () => {
    relay.target = () => stage().postgres;
    const heard = new Map<number, Buffer>();
    relay.heard = (connection, bytes) => {
      heard.set(connection, Buffer.concat([heard.get(connection) ?? Buffer.alloc(0), bytes]));
    };
    const client = await stage().login('far');
    client.send(m.query('SELECT pg_sleep(31)'));
    await runs('pg_sleep(31)');
    await cancel(place(stage()), client.key);
    assert.deepEqual(m.errorsOf(await client.ready()), [CANCELED]);
    client.quit();
    assert.equal(heard.size, 2, 'the session and the cancel request');
    for (const bytes of heard.values()) {
      assert.deepEqual(bytes.subarray(0, 8), m.sslRequest);
      assert.equal(bytes[8], 0x16, 'a TLS handshake');
    }
  });

  test('is seen in SHOW POOLS while it waits to be sent on, and while it has its effect', async () => {
    relay.target = () => stage().postgres;
    const client = await stage().login('far');
    const seen = async (column: string): Promise<boolean> => {
      const pools = await ask(stage().through('pgbouncer'), 'SHOW POOLS');
      return pools.find(({ database }) => database === 'far')?.[column] === 1;
    };
    client.send(m.query('SELECT pg_sleep(32)'));
    await runs('pg_sleep(32)');
    relay.delay = () => 150;
    const landed = cancel(place(stage()), client.key);
    await until(() => seen('cl_waiting_cancel_req'));
    await until(() => seen('cl_active_cancel_req'));
    assert.ok(!(await seen('cl_waiting_cancel_req')));
    await landed;
    relay.delay = () => 0;
    assert.deepEqual(m.errorsOf(await client.ready()), [CANCELED]);
    client.quit();
  });

  test('works with the longer keys of protocol 3.2', async () => {
    const client = await RawClient.open(place(stage()));
    const { user } = stage().through('one');
    client.send(m.startup({ user, database: 'one' }, 0x0003_0002));
    await client.ready();
    assert.equal(client.key.secret.length, 32);
    client.send(m.query('SELECT pg_sleep(27)'));
    await runs('pg_sleep(27)');
    await cancel(place(stage()), { ...client.key, secret: client.key.secret.subarray(0, 4) });
    await cancel(place(stage()), client.key);
    assert.deepEqual(m.errorsOf(await client.ready()), [CANCELED]);
    client.quit();
  });

  test('is one that node-postgres sends', async () => {
    const { host, port, user, password } = stage().through('one');
    const client = new pg.Client({ host, port, user, password, database: 'one' });
    await client.connect();
    const query = client.query('SELECT pg_sleep(26)');
    const ended = assert.rejects(query, { code: CANCELED });
    await runs('pg_sleep(26)');
    const secret = Buffer.alloc(4);
    secret.writeInt32BE(Number(Reflect.get(client, 'secretKey')));
    await cancel(place(stage()), { processId: Number(Reflect.get(client, 'processID')), secret });
    await ended;
    await client.end();
  });

  test('with a wrong key does nothing, and says nothing', async () => {
    const client = await stage().login('one');
    client.send(m.query("SELECT 'undisturbed', pg_sleep(0.4)"));
    await runs('undisturbed');
    const { processId, secret } = client.key;
    const [pid] = await stage().servers();
    await Promise.all([
      cancel(place(stage()), { processId, secret: randomBytes(4) }),
      cancel(place(stage()), { processId: processId ^ 1, secret }),
      cancel(place(stage()), { processId: pid ?? 0, secret }),
      cancel(place(stage()), { processId, secret: Buffer.concat([secret, secret]) }),
      cancel(place(stage()), { processId, secret: randomBytes(250) }),
    ]);
    assert.equal(m.valuesOf(await client.ready())[0], 'undisturbed');
    client.quit();
  });

  test('for a client that runs nothing, or waits, disturbs nobody', async () => {
    const [idle, waiting, busy] = await Promise.all([1, 2, 3].map(() => stage().login('one')));
    assert.ok(idle && waiting && busy);
    await idle.query('SELECT 1');
    busy.send(m.query("SELECT 'busy', pg_sleep(0.4)"));
    await runs('busy');
    waiting.send(m.query("SELECT 'served'"));
    await Promise.all([cancel(place(stage()), idle.key), cancel(place(stage()), waiting.key)]);
    assert.equal(m.valuesOf(await busy.ready())[0], 'busy');
    assert.equal(m.valuesOf(await waiting.ready())[0], 'served');
    for (const client of [idle, waiting, busy]) client.quit();
  });

  test('of a client that has gone reaches nobody', async () => {
    const gone = await stage().login('one');
    await gone.query('SELECT 1');
    gone.quit();
    await gone.untilClosed();
    const client = await stage().login('one');
    client.send(m.query("SELECT 'undisturbed', pg_sleep(0.3)"));
    await runs('undisturbed');
    await cancel(place(stage()), gone.key);
    assert.equal(m.valuesOf(await client.ready())[0], 'undisturbed');
    client.quit();
  });

  test('never hits the next client of the same server, however long it is on its way', async () => {
    relay.target = () => stage().postgres;
    const [hasty, calm] = [await stage().login('far'), await stage().login('far')];
    await hasty.query('SELECT 1');
    // From here on new connections are slow: those of cancel requests.
    relay.delay = () => Math.random() * 5;
    let canceled = 0;
    for (let round = 0; round < 60; round++) {
      const query = hasty.query(`SELECT pg_sleep(${String((round % 8) / 400)})`);
      const landed = cancel(place(stage()), hasty.key);
      const answer = calm.query(`SELECT ${String(round)}, pg_sleep(0.01)`);
      canceled += m.errorsOf(await query).length;
      const replies = await answer;
      assert.deepEqual(m.errorsOf(replies), [], `round ${String(round)}`);
      assert.equal(m.valuesOf(replies)[0], String(round));
      await landed;
    }
    assert.ok(canceled > 0, 'some of them came in time');
    hasty.quit();
    calm.quit();
  });

  test('among many others hits only its own client', async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => stage().login('two')));
    await Promise.all(
      clients.map(async (client, n) => {
        for (let round = 0; round < 15; round++) {
          const query = client.query(`SELECT ${String(n)}, pg_sleep(0.003)`);
          if (n % 2 === 0) await cancel(place(stage()), client.key);
          const replies = await query;
          if (n % 2 === 1) assert.equal(m.valuesOf(replies)[0], String(n), replies.map(m.told).join());
          else assert.ok(m.errorsOf(replies).every((code) => code === CANCELED));
        }
        client.quit();
      }),
    );
    assert.ok((await stage().idleServers()).length <= 5);
  });
});
