/** What a client sets, or brings at login, is there on every server that it meets, and on none that others meet. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import * as m from '../support/messages.ts';
import type { Parameters, RawClient } from '../support/raw-client.ts';
import { useStage } from '../support/stage.ts';

const stage = useStage({
  databases: {
    two: 'pool_size = 2',
    one: 'pool_size = 1',
    session: 'pool_size = 1\npool_mode = "session"',
    lazy: 'pool_size = 1',
  },
  schema: `CREATE SCHEMA barn; CREATE TABLE barn.hay (n int); CREATE ROLE rider LOGIN PASSWORD 'giddyup';
    CREATE SCHEMA evil; CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS 'SELECT (1/0)::text';
    CREATE FUNCTION evil.count(anyelement) RETURNS bigint LANGUAGE sql AS 'SELECT 1/0';`,
});

/** By parameter, texts that a client may set and the server's own text for each. */
const texts: Readonly<Record<string, readonly (readonly [set: string, is: string])[]>> = {
  client_encoding: [
    ['UTF8', 'UTF8'],
    ['latin1', 'LATIN1'],
    ['win1252', 'WIN1252'],
  ],
  DateStyle: [
    ['ISO, MDY', 'ISO, MDY'],
    ['sql, dmy', 'SQL, DMY'],
    ['German, DMY', 'German, DMY'],
  ],
  TimeZone: [
    ['UTC', 'UTC'],
    ['europe/berlin', 'Europe/Berlin'],
    ['Asia/Tokyo', 'Asia/Tokyo'],
  ],
  standard_conforming_strings: [
    ['on', 'on'],
    ['off', 'off'],
  ],
  application_name: [
    ['', ''],
    ["it's me", "it's me"],
    ['back\\slash "quoted"', 'back\\slash "quoted"'],
  ],
  IntervalStyle: [
    ['postgres', 'postgres'],
    ['iso_8601', 'iso_8601'],
  ],
};
const names = Object.keys(texts);
const truth = `SELECT ${names.map((name) => `current_setting('${name}')`).join(', ')}`;

/** What the server says is set, and what it has reported by then, which must be the same. */
async function look(client: RawClient): Promise<Record<string, string | null>> {
  const values = m.valuesOf(await client.query(truth));
  const found = Object.fromEntries(names.map((name, n) => [name, values[n] ?? null]));
  const told = Object.fromEntries(names.map((name) => [name, client.parameters.get(name) ?? null]));
  assert.deepEqual(told, found, 'what was reported is what is true');
  return found;
}

const literal = (text: string): string =>
  text.includes('\\')
    ? `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
    : `'${text.replaceAll("'", "''")}'`;

/** Brought at login: name, text, and the server's text for it. */
const brought = fc
  .tuple(...names.map((name) => fc.option(fc.constantFrom(...(texts[name] ?? [])), { nil: undefined })))
  .map((picked) =>
    names.flatMap((name, n) => (picked[n] === undefined ? [] : [[name, ...picked[n]] as const])),
  );

type Act =
  | { readonly kind: 'set'; readonly name: string; readonly text: string; readonly is: string }
  | { readonly kind: 'begin' | 'commit' | 'rollback' | 'fail' | 'look' };
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(...names)
      .chain((name) =>
        fc
          .constantFrom(...(texts[name] ?? []))
          .map(([text, is]) => ({ kind: 'set' as const, name, text, is })),
      ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom('begin', 'commit', 'rollback', 'fail', 'look').map((kind) => ({ kind })),
  },
);

/** What a connection of its own would have set: a map, the one that a transaction started with, and whether it has failed. */
class Model {
  now: Record<string, string | null>;
  #before: Record<string, string | null> | undefined;
  #failed = false;

  constructor(now: Record<string, string | null>) {
    this.now = now;
  }

  async act(client: RawClient, step: Act): Promise<void> {
    switch (step.kind) {
      case 'set':
        await client.query(`SET ${step.name} = ${literal(step.text)}`);
        if (!this.#failed) this.now = { ...this.now, [step.name]: step.is };
        break;
      case 'begin':
        await client.query('BEGIN');
        this.#before ??= this.now;
        break;
      case 'commit':
        await client.query('COMMIT');
        if (this.#failed) this.now = this.#before ?? this.now;
        this.#end();
        break;
      case 'rollback':
        await client.query('ROLLBACK');
        this.now = this.#before ?? this.now;
        this.#end();
        break;
      case 'fail':
        await client.query('SELECT 1/0');
        if (this.#before !== undefined) this.#failed = true;
        break;
      case 'look':
        if (!this.#failed) assert.deepEqual(await look(client), this.now);
        break;
    }
  }

  #end(): void {
    this.#before = undefined;
    this.#failed = false;
  }
}

describe('reported parameters', () => {
  test('follow their clients from server to server, whatever the others set', async () => {
    const script = fc.record({ brought, acts: fc.array(act, { minLength: 1, maxLength: 10 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(script, { minLength: 3, maxLength: 4 }), async (scripts) => {
        await Promise.all(
          scripts.map(async ({ brought: own, acts }) => {
            const client = await stage().login(
              'two',
              Object.fromEntries(own.map(([name, text]) => [name, text])),
            );
            try {
              const atLogin = Object.fromEntries(
                names.map((name) => [name, client.parameters.get(name) ?? null]),
              );
              for (const [name, , is] of own) assert.equal(atLogin[name], is, `${name} in the greeting`);
              const model = new Model(atLogin);
              for (const step of [...acts, { kind: 'rollback' }, { kind: 'look' }] as const) {
                await model.act(client, step);
              }
            } finally {
              client.quit();
            }
          }),
        );
      }),
      { numRuns: 40 },
    );
  });

  test('are reported when another server has other ones, and only then', async () => {
    const [one, other] = [await stage().login('one'), await stage().login('one')];
    await one.query("SET application_name = 'one'");
    await other.query("SET application_name = 'other'");
    for (let round = 0; round < 3; round++) {
      for (const [client, name] of [
        [one, 'one'],
        [other, 'other'],
      ] as const) {
        let reports = 0;
        client.onReply = (type) => {
          if (type === 'S') reports++;
        };
        assert.deepEqual(m.valuesOf(await client.query('SHOW application_name')), [name]);
        assert.equal(reports, 0);
      }
    }
    one.quit();
    other.quit();
  });

  test('of a transaction that its client has left unfinished are gone with it', async () => {
    const [one, other] = [await stage().login('one'), await stage().login('one')];
    await one.query("BEGIN; SET TimeZone = 'Asia/Tokyo'; SET application_name = 'one'");
    one.reset();
    const { TimeZone, application_name: name } = await look(other);
    assert.deepEqual([TimeZone, name], ['UTC', '']);
    other.quit();
  });
});

describe('what a client brings at login', () => {
  test('may be any setting, as a parameter or in options, and is there in every transaction', async () => {
    const withOptions = (parameters: Parameters): Promise<RawClient> => stage().login('one', parameters);
    const one = await withOptions({ search_path: 'barn', 'app.rider': 'anna', statement_timeout: '7s' });
    const other = await withOptions({
      options: '-c search_path=public -capp.rider=bert\\ and\\ co --statement-timeout=9000 --work_mem=5MB',
    });
    const none = await withOptions({});
    const sql = `SELECT current_setting('search_path'), nullif(current_setting('app.rider', true), ''),
      current_setting('statement_timeout'), current_setting('work_mem')`;
    for (let round = 0; round < 3; round++) {
      assert.deepEqual(m.valuesOf(await one.query(sql)), ['barn', 'anna', '7s', '4MB']);
      assert.deepEqual(m.valuesOf(await other.query(sql)), ['public', 'bert and co', '9s', '5MB']);
      assert.deepEqual(m.valuesOf(await none.query(sql)), ['"$user", public', null, '0', '4MB']);
      assert.deepEqual(m.errorsOf(await one.query('SELECT * FROM hay')), []);
      assert.deepEqual(m.errorsOf(await none.query('SELECT * FROM hay')), ['42P01']);
    }
    for (const client of [one, other, none]) client.quit();
  });

  test('is made of it what a connection of its own makes of it, whatever is set on the server', async () => {
    const setter = await stage().login('one');
    await setter.query("SET DateStyle = 'SQL, DMY'");
    const parameters = {
      DateStyle: 'iso',
      TimeZone: 'utc',
      client_encoding: "'utf-8'",
      options: '-c intervalstyle=sql_standard',
    };
    const [direct, client] = [await stage().direct(parameters), await stage().login('one', parameters)];
    for (const name of ['DateStyle', 'TimeZone', 'client_encoding', 'IntervalStyle']) {
      assert.equal(client.parameters.get(name), direct.parameters.get(name), name);
    }
    assert.deepEqual(
      m.valuesOf(await client.query(truth)).slice(0, 4),
      m.valuesOf(await direct.query(truth)).slice(0, 4),
    );
    for (const each of [setter, direct, client]) each.quit();
  });

  test('counts in the order that PostgreSQL has: its own parameter, then the last one in options', async () => {
    const parameters = { TimeZone: 'Asia/Tokyo', options: '-c timezone=UTC -c work_mem=5MB -c work_mem=6MB' };
    const [direct, client] = [await stage().direct(parameters), await stage().login('one', parameters)];
    const sql = "SELECT current_setting('TimeZone'), current_setting('work_mem')";
    assert.deepEqual(m.valuesOf(await client.query(sql)), m.valuesOf(await direct.query(sql)));
    direct.quit();
    client.quit();
  });

  test('is told of a role, and of a session authorization that it stays what it is', async () => {
    const parameters = { options: '-c role=rider -c session_authorization=rider' };
    const [direct, client] = [await stage().direct(parameters), await stage().login('one', parameters)];
    const sql = 'SELECT current_user, session_user';
    for (let round = 0; round < 2; round++) {
      for (const name of ['is_superuser', 'session_authorization'])
        assert.equal(client.parameters.get(name), direct.parameters.get(name), name);
      assert.deepEqual(m.valuesOf(await client.query(sql)), m.valuesOf(await direct.query(sql)));
    }
    for (const each of [direct, client]) each.quit();
  });

  const refused: Readonly<Record<string, Parameters>> = {
    'an unknown setting': { no_such_setting: '1' },
    'an unknown setting in options': { options: '-c no_such_setting=1' },
    'a text that is no value': { DateStyle: 'yesterday' },
    'a time zone that is none': { TimeZone: 'Barn/Door' },
    'a number out of range': { options: '-c work_mem=1' },
    'an encoding that is none': { client_encoding: 'straw' },
    'a setting that only the server may change': { shared_buffers: '1GB' },
    'a setting that nobody may change': { server_version: '1' },
    'a custom setting with a name that is none': { 'app.': '1' },
    'a custom setting with a strange name': { options: '-c a..b=1' },
  };
  for (const [what, parameters] of Object.entries(refused)) {
    test(`is refused in the server's own words: ${what}`, async () => {
      const answerOf = async (open: () => Promise<RawClient>): Promise<string> => {
        try {
          (await open()).quit();
          return 'let in';
        } catch (error) {
          return error instanceof Error ? error.message : String(error);
        }
      };
      const expected = await answerOf(() => stage().direct(parameters));
      assert.equal(await answerOf(() => stage().login('one', parameters)), expected);
      const client = await stage().login('one');
      assert.deepEqual(m.valuesOf(await client.query('SELECT 1')), ['1']);
      client.quit();
    });
  }

  test('comes back with RESET, RESET ALL and DISCARD ALL', async () => {
    const sql =
      "SELECT current_setting('application_name'), current_setting('work_mem'), current_setting('TimeZone')";
    const [client, other] = [
      await stage().login('one', { application_name: 'mine', work_mem: '5MB' }),
      await stage().login('one', { application_name: 'other' }),
    ];
    for (const reset of [
      'RESET application_name; RESET TimeZone; RESET work_mem',
      'RESET ALL',
      'DISCARD ALL',
    ]) {
      await client.query(
        "SET application_name = 'changed'; SET TimeZone = 'Asia/Tokyo'; SET work_mem = '7MB'",
      );
      for (const command of reset.split('; ')) await client.query(command);
      assert.deepEqual(m.valuesOf(await client.query(sql)), ['mine', '5MB', 'UTC'], reset);
      assert.equal(client.parameters.get('application_name'), 'mine', reset);
      assert.deepEqual(m.valuesOf(await other.query(sql)), ['other', '4MB', 'UTC'], reset);
    }
    client.quit();
    other.quit();
  });

  test('is there in session mode too', async () => {
    for (const rider of ['anna', 'bert']) {
      const client = await stage().login('session', { 'app.rider': rider, search_path: 'barn' });
      assert.deepEqual(
        m.valuesOf(await client.query("SELECT current_setting('app.rider'), current_setting('search_path')")),
        [rider, 'barn'],
      );
      client.quit();
    }
    const client = await stage().login('session');
    assert.deepEqual(m.valuesOf(await client.query('SHOW search_path')), ['"$user", public']);
    client.quit();
  });

  test('comes back with RESET, RESET ALL and DISCARD ALL in session mode', async () => {
    const client = await stage().login('session', { search_path: 'barn', TimeZone: 'Asia/Tokyo' });
    for (const reset of ['RESET search_path', 'RESET ALL', 'DISCARD ALL', 'BEGIN; RESET ALL']) {
      await client.query(`SET search_path = public; SET work_mem = '7MB'`);
      await client.query(reset);
      assert.deepEqual(m.valuesOf(await client.query('SHOW search_path')), ['barn'], reset);
      assert.deepEqual(m.valuesOf(await client.query('SHOW TimeZone')), ['Asia/Tokyo'], reset);
      assert.equal(client.parameters.get('TimeZone'), 'Asia/Tokyo', reset);
    }
    assert.deepEqual(m.valuesOf(await client.query('SHOW work_mem')), ['4MB']);
    client.quit();
  });
});

describe('what a client has set is put on a server in front of its first bytes, and', () => {
  const first: Readonly<Record<string, string>> = {
    'VACUUM works there': 'VACUUM barn.hay',
    'CREATE DATABASE works there': 'CREATE DATABASE stall TEMPLATE template0',
    'DROP DATABASE works there': 'DROP DATABASE IF EXISTS stall',
    'BEGIN ISOLATION LEVEL SERIALIZABLE does what it says':
      'BEGIN ISOLATION LEVEL SERIALIZABLE; SHOW transaction_isolation; COMMIT',
    'SET TRANSACTION is in time':
      'BEGIN; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE; SELECT 1; COMMIT',
    'COMMIT has no transaction to end': 'COMMIT',
    'an error is nothing new': 'SELECT 1/0',
    'LISTEN is let through': 'LISTEN barn; UNLISTEN *',
  };
  for (const [name, sql] of Object.entries(first)) {
    for (const extended of [false, true]) {
      if (extended && sql.includes(';')) continue;
      test(`${name}${extended ? ', in a batch' : ''}`, async () => {
        const script = async (client: RawClient): Promise<string[]> => {
          await stage().sql('DROP DATABASE IF EXISTS stall');
          const replies = await (extended ? client.ask([m.run(sql), m.sync]) : client.query(sql));
          return replies.map(m.told);
        };
        const direct = await stage().direct();
        const expected = await script(direct);
        direct.quit();
        const [client, other] = [
          await stage().login('one', { 'app.rider': 'anna' }),
          await stage().login('one'),
        ];
        await client.query("SET TimeZone = 'Asia/Tokyo'");
        // Another client's server it is now.
        await other.query("SET TimeZone = 'Europe/Berlin'");
        assert.deepEqual(await script(client), expected);
        assert.deepEqual(m.valuesOf(await client.query('SHOW TimeZone')), ['Asia/Tokyo']);
        client.quit();
        other.quit();
      });
    }
  }

  test('neither a search_path full of traps nor defaults for transactions get in its way', async () => {
    const traps = {
      options:
        '-c search_path=evil,pg_catalog -c default_transaction_isolation=serializable -c default_transaction_read_only=on -c default_transaction_deferrable=on -c statement_timeout=300',
    };
    const [client, other] = [await stage().login('one', traps), await stage().login('one')];
    for (let round = 0; round < 3; round++) {
      await other.query("SELECT 'in between'");
      assert.deepEqual(m.errorsOf(await client.query('SELECT 1')), []);
      assert.deepEqual(m.errorsOf(await client.query('CREATE TABLE barn.x ()')), ['25006']);
    }
    client.quit();
    other.quit();
  });

  test('if it cannot be put there, nothing of the client runs', async () => {
    for (const send of [
      (): Buffer[] => [m.query('INSERT INTO barn.hay VALUES (1)')],
      (): Buffer[] => [m.run('INSERT INTO barn.hay VALUES (1)'), m.sync],
      (): Buffer[] => [
        m.run('INSERT INTO barn.hay VALUES (1)'),
        m.sync,
        m.query('ROLLBACK'),
        m.query('INSERT INTO barn.hay VALUES (2)'),
      ],
      (): Buffer[] => [m.query('ROLLBACK'), m.query('INSERT INTO barn.hay VALUES (3)')],
    ]) {
      await stage().sql(`CREATE TEXT SEARCH CONFIGURATION barn.words (COPY = simple)`);
      const client = await stage().login('one', { default_text_search_config: 'barn.words' });
      const other = await stage().login('one');
      await client.query('SELECT 1');
      await other.query('SELECT 1');
      await stage().sql('DROP TEXT SEARCH CONFIGURATION barn.words');
      client.send(...send());
      const replies = await client.untilClosed();
      assert.deepEqual(
        replies.map(({ type }) => type),
        ['E'],
      );
      const [line = ''] = replies.map(m.told);
      assert.match(line, /^E 22023 .*default_text_search_config/);
      assert.deepEqual(m.valuesOf(await other.query('SELECT count(*) FROM barn.hay')), ['0']);
      other.quit();
    }
  });
});

test('clients that bring thousands of different values leave memory flat', async () => {
  const before = await stage().memory();
  for (let round = 0; round < 100; round++) {
    await Promise.all(
      Array.from({ length: 10 }, async (_, n) => {
        const client = await stage().login('two', {
          'app.rider': `${String(round)}-${String(n)}`,
          work_mem: `${String(64 + round * 10 + n)}kB`,
        });
        await client.query('SELECT 1');
        client.quit();
      }),
    );
  }
  assert.ok((await stage().memory()) < before + 60);
});
