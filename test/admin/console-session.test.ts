/** How the console speaks: to drivers of either protocol, to tools that take it for a PostgreSQL, and to whoever means it ill. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import postgres from 'postgres';
import * as m from '../support/messages.ts';
import { connect, query, type Target } from '../support/postgres.ts';
import { type Parameters, RawClient } from '../support/raw-client.ts';
import { useStage } from '../support/stage.ts';
import { until } from '../support/wait.ts';

const stage = useStage({
  settings: `admin_users = ["boss"]
stats_users = ["looker"]
[users.boss]
password = "b"
[users.looker]
password = "l"`,
  databases: { app: 'pool_size = 2' },
});

const looker = (): Target => ({ ...stage().through('pgbouncer'), user: 'looker', password: 'l' });
const raw = (parameters: Parameters = {}): Promise<RawClient> => RawClient.login(looker(), parameters);
const tell = async (replies: Promise<m.Reply[]>): Promise<string[]> => (await replies).map(m.told);

const STATE = ['T key:25|value:25', 'D active|yes', 'D paused|no', 'D suspended|no', 'C SHOW'];

/** Bind of the unnamed portal with one code for the format of all results. */
const bindWith = (format: number, statement = ''): Buffer =>
  m.message('B', (writer) => writer.cstring('').cstring(statement).int16(0).int16(0).int16(1).int16(format));

describe('a simple query on the console', () => {
  test('may hold several commands, and stops at the first error', async () => {
    const client = await raw();
    assert.deepEqual(await tell(client.query('show state; show foo; show state')), [
      ...STATE,
      "E 42601 invalid command 'show foo', use SHOW HELP;",
      'Z I',
    ]);
    assert.deepEqual(await tell(client.query('SHOW STATE;')), [...STATE, 'Z I']);
    client.quit();
  });

  test('may be empty, as the ping of a driver is', async () => {
    const client = await raw();
    for (const ping of ['', ';', '-- ping', ' /* a */ ; ']) {
      assert.deepEqual(await tell(client.query(ping)), ['I', 'Z I'], ping);
    }
    client.quit();
  });

  test('however its bytes are cut, has the same answer', async () => {
    const client = await raw();
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), async (sizes) => {
        await client.sendCut([m.query('SHOW STATE'), m.run('SHOW STATE'), m.sync], sizes);
        const replies = (await client.ready(2)).map(m.told);
        assert.deepEqual(replies, [...STATE, 'Z I', '1', '2', ...STATE.slice(1), 'Z I']);
      }),
      { numRuns: 20 },
    );
    client.quit();
  });

  test('is answered in order when many are sent at once', async () => {
    const client = await raw();
    const names = Array.from({ length: 50 }, (_, index) => `no_${index}`);
    const replies = await client.ask(
      names.map((name) => m.query(`SHOW ${name}`)),
      names.length,
    );
    const errors = replies.filter(({ type }) => type === 'E').map(m.told);
    assert.deepEqual(
      errors,
      names.map((name) => `E 42601 invalid command 'SHOW ${name}', use SHOW HELP;`),
    );
    client.quit();
  });
});

describe('what drivers say to every server', () => {
  test('is answered politely', async () => {
    const client = await raw({ extra_float_digits: '2', application_name: 'driver', options: '-c a=b' });
    const ignored = (tag: string): string[] => ['N 00000 SET ignored', `C ${tag}`, 'Z I'];
    const cases: Readonly<Record<string, readonly string[]>> = {
      'SET extra_float_digits = 3': ignored('SET'),
      "SET client_encoding TO 'UTF8'": ignored('SET'),
      "set application_name to 'x'": ignored('SET'),
      'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY': ignored('SET'),
      "SET TIME ZONE 'UTC'": ignored('SET'),
      BEGIN: ['C BEGIN', 'Z I'],
      COMMIT: ['C COMMIT', 'Z I'],
      ROLLBACK: ['C ROLLBACK', 'Z I'],
      'DISCARD ALL': ['C DISCARD ALL', 'Z I'],
      'SELECT 1': ['T ?column?:23', 'D 1', 'C SELECT 1', 'Z I'],
      'select current_user': ['T current_user:25', 'D looker', 'C SELECT 1', 'Z I'],
      'SHOW client_encoding': ['T client_encoding:25', 'D UTF8', 'C SHOW', 'Z I'],
      'SHOW standard_conforming_strings': ['T standard_conforming_strings:25', 'D on', 'C SHOW', 'Z I'],
      'SHOW TRANSACTION ISOLATION LEVEL': ['T transaction_isolation:25', 'D read committed', 'C SHOW', 'Z I'],
      'SHOW datestyle': ['T datestyle:25', 'D ISO', 'C SHOW', 'Z I'],
    };
    for (const [sql, replies] of Object.entries(cases)) {
      assert.deepEqual(await tell(client.query(sql)), replies, sql);
    }
    assert.match((await tell(client.query('SELECT version()')))[1] ?? '', /^D PgBouncer /);
    client.quit();
  });

  test('on a catalog is refused, and the session goes on', async () => {
    const client = await raw();
    assert.deepEqual(m.errorsOf(await client.query('SELECT oid FROM pg_type')), ['42601']);
    assert.deepEqual(await tell(client.query('SHOW STATE')), [...STATE, 'Z I']);
    client.quit();
  });
});

describe('the exporter for Prometheus', () => {
  /** Its columns by command, as it looks for them by name; SHOW LISTS and CONFIG it reads by position. */
  const needed: Readonly<Record<string, string>> = {
    'SHOW VERSION;': 'version',
    'SHOW LISTS;': 'list items',
    'SHOW CONFIG;': 'key value',
    'SHOW DATABASES;':
      'name host port database force_user pool_size pool_mode max_connections current_connections paused disabled',
    'SHOW STATS;':
      'database total_xact_count total_query_count total_received total_sent total_xact_time total_query_time ' +
      'total_wait_time total_server_assignment_count total_client_parse_count total_server_parse_count total_bind_count',
    'SHOW STATS_TOTALS;': 'database query_count bytes_received wait_time',
    'SHOW POOLS;':
      'database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel ' +
      'sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode',
    'SHOW CLIENTS;': 'database user application_name state',
  };

  test('gets everything that it asks for', async () => {
    const client = await connect(looker());
    for (const [sql, columns] of Object.entries(needed)) {
      const { fields, rows } = await client.query(sql);
      const names = fields.map(({ name }) => name);
      assert.deepEqual(
        columns.split(' ').filter((column) => !names.includes(column)),
        [],
        sql,
      );
      assert.ok(rows.length > 0, sql);
    }
    const { rows } = await client.query<{ key: string }>('SHOW CONFIG');
    const keys = rows.map(({ key }) => key);
    assert.ok(keys.includes('max_client_conn') && keys.includes('max_user_connections'));
    await client.end();
  });
});

describe('the extended protocol on the console', () => {
  test('works for drivers that know no other', async () => {
    const client = await connect(looker());
    const named = { name: 'state', text: 'SHOW STATE' };
    for (let count = 0; count < 3; count++) assert.equal((await client.query(named)).rows.length, 3);
    await client.end();

    const { host, port, user: username, password } = looker();
    const sql = postgres({
      host,
      port,
      username,
      password,
      database: 'pgbouncer',
      max: 1,
      fetch_types: false,
    });
    const [row] = await sql`SHOW STATE`;
    assert.deepEqual({ ...row }, { key: 'active', value: 'yes' });
    const lists = await sql`SHOW LISTS`;
    assert.equal(lists.find((each) => each['list'] === 'databases')?.['items'], 2);
    await sql.end();
  });

  test('describes a statement before it runs', async () => {
    const client = await raw();
    const describes = [m.parse('a', 'SHOW STATE'), m.describeStatement('a'), m.sync];
    assert.deepEqual(await tell(client.ask(describes)), ['1', 't 0000', 'T key:25|value:25', 'Z I']);
    assert.deepEqual(
      await tell(
        client.ask([m.parse('b', 'PAUSE'), m.describeStatement('b'), m.closeStatement('b'), m.sync]),
      ),
      ['1', 't 0000', 'n', '3', 'Z I'],
    );
    client.quit();
  });

  test('sends values in binary where that is asked for', async () => {
    const client = await raw();
    const [, , described, row] = await client.ask([
      m.parse('', 'SELECT 7'),
      bindWith(1),
      m.describePortal(),
      m.execute(),
      m.sync,
    ]);
    assert.equal(described?.body.readInt16BE(described.body.length - 2), 1);
    assert.deepEqual(row?.body, Buffer.from([0, 1, 0, 0, 0, 4, 0, 0, 0, 7]));
    client.quit();
  });

  test('hands out rows in portions', async () => {
    const client = await raw();
    const [, first, second, third] = STATE;
    assert.deepEqual(
      await tell(
        client.ask([m.parse('', 'SHOW STATE'), m.bind(), m.execute('', 2), m.execute('', 2), m.sync]),
      ),
      ['1', '2', first, second, 's', third, 'C SHOW', 'Z I'],
    );
    client.quit();
  });

  test('after an error drops everything up to Sync, and goes on behind it', async () => {
    const client = await raw();
    const cases: readonly (readonly [string, readonly Buffer[], readonly string[]])[] = [
      ['no command', [m.parse('', 'foo')], ["E 42601 invalid command 'foo', use SHOW HELP;"]],
      ['no statement', [m.bind({ statement: 'x' })], ['E 26000 prepared statement "x" does not exist']],
      ['no portal', [m.execute('x')], ['E 34000 portal "x" does not exist']],
      ['no right', [m.run('PAUSE')], ['1', '2', 'E 42501 admin access needed']],
      [
        'parameters',
        [m.parse('', 'SHOW STATE'), m.bind({ values: ['1'] })],
        ['1', 'E 08P01 bind message supplies 1 parameters, but the console knows none'],
      ],
      [
        'two commands',
        [m.parse('', 'SHOW STATE; SHOW STATE')],
        ['E 42601 cannot insert multiple commands into a prepared statement'],
      ],
      [
        'a name twice',
        [m.parse('twice', 'SHOW STATE'), m.parse('twice', 'SHOW STATE')],
        ['1', 'E 42P05 prepared statement "twice" already exists'],
      ],
    ];
    for (const [what, messages, replies] of cases) {
      const dropped = [m.run('SHOW STATE'), m.query('SHOW STATE')];
      const asked = [...messages, ...dropped, m.sync, m.query('SHOW STATE')];
      assert.deepEqual(await tell(client.ask(asked, 2)), [...replies, 'Z I', ...STATE, 'Z I'], what);
    }
    client.quit();
  });

  test('keeps no more than a hundred statements', async () => {
    const client = await raw();
    const parses = Array.from({ length: 101 }, (_, index) => m.parse(`s${index}`, 'SHOW STATE'));
    assert.deepEqual(m.errorsOf(await client.ask([...parses, m.sync])), ['54000']);
    assert.deepEqual(await tell(client.query('SHOW STATE')), [...STATE, 'Z I']);
    client.quit();
  });
});

describe('a console that is used badly', () => {
  test('refuses a command that is too long, whole or in parts, and goes on', async () => {
    const client = await raw();
    const long = m.query(`SHOW ${'x'.repeat(5_000_000)}`);
    const replies = ['E 54000 command is too long', 'Z I', ...STATE, 'Z I'];
    assert.deepEqual(await tell(client.ask([long, m.query('SHOW STATE')], 2)), replies);
    const longParse = m.parse('', 'x'.repeat(100_000));
    assert.deepEqual(await tell(client.ask([longParse, m.run('SHOW STATE'), m.sync])), [
      'E 54000 command is too long',
      'Z I',
    ]);
    client.quit();
  });

  test('refuses messages that it does not know, and goes on', async () => {
    const client = await raw();
    assert.deepEqual(await tell(client.ask([m.copyData('x')])), [
      'E 08P01 unsupported packet type for admin console: 100',
      'Z I',
    ]);
    assert.deepEqual(await tell(client.query('SHOW STATE')), [...STATE, 'Z I']);
    client.quit();
  });

  test('ends over a message that cannot be read', async () => {
    for (const bytes of [
      m.message('Q', (writer) => writer.text('SHOW STATE')),
      m.message('E', (writer) => writer.text('a')),
      m.message('D'),
      Buffer.from([0x51, 0, 0, 0, 3]),
      Buffer.from([0x51, 0xff, 0xff, 0xff, 0xff]),
    ]) {
      const client = await raw();
      client.send(bytes);
      const replies = (await client.untilClosed()).map(m.told);
      assert.equal(replies.length, 1);
      assert.match(replies[0] ?? '', /^E 08P01 /);
    }
  });

  const described = [m.parse('', 'SHOW CONFIG'), bindWith(0), m.describePortal(), m.execute(), m.sync];
  for (const [what, asked] of [
    ['queries', m.query('SHOW CONFIG')],
    ['statements', Buffer.concat(described)],
  ] as const) {
    test(`is not answered ahead of what it reads (${what})`, async () => {
      const client = await raw();
      client.pause();
      const before = await stage().memory();
      // Its answers would be some 200 MB.
      client.send(Buffer.concat(Array.from({ length: 20_000 }, () => asked)));
      const other = await raw();
      for (let count = 0; count < 50; count++) await other.query('SHOW CONFIG');
      assert.ok((await stage().memory()) - before < 50, 'the daemon holds little of it');
      client.keepNothing();
      client.resume();
      const received = client.bytesReceived;
      await until(() => client.bytesReceived > received + 1_000_000, { what: 'answers go on' });
      client.reset();
      other.quit();
      await until(async () => (await query(looker(), 'SHOW POOLS')).at(-1)?.['cl_active'] === 1);
    });
  }

  test('survives whatever is typed, and whatever is sent', async () => {
    // What comes from a user without rights does nothing, so that anything may be said.
    const word = fc.constantFrom(
      'SHOW',
      'SET',
      'PAUSE',
      'KILL',
      'SHUTDOWN',
      'SELECT',
      'pools',
      'app',
      '"',
      "'",
      ';',
      '=',
      '*',
      '--',
      '1',
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc
        .array(fc.oneof(word, fc.string({ maxLength: 8 })), { maxLength: 12 })
        .map((words) => words.join(' ')),
    );
    const body = fc.uint8Array({ maxLength: 60 });
    const sent = fc.oneof(
      text.map((sql) => m.query(sql)),
      text.map((sql) => Buffer.concat([m.run(sql), m.sync])),
      fc
        .tuple(fc.constantFrom(...'QPBDECHSFdcfpz\0'), body)
        .map(([type, bytes]) => m.message(type, (writer) => writer.bytes(bytes))),
    );
    let client = await raw();
    await fc.assert(
      fc.asyncProperty(fc.array(sent, { minLength: 1, maxLength: 5 }), async (messages) => {
        // A malformed message ends a session; the next one is as good as the first.
        if (client.closed) client = await raw();
        client.send(...messages, m.sync, m.query('SHOW STATE'));
        await until(
          () => client.closed || client.replies.some((reply) => m.told(reply) === 'D suspended|no'),
          { interval: 1 },
        );
        client.replies.length = 0;
      }),
      { numRuns: 300 },
    );
    client.quit();
    assert.equal((await query(stage().through('app'), 'SELECT 1 AS one')).length, 1);
  });
});
