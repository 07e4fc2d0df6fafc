/** Whatever comes in from the network: whoever sent it may lose its connection, and nobody else notices anything. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { Authority } from '../support/certificates.ts';
import * as m from '../support/messages.ts';
import { RawClient } from '../support/raw-client.ts';
import { useStage } from '../support/stage.ts';
import { until } from '../support/wait.ts';

const { cert, key } = new Authority().issue();

const stage = useStage({
  databases: { one: 'pool_size = 1', session: 'pool_size = 2\npool_mode = "session"' },
  settings: `
max_client_conn = 3000
client_login_timeout = "3s"
client_tls_sslmode = "allow"
client_tls_cert_file = "cert.pem"
client_tls_key_file = "key.pem"`,
  files: { 'cert.pem': cert, 'key.pem': key },
  schema: 'CREATE TABLE hay (n int)',
});

/** How much memory may grow in all the tests of this file together, in MB. */
const ROOM = 120;
let memoryBefore = 0;
/** A client that minds its own business all the while. */
let bystander: RawClient;

beforeEach(async () => {
  if (memoryBefore > 0) return;
  bystander = await stage().login('one');
  await bystander.query('SELECT 1');
  memoryBefore = await stage().memory();
});

/** Others are served, on the connection that they have and on a new one. */
afterEach(async () => {
  assert.deepEqual(m.valuesOf(await bystander.query("SELECT 'served'")), ['served']);
  const client = await stage().login('one');
  assert.deepEqual(m.valuesOf(await client.query("SELECT 'served'")), ['served']);
  client.quit();
  const memory = await stage().memory();
  assert.ok(memory < memoryBefore + ROOM, `from ${memoryBefore.toFixed()} to ${memory.toFixed()} MB`);
});

const open = (): Promise<RawClient> => RawClient.open(stage().through('one'));
const int32 = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [at, value] of values.entries()) bytes.writeInt32BE(value | 0, 4 * at);
  return bytes;
};
const VERSION = 0x0003_0000;

describe('in place of a startup packet', () => {
  const junk: Readonly<Record<string, Buffer>> = {
    'a length of zero': int32(0, VERSION),
    'a length of four': int32(4),
    'a negative length': int32(-1, VERSION),
    'the smallest negative length': int32(-0x8000_0000, VERSION),
    'a length of two gigabytes': int32(0x7fff_ffff, VERSION),
    'a length just beyond the limit': int32(10_001, VERSION),
    'an HTTP request': Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
    'an SSH greeting': Buffer.from('SSH-2.0-OpenSSH_9.6\r\n'),
    zeros: Buffer.alloc(5000),
    ones: Buffer.alloc(5000, 0xff),
    'protocol version 2': m.startup({ user: 'postgres' }, 0x0002_0000),
    'protocol version 4': m.startup({ user: 'postgres' }, 0x0004_0000),
    'no terminator': withoutEnd(m.startup({ user: 'postgres' }), 1),
    'a name without its end': Buffer.concat([int32(12, VERSION), Buffer.from('user')]),
    'a value without its end': Buffer.concat([int32(17, VERSION), Buffer.from('user\0post')]),
    'more behind the terminator': Buffer.concat([int32(13, VERSION), Buffer.from('\0\0\0\0\0')]),
    'no user': m.startup({ database: 'one' }),
    'a user of 9,000 letters': m.startup({ user: 'x'.repeat(9000) }),
    'a database of 9,000 letters': m.startup({ user: 'postgres', database: 'x'.repeat(9000) }),
    'thousands of parameters': m.startup(
      Object.fromEntries(Array.from({ length: 1200 }, (_, n) => [`p${String(n)}`, ''])),
    ),
    'an SSLRequest with something in it': Buffer.concat([int32(12, 80_877_103), int32(0)]),
    'a cancel request without a key': Buffer.concat([int32(8, 80_877_102)]),
    'a cancel request with a key of 9,000 bytes': Buffer.concat([
      int32(9012, 80_877_102),
      Buffer.alloc(9004),
    ]),
    'an unknown request code': int32(8, 80_877_105),
    'a replication startup': m.startup({ user: 'postgres', replication: 'true' }),
    'a TLS record that is none': Buffer.concat([Buffer.from([0x16, 3, 1, 2, 0]), randomBytes(512)]),
  };
  for (const [what, bytes] of Object.entries(junk)) {
    test(`${what} is answered with an error, or with nothing, and the end`, async () => {
      const client = await open();
      client.send(bytes);
      const replies = await client.untilClosed();
      assert.ok(
        replies.every(({ type }) => type === 'E' || type === 'R' || type === 'v'),
        replies.map(m.told).join(),
      );
    });
  }

  test('bytes behind an SSLRequest are not taken for bytes inside TLS', async () => {
    const client = await open();
    client.send(m.sslRequest, m.startup({ user: 'postgres', database: 'one' }));
    const replies = await client.untilClosed();
    assert.deepEqual(m.errorsOf(replies), ['08P01']);
  });

  test('a cancel request that never was a session is without consequence', async () => {
    const client = await open();
    client.send(m.cancelRequest({ processId: 1, secret: randomBytes(4) }));
    assert.deepEqual(await client.untilClosed(), []);
  });

  test('random bytes are random bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 8, maxLength: 200 }), async (bytes) => {
        const client = await open();
        client.send(Buffer.from(bytes));
        client.end();
        await client.untilClosed();
      }),
      { numRuns: 100 },
    );
  });

  test('a startup packet byte by byte is a startup packet, and so is what follows', async () => {
    const client = await open();
    const { user } = stage().through('one');
    await client.sendCut([m.startup({ user, database: 'one' })], [1]);
    await client.ready();
    await client.sendCut([m.query("SELECT 'slow'"), m.run("SELECT 'and steady'"), m.sync], [1]);
    assert.deepEqual(m.valuesOf(await client.ready(2)), ['slow', 'and steady']);
    client.quit();
  });

  test('behind a startup packet the first messages may follow at once', async () => {
    const client = await open();
    const { user } = stage().through('one');
    client.send(
      m.startup({ user, database: 'one' }),
      m.query("SELECT 'hasty'"),
      m.run("SELECT 'too'"),
      m.sync,
    );
    assert.deepEqual(m.valuesOf(await client.ready(3)), ['hasty', 'too']);
    client.quit();
  });
});

describe('from a client that is logged in', () => {
  /** What PostgreSQL answers to as well, with an error, going on or not; and what is an end. */
  const junk: Readonly<Record<string, Buffer>> = {
    'an unknown type': m.message('~'),
    'a type of the server': m.message('Z', (writer) => writer.uint8(73)),
    'a zero type': m.message('\0'),
    'a password': m.message('p', (writer) => writer.cstring('secret')),
    'a length of zero': Buffer.concat([Buffer.from('Q'), int32(0)]),
    'a length of three': Buffer.concat([Buffer.from('Q'), int32(3), Buffer.from('abc')]),
    'a negative length': Buffer.concat([Buffer.from('Q'), int32(-5), Buffer.from('SELECT 1\0')]),
    'the smallest length': Buffer.concat([Buffer.from('P'), int32(-0x8000_0000)]),
    'the largest length, of a type that is unknown': Buffer.concat([Buffer.from('!'), int32(0x7fff_fffe)]),
    'a Sync with a megabyte in it': m.message('S', (writer) => writer.bytes(Buffer.alloc(1_000_000))),
    'a Terminate with a megabyte in it': m.message('X', (writer) => writer.bytes(Buffer.alloc(1_000_000))),
    'a Close with a megabyte in it': m.message('C', (writer) => writer.bytes(Buffer.alloc(2_000_000))),
    'a startup packet': m.startup({ user: 'postgres' }),
    'an HTTP request': Buffer.from('GET / HTTP/1.1\r\n\r\n'),
  };
  for (const [what, bytes] of Object.entries(junk)) {
    test(`${what} is its end`, async () => {
      for (const beginning of [Buffer.alloc(0), m.query('BEGIN'), m.run('SELECT 1')]) {
        const client = await stage().login('one');
        client.send(beginning, bytes);
        const replies = await client.untilClosed();
        const last = replies.at(-1);
        assert.ok(what.includes('Terminate') || last?.type === 'E', replies.map(m.told).join());
      }
    });
  }

  const mistakes: Readonly<Record<string, Buffer>> = {
    'a Query without its end': m.message('Q', (writer) => writer.text('SELECT 1')),
    'an empty Query': m.message('Q'),
    'a Query with two ends': m.message('Q', (writer) => writer.cstring('SELECT 1').cstring('SELECT 2')),
    'a Query that is no UTF-8': m.message('Q', (writer) => writer.bytes(Buffer.from([0xff, 0xfe, 0]))),
    'a Parse with more types than it has': m.message('P', (writer) =>
      writer.cstring('').cstring('SELECT 1').int16(30_000),
    ),
    'a Parse with a negative number of types': m.message('P', (writer) =>
      writer.cstring('').cstring('SELECT 1').int16(-1),
    ),
    'a Bind with 65,535 formats that are not there': m.message('B', (writer) =>
      writer.cstring('').cstring('').int16(-1),
    ),
    'a Bind with a value of two gigabytes that is not there': m.message('B', (writer) =>
      writer.cstring('').cstring('').int16(0).int16(1).int32(0x7fff_ffff),
    ),
    'a Bind with a value of negative length': m.message('B', (writer) =>
      writer.cstring('').cstring('').int16(0).int16(1).int32(-7).int16(0),
    ),
    'a Describe of nothing known': m.message('D', (writer) => writer.text('X').cstring('')),
    'a Close of nothing known': m.message('C', (writer) => writer.text('?').cstring('')),
    'an Execute without a row count': m.message('E', (writer) => writer.cstring('')),
    'a Sync with something in it': m.message('S', (writer) => writer.int32(1)),
    'a Flush with something in it': m.message('H', (writer) => writer.int32(1)),
    'a FunctionCall without arguments that it says to have': m.message('F', (writer) =>
      writer.int32(871).int16(0).int16(9).int16(0),
    ),
    'CopyData, CopyDone and CopyFail out of the blue': Buffer.concat([
      m.copyData('x'),
      m.copyDone,
      m.copyFail('x'),
    ]),
    'a CopyFail without its end': m.message('f', (writer) => writer.text('x')),
  };
  for (const [what, bytes] of Object.entries(mistakes)) {
    test(`${what} is answered by an error or not at all, and disturbs nobody`, async () => {
      for (const around of [
        [bytes, m.sync],
        [m.run('SELECT 1'), bytes, m.run('SELECT 2'), m.sync],
        [m.query('BEGIN'), bytes, m.sync, m.query('ROLLBACK')],
        [
          m.functionCall(0),
          bytes,
          m.query('SELECT 1'),
          m.bind({ statement: 'never' }),
          m.query('SELECT 2'),
          m.sync,
          m.copyDone,
          m.sync,
          m.copyFail(''),
          m.sync,
          m.describePortal('never'),
        ],
        [bytes],
      ]) {
        const client = await stage().login('one');
        client.send(...around);
        client.end();
        await client.untilClosed();
      }
      // The pool of one has not lost its server.
      assert.deepEqual(m.valuesOf(await bystander.query('SELECT 1')), ['1']);
    });
  }

  test('a message without its end is not waited for by anybody else', async () => {
    const clients = await Promise.all(Array.from({ length: 50 }, () => stage().login('one')));
    for (const [n, client] of clients.entries()) {
      const whole = m.parse('', `SELECT ${'1'.repeat(2000)}`);
      client.send(whole.subarray(0, 1 + n * 20));
    }
    assert.deepEqual(m.valuesOf(await bystander.query('SELECT 1')), ['1']);
    for (const client of clients) client.reset();
  });

  test('what comes behind Terminate is not read', async () => {
    const client = await stage().login('one');
    client.send(
      m.query('SELECT 1'),
      m.terminate,
      m.query('INSERT INTO hay VALUES (1)'),
      randomBytes(100_000),
    );
    await client.untilClosed();
    assert.deepEqual(m.valuesOf(await bystander.query('SELECT count(*) FROM hay')), ['0']);
  });

  test('random messages with random bodies never reach another client', async () => {
    const letters = 'QPBDECSHFdcfXp!';
    const bad = fc.tuple(fc.constantFrom(...letters), fc.uint8Array({ maxLength: 40 }), fc.boolean());
    await fc.assert(
      fc.asyncProperty(fc.array(bad, { minLength: 1, maxLength: 8 }), async (messages) => {
        const client = await stage().login('one');
        client.send(
          ...messages.map(([type, body, synced]) =>
            Buffer.concat([
              m.message(type, (writer) => writer.bytes(body)),
              synced ? m.sync : Buffer.alloc(0),
            ]),
          ),
        );
        client.end();
        await client.untilClosed();
        assert.deepEqual(m.valuesOf(await bystander.query("SELECT 'mine'")), ['mine']);
      }),
      { numRuns: 150 },
    );
  });
});

describe('in place of a password', () => {
  const guarded = useStage({ databases: { one: 'pool_size = 1' }, authType: 'scram-sha-256' });

  /** A client that has been asked for SASL. */
  const asked = async (): Promise<RawClient> => {
    const client = await RawClient.open(guarded().through('one'));
    client.send(m.startup({ user: guarded().postgres.user, database: 'one' }));
    await client.upTo('R');
    return client;
  };
  const initial = (mechanism: string, data: Buffer): Buffer =>
    m.message('p', (writer) => writer.cstring(mechanism).int32(data.length).bytes(data));
  const first = initial('SCRAM-SHA-256', Buffer.from('n,,n=,r=abcdefghijklmnop'));
  const answers: Readonly<Record<string, Buffer[]>> = {
    nothing: [m.message('p')],
    'an unknown mechanism': [initial('PLAIN', Buffer.from('\0me\0secret'))],
    'a mechanism without its end': [m.message('p', (writer) => writer.text('SCRAM-SHA-256'))],
    'a length of minus two': [m.message('p', (writer) => writer.cstring('SCRAM-SHA-256').int32(-2))],
    'a length that is too long': [
      m.message('p', (writer) => writer.cstring('SCRAM-SHA-256').int32(999).text('n,,')),
    ],
    'random bytes': [initial('SCRAM-SHA-256', randomBytes(300))],
    'channel binding that was not offered': [initial('SCRAM-SHA-256', Buffer.from('p=tls-unique,,n=,r=abc'))],
    'a nonce of 60,000 letters and no proof': [
      initial('SCRAM-SHA-256', Buffer.from(`n,,n=,r=${'x'.repeat(60_000)}`)),
      m.message('p'),
    ],
    'a message that is too long': [m.message('p', (writer) => writer.bytes(Buffer.alloc(100_000)))],
    'a proof that is none': [
      first,
      m.message('p', (writer) => writer.text('c=biws,r=abcdefghijklmnop,p=AAAA')),
    ],
    'random bytes for a proof': [first, m.message('p', (writer) => writer.bytes(randomBytes(100)))],
    'the first message twice': [first, first],
    'a query': [m.query('SELECT 1')],
    'a proof and a query at once': [first, m.message('p'), m.query('SELECT 1')],
  };
  for (const [what, messages] of Object.entries(answers)) {
    test(`${what} is refused`, async () => {
      const client = await asked();
      client.send(...messages);
      const replies = await client.untilClosed();
      assert.equal(replies.at(-1)?.type, 'E');
      assert.ok(replies.every(({ type }) => type === 'E' || type === 'R'));
    });
  }

  test('guesses by the hundred are refused while the right password goes through', async () => {
    const { user, password } = guarded().through('one');
    const guesses = Promise.all(
      Array.from({ length: 300 }, (_, n) =>
        assert.rejects(
          RawClient.login({
            ...guarded().through('one'),
            user: n % 2 === 0 ? user : `user ${String(n)}`,
            password: `guess ${String(n % 3)}`,
          }),
          /^Error: E 28P01 /,
        ),
      ),
    );
    for (let round = 0; round < 5; round++) {
      const client = await RawClient.login({ ...guarded().through('one'), password });
      assert.deepEqual(m.valuesOf(await client.query('SELECT 1')), ['1']);
      client.quit();
    }
    await guesses;
    assert.ok((await guarded().memory()) < 300);
  });
});

describe('many at once', () => {
  test('2,000 connections that send nothing keep nobody out, and are closed in time', async () => {
    const idle = await Promise.all(Array.from({ length: 2000 }, open));
    const client = await stage().login('one');
    assert.deepEqual(m.valuesOf(await client.query('SELECT 1')), ['1']);
    client.quit();
    await until(() => idle.every(({ closed }) => closed), { timeout: 15_000, what: 'all are closed' });
  });

  test('500 logins that stop half way keep nobody out', async () => {
    const half = m.startup({ user: 'postgres', database: 'one' }).subarray(0, 20);
    const slow = await Promise.all(
      Array.from({ length: 500 }, async (_, n) => {
        const client = await open();
        client.send(n % 2 === 0 ? half : m.sslRequest);
        return client;
      }),
    );
    const before = performance.now();
    const client = await stage().login('one');
    assert.deepEqual(m.valuesOf(await client.query('SELECT 1')), ['1']);
    assert.ok(performance.now() - before < 3000);
    client.quit();
    for (const each of slow) each.reset();
  });

  test('logins to what does not exist, by the thousand, are refused one by one', async () => {
    for (let round = 0; round < 20; round++) {
      await Promise.all(
        Array.from({ length: 50 }, async (_, n) => {
          const client = await open();
          client.send(m.startup({ user: `nobody ${String(n)}`, database: `nothing ${String(round)}` }));
          const replies = await client.untilClosed();
          assert.equal(m.errorsOf(replies).length, 1);
        }),
      );
    }
  });

  test('connections that come and go at once leave nothing behind', async () => {
    for (let round = 0; round < 20; round++) {
      const clients = await Promise.all(Array.from({ length: 50 }, open));
      for (const [n, client] of clients.entries()) {
        if (n % 3 === 0) client.send(m.startup({ user: stage().postgres.user, database: 'one' }));
        if (n % 2 === 0) client.reset();
        else client.end();
      }
      await Promise.all(clients.filter((_, n) => n % 2 !== 0).map((client) => client.untilClosed()));
    }
    assert.ok((await stage().idleServers()).length <= 4);
  });
});

function withoutEnd(packet: Buffer, count: number): Buffer {
  const cut = Buffer.from(packet.subarray(0, -count));
  cut.writeInt32BE(cut.length);
  return cut;
}
