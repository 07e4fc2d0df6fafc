/** Every way to set something, in the simple and the extended protocol: it follows its client, meets nobody else, and can be taken back. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as m from '../support/messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { useStage } from '../support/stage.ts';

const SIZE = 3;
const stage = useStage({
  settings: 'server_round_robin = true',
  databases: { three: `pool_size = ${String(SIZE)}` },
  schema: `CREATE ROLE groom IN ROLE pg_monitor; CREATE SCHEMA barn;
    CREATE PROCEDURE harness() LANGUAGE plpgsql AS $$ BEGIN
      SET work_mem = '5MB';
      PERFORM set_config('search_path', 'barn', false);
    END $$;
    CREATE PROCEDURE harness_in_parts() LANGUAGE plpgsql AS $$ BEGIN
      SET work_mem = '6MB';
      COMMIT;
      SET work_mem = '7MB';
      ROLLBACK;
      SET LOCAL work_mem = '8MB';
    END $$;
    CREATE PROCEDURE dress_as_groom() LANGUAGE plpgsql AS $$ BEGIN SET ROLE groom; END $$;`,
});

/** One statement, as each protocol runs it. */
const protocols = [
  ['simple', (sql: string): Buffer[] => [m.query(sql)]],
  ['extended', (sql: string): Buffer[] => [m.run(sql), m.sync]],
] as const;

const login = (): Promise<RawClient> => stage().login('three');

/** Runs what must not fail; the values of its rows. */
async function rows(client: RawClient, messages: readonly Buffer[]): Promise<(string | null)[]> {
  const replies = await client.ask(messages);
  assert.deepEqual(m.errorsOf(replies), []);
  return m.valuesOf(replies);
}

/** All that `expression` gives until every server of the pool has been asked. */
async function everywhere(client: RawClient, expression: string): Promise<(string | null)[]> {
  const answers = new Set<string | null>();
  const pids = new Set<string | null>();
  // The first time the pool may have to open them yet.
  for (let tries = 0; pids.size < SIZE && tries < 1000; tries++) {
    const [pid = '', answer = ''] = await rows(client, [
      m.query(`SELECT pg_catalog.pg_backend_pid(), (${expression})`),
    ]);
    pids.add(pid);
    answers.add(answer);
    if (tries >= SIZE && pids.size < SIZE) await crowd();
  }
  assert.equal(pids.size, SIZE, 'every server has answered');
  return [...answers];
}

/** As many clients at once as there may be servers, so that there are. */
async function crowd(): Promise<void> {
  const all = await Promise.all(Array.from({ length: SIZE }, login));
  await Promise.all(all.map((client) => client.query('BEGIN')));
  await Promise.all(all.map((client) => client.query('COMMIT')));
  for (const client of all) client.quit();
}

interface Way {
  readonly name: string;
  readonly sets: readonly string[];
  /** What tells it. */
  readonly seen: string;
  readonly as: string;
  readonly usually: string;
  /** Takes it back. */
  readonly resets: string;
}

const WORK_MEM = { seen: `current_setting('work_mem')`, usually: '4MB', resets: 'RESET work_mem' };

const WAYS: readonly Way[] = [
  { name: 'SET SESSION', sets: [`SET SESSION work_mem = '5MB'`], ...WORK_MEM, as: '5MB' },
  {
    name: 'UPDATE pg_settings',
    sets: [`UPDATE pg_settings SET setting = '5120' WHERE name = 'work_mem'`],
    ...WORK_MEM,
    as: '5MB',
  },
  {
    name: 'set_config in a condition',
    sets: [`SELECT 1 WHERE set_config('work_mem', '5MB', false) IS NULL`],
    ...WORK_MEM,
    as: '5MB',
  },
  {
    name: 'set_config in COPY',
    sets: [`COPY (SELECT set_config('work_mem', '5MB', false)) TO STDOUT`],
    ...WORK_MEM,
    as: '5MB',
  },
  {
    name: 'set_config in EXPLAIN ANALYZE',
    sets: [`EXPLAIN ANALYZE SELECT set_config('work_mem', '5MB', false)`],
    ...WORK_MEM,
    as: '5MB',
  },
  {
    name: 'set_config in what EXECUTE runs',
    sets: [`PREPARE p AS SELECT set_config('work_mem', '5MB', false)`, 'EXECUTE p', 'DEALLOCATE p'],
    ...WORK_MEM,
    as: '5MB',
  },
  {
    name: 'CALL of a procedure',
    sets: ['CALL harness()'],
    seen: `current_setting('work_mem') || current_setting('search_path')`,
    as: '5MBbarn',
    usually: '4MB"$user", public',
    resets: 'RESET ALL',
  },
  {
    name: 'CALL of a procedure with transactions of its own',
    sets: ['CALL harness_in_parts()'],
    ...WORK_MEM,
    as: '6MB',
  },
  {
    name: 'CALL of a procedure that takes a role',
    sets: ['CALL dress_as_groom()'],
    seen: 'current_user::text',
    as: 'groom',
    usually: 'postgres',
    resets: 'RESET ROLE',
  },
  {
    name: 'SET SESSION AUTHORIZATION',
    sets: ['SET SESSION AUTHORIZATION groom'],
    seen: `session_user || ' ' || current_user`,
    as: 'groom groom',
    usually: 'postgres postgres',
    resets: 'RESET SESSION AUTHORIZATION',
  },
  {
    name: 'SET SESSION AUTHORIZATION, and a role on top of it',
    sets: ['SET SESSION AUTHORIZATION groom', 'SET ROLE pg_monitor'],
    seen: `session_user || ' ' || current_user`,
    as: 'groom pg_monitor',
    usually: 'postgres postgres',
    resets: 'SET SESSION AUTHORIZATION DEFAULT',
  },
  {
    name: 'SET SESSION CHARACTERISTICS',
    sets: ['SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE'],
    seen: `SELECT string_agg(current_setting(p || n), ' ' ORDER BY n DESC, p)
      FROM (VALUES ('default_'), ('')) AS p(p), (VALUES ('transaction_isolation'), ('transaction_read_only'), ('transaction_deferrable')) AS n(n)`,
    as: 'on on serializable serializable on on',
    usually: 'off off read committed read committed off off',
    resets: 'RESET ALL',
  },
  {
    name: 'SET LOCAL',
    sets: ['BEGIN', `SET LOCAL work_mem = '5MB'`, 'COMMIT'],
    ...WORK_MEM,
    as: '4MB',
  },
  {
    name: 'SET, and not by a SET LOCAL behind it',
    sets: [`SET work_mem = '6MB'`, 'BEGIN', `SET LOCAL work_mem = '5MB'`, 'COMMIT'],
    ...WORK_MEM,
    as: '6MB',
  },
  {
    name: 'SET, and not by a SET LOCAL outside of a transaction',
    sets: [`SET work_mem = '6MB'`, `SET LOCAL work_mem = '5MB'`],
    ...WORK_MEM,
    as: '6MB',
  },
  {
    name: 'SET, and not by a SET LOCAL in front of it',
    sets: ['BEGIN', `SET LOCAL work_mem = '5MB'`, `SET work_mem = '6MB'`, 'COMMIT'],
    ...WORK_MEM,
    as: '6MB',
  },
];

for (const [protocol, one] of protocols) {
  describe(`in the ${protocol} protocol`, () => {
    for (const { name, sets, seen, as, usually, resets } of WAYS) {
      test(`what is set by ${name} follows its client and meets nobody else`, async () => {
        const [client, other] = await Promise.all([login(), login()]);
        for (const sql of sets) await rows(client, one(sql));
        assert.deepEqual(await everywhere(client, seen), [as]);
        assert.deepEqual(await everywhere(other, seen), [usually]);
        assert.deepEqual(await everywhere(client, seen), [as]);
        await rows(client, one(resets));
        assert.deepEqual(await everywhere(client, seen), [usually]);
        client.quit();
        other.quit();
      });
    }

    test('SET LOCAL holds to the end of its transaction', async () => {
      const client = await login();
      await rows(client, one('BEGIN'));
      await rows(client, one(`SET LOCAL work_mem = '5MB'`));
      assert.deepEqual(await rows(client, one('SHOW work_mem')), ['5MB']);
      await rows(client, one('SAVEPOINT a'));
      await rows(client, one(`SET LOCAL work_mem = '6MB'`));
      await rows(client, one('ROLLBACK TO a'));
      assert.deepEqual(await rows(client, one('SHOW work_mem')), ['5MB']);
      await rows(client, one('ROLLBACK'));
      assert.deepEqual(await everywhere(client, WORK_MEM.seen), ['4MB']);
      client.quit();
    });

    test('who the session runs as is reported to its client', async () => {
      const client = await login();
      const told = (): (string | undefined)[] =>
        ['session_authorization', 'is_superuser'].map((name) => client.parameters.get(name));
      await rows(client, one('SET SESSION AUTHORIZATION groom'));
      for (let n = 0; n < SIZE; n++) {
        assert.deepEqual(told(), ['groom', 'off']);
        await crowd();
        assert.deepEqual(await rows(client, one('SELECT session_user')), ['groom']);
      }
      await rows(client, one('RESET SESSION AUTHORIZATION'));
      for (let n = 0; n < SIZE; n++) {
        assert.deepEqual(told(), ['postgres', 'on']);
        await crowd();
        assert.deepEqual(await rows(client, one('SELECT session_user')), ['postgres']);
      }
      client.quit();
    });
  });
}

test('SET LOCAL holds to the end of a Query of several statements', async () => {
  const client = await login();
  const sql = `SET LOCAL work_mem = '5MB'; SHOW work_mem`;
  assert.deepEqual(await rows(client, [m.query(sql)]), ['5MB']);
  assert.deepEqual(await everywhere(client, WORK_MEM.seen), ['4MB']);
  client.quit();
});

test('what is set by set_config in a FunctionCall follows its client and meets nobody else', async () => {
  const [client, other] = await Promise.all([login(), login()]);
  const [oid] = await rows(client, [m.query(`SELECT 'set_config(text, text, bool)'::regprocedure::oid`)]);
  const setConfig = (name: string, value: string, isLocal: 't' | 'f'): Buffer[] => [
    m.functionCall(Number(oid), [name, value, isLocal]),
  ];
  await rows(client, setConfig('work_mem', '5MB', 'f'));
  await rows(client, setConfig('TimeZone', 'Asia/Tokyo', 'f'));
  assert.equal(client.parameters.get('TimeZone'), 'Asia/Tokyo');
  await rows(client, [m.query('BEGIN')]);
  await rows(client, setConfig('work_mem', '6MB', 't'));
  await rows(client, [m.query('COMMIT')]);
  const seen = `current_setting('work_mem') || current_setting('TimeZone')`;
  assert.deepEqual(await everywhere(client, seen), ['5MBAsia/Tokyo']);
  assert.deepEqual(await everywhere(other, seen), ['4MBUTC']);
  client.quit();
  other.quit();
});
