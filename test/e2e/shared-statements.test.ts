/** One text prepared by several clients, whose settings and schema may differ: each gets what it would get on a connection of its own. */
import assert from 'node:assert/strict';
import { after as atEnd, describe, test } from 'node:test';
import { occupy, type Occupied, sameAsDirect, tell } from '../support/as-direct.ts';
import * as m from '../support/messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { startSlowRelay } from '../support/slow-relay.ts';
import { useStage } from '../support/stage.ts';
import { until } from '../support/wait.ts';

const relay = await startSlowRelay();
atEnd(() => relay.close());

const stage = useStage({
  databases: {
    one: 'pool_size = 1',
    two: 'pool_size = 2',
    far: `pool_size = 1\nport = ${String(relay.port)}`,
  },
});

/** Of a pool with two servers one, which another client has for a while: whoever comes now meets the other. */
const occupyOneOf = (database: string): Promise<Occupied> | undefined =>
  database === 'two' ? occupy(stage(), database) : undefined;

describe('a statement that several clients have', () => {
  const EPOCH = "SELECT extract(epoch FROM '2020-01-01 00:00'::timestamptz)::int";
  const UTC = String(Date.UTC(2020, 0, 1) / 1000);
  const TOKYO = String(Date.UTC(2020, 0, 1) / 1000 - 9 * 3600);

  test('means what it says under the settings of each', async () => {
    for (const database of ['one', 'two']) {
      const utc = await stage().login(database, { TimeZone: 'UTC' });
      const tokyo = await stage().login(database, { TimeZone: 'Asia/Tokyo' });
      for (const client of [utc, tokyo]) await client.ask([m.parse('epoch', EPOCH), m.sync]);
      for (let round = 0; round < 4; round++) {
        const held = await occupyOneOf(database);
        assert.deepEqual(m.valuesOf(await utc.ask([m.runNamed('epoch'), m.sync])), [UTC]);
        assert.deepEqual(m.valuesOf(await tokyo.ask([m.runNamed('epoch'), m.sync])), [TOKYO]);
        await held?.letGo();
      }
      utc.quit();
      tokyo.quit();
    }
  });

  test('is not parsed again under the settings of one for all the others', async () => {
    const epoch = `${EPOCH} FROM analyzed`;
    await stage().sql('CREATE TABLE analyzed AS SELECT 1');
    const changing = await stage().login('one', { TimeZone: 'UTC' });
    const other = await stage().login('one', { TimeZone: 'UTC' });
    for (const client of [changing, other]) await client.ask([m.parse('epoch', epoch), m.sync]);
    await changing.query("SET TimeZone = 'Asia/Tokyo'");
    // It makes PostgreSQL parse again what reads this table.
    await stage().sql('ANALYZE analyzed');
    await changing.ask([m.runNamed('epoch'), m.sync]);
    assert.deepEqual(m.valuesOf(await other.ask([m.runNamed('epoch'), m.sync])), [UTC]);
    await changing.query("SET TimeZone = 'UTC'");
    assert.deepEqual(m.valuesOf(await changing.ask([m.runNamed('epoch'), m.sync])), [UTC]);
    changing.quit();
    other.quit();
  });

  test('reads the tables that the search_path of each has first', async () => {
    await stage().sql(`CREATE SCHEMA "left"; CREATE TABLE "left".things AS SELECT 1 AS n;
      CREATE SCHEMA "right"; CREATE TABLE "right".things AS SELECT 'a' AS t, 'b' AS u;`);
    for (const database of ['one', 'two']) {
      const left = await stage().login(database, { search_path: '"left"' });
      const right = await stage().login(database, { search_path: '"right"' });
      for (let round = 0; round < 3; round++) {
        const name = `things${String(round)}`;
        const act = [
          m.parse(name, 'SELECT * FROM things'),
          m.describeStatement(name),
          m.runNamed(name),
          m.sync,
        ];
        const held = await occupyOneOf(database);
        const ofLeft = ['1', 't 0000', 'T n:23', '2', 'D 1', 'C SELECT 1', 'Z I'];
        const ofRight = ['1', 't 0000', 'T t:25|u:25', '2', 'D a|b', 'C SELECT 1', 'Z I'];
        assert.deepEqual(await tell(left.ask(act)), ofLeft);
        assert.deepEqual(await tell(right.ask(act)), ofRight);
        await held?.letGo();
        assert.deepEqual(m.valuesOf(await left.ask([m.runNamed('things0'), m.sync])), ['1']);
        assert.deepEqual(m.valuesOf(await right.ask([m.runNamed('things0'), m.sync])), ['a', 'b']);
      }
      left.quit();
      right.quit();
    }
  });

  test('follows its client to another search_path', async () => {
    await stage().sql('CREATE SCHEMA here; CREATE TABLE here.place AS SELECT 1 AS n');
    await stage().sql('CREATE SCHEMA there; CREATE TABLE there.place AS SELECT 2 AS n');
    await sameAsDirect(stage(), 'one', async (client) => [
      ...(await tell(client.query('SET search_path = here'))),
      ...(await tell(client.ask([m.parse('where', 'SELECT n FROM place'), m.runNamed('where'), m.sync]))),
      ...(await tell(client.query('SET search_path = there'))),
      ...(await tell(client.ask([m.runNamed('where'), m.describeStatement('where'), m.sync]))),
      ...(await tell(client.query('RESET search_path'))),
      ...(await tell(client.ask([m.runNamed('where'), m.sync]))),
    ]);
  });

  test('is told and returned as the cursor of each, or what SQL has prepared for each, returns', async () => {
    const texts = { a: 'SELECT 1 AS a', b: "SELECT 'x' AS b" };
    const columns = { a: ['T a:23', 'D 1'], b: ['T b:25', 'D x'] };
    for (const database of ['one', 'two']) {
      const clients = { a: await stage().login(database), b: await stage().login(database) };
      for (const fetch of ['FETCH FIRST FROM it', '/* of\n each */ -- one\n execute it']) {
        for (const who of ['a', 'b', 'a'] as const) {
          const client = clients[who];
          const held = await occupyOneOf(database);
          await client.query(`BEGIN; DECLARE it CURSOR FOR ${texts[who]}; PREPARE it AS ${texts[who]}`);
          const lines = await tell(
            client.ask([
              m.parse('fetch', fetch),
              m.describeStatement('fetch'),
              m.runNamed('fetch'),
              m.closeStatement('fetch'),
              m.sync,
            ]),
          );
          assert.deepEqual(
            lines.filter((line) => /^[DT]/.test(line)),
            columns[who],
          );
          await client.query('COMMIT; DEALLOCATE it');
          await held?.letGo();
        }
      }
      clients.a.quit();
      clients.b.quit();
    }
  });

  test('is parsed anew for whoever prepares it behind a change of the schema', async () => {
    await stage().sql('CREATE TABLE growing (a int)');
    const ALL = 'SELECT * FROM growing';
    const [old, changing] = [await stage().login('one'), await stage().login('one')];
    await old.ask([m.parse('all', ALL), m.runNamed('all'), m.sync]);
    const changes = [
      [m.query("DO 'BEGIN ALTER TABLE growing ADD COLUMN z int; END'")],
      [m.run("DO 'BEGIN ALTER TABLE growing ADD COLUMN y int; END'"), m.sync],
      [m.query('ALTER TABLE growing ADD COLUMN b int')],
      [m.run('ALTER TABLE growing ADD COLUMN c int'), m.sync],
      [m.query('BEGIN; ALTER TABLE growing ADD COLUMN d int; COMMIT')],
    ];
    for (const [n, ddl] of changes.entries()) {
      await changing.ask(ddl);
      const fresh = await stage().login('one');
      const columns = ['a', 'z', 'y', 'b', 'c', 'd'].slice(0, n + 2);
      assert.deepEqual(
        await tell(fresh.ask([m.parse('all', ALL), m.describeStatement('all'), m.runNamed('all'), m.sync])),
        ['1', 't 0000', `T ${columns.map((column) => `${column}:23`).join('|')}`, '2', 'C SELECT 0', 'Z I'],
      );
      fresh.quit();
    }
    old.quit();
    changing.quit();
  });

  test('is parsed anew also for whoever prepared it while a change of the schema was not committed', async () => {
    await stage().sql('CREATE SCHEMA first; CREATE TABLE public.shadowed AS SELECT 1 AS old');
    const ALL = 'SELECT * FROM shadowed';
    const path = { search_path: 'first, public' };
    const [changing, early] = [await stage().login('two', path), await stage().login('two', path)];
    await changing.query('BEGIN; CREATE TABLE first.shadowed (new int)');
    assert.deepEqual(await tell(early.ask([m.parse('all', ALL), m.describeStatement('all'), m.sync])), [
      '1',
      't 0000',
      'T old:23',
      'Z I',
    ]);
    await changing.query('COMMIT');
    assert.deepEqual(await tell(early.ask([m.parse('again', ALL), m.describeStatement('again'), m.sync])), [
      '1',
      't 0000',
      'T new:23',
      'Z I',
    ]);
    changing.quit();
    early.quit();
  });

  test('cannot be reached by the name that it has on servers', async () => {
    const [owner, thief] = [await stage().login('one'), await stage().login('one')];
    const SECRET = "SELECT 'secret'";
    await owner.ask([m.parse('mine', SECRET), m.runNamed('mine'), m.sync]);
    const found = await owner.ask([
      m.run('SELECT name FROM pg_prepared_statements WHERE statement = $1', [SECRET]),
      m.sync,
    ]);
    const [name] = m.valuesOf(found);
    assert.ok(typeof name === 'string' && name.startsWith('ostler_'));
    const missing = `E 26000 prepared statement "${name}" does not exist`;
    assert.deepEqual(await tell(thief.ask([m.runNamed(name), m.sync])), [missing, 'Z I']);
    assert.deepEqual(await tell(thief.ask([m.describeStatement(name), m.sync])), [missing, 'Z I']);
    assert.deepEqual(await tell(thief.ask([m.closeStatement(name), m.sync])), ['3', 'Z I']);
    assert.deepEqual(await tell(thief.query(`DEALLOCATE ${name}`)), [missing, 'Z I']);
    assert.deepEqual(await tell(thief.ask([m.run(`DEALLOCATE ${name}`), m.sync])), [
      '1',
      '2',
      missing,
      'Z I',
    ]);
    assert.deepEqual(m.valuesOf(await owner.ask([m.runNamed('mine'), m.sync])), ['secret']);
    owner.quit();
    thief.quit();
  });
});

describe('a statement that would return other columns than its client was told', () => {
  const CHANGED = ['E 0A000 cached plan must not change result type', 'Z I'];
  const described = m.describeStatement('all');
  let texts = 0;

  type Way = (client: RawClient, ddl: string) => Promise<unknown>;
  const shown: Way = (client, ddl) => client.query(ddl);
  const unseen: readonly Way[] = [
    (_, ddl) => stage().sql(ddl),
    (client, ddl) =>
      client.query(
        `DO 'BEGIN EXECUTE convert_from(''\\x${Buffer.from(ddl).toString('hex')}'', ''UTF8''); END'`,
      ),
  ];

  /** Prepared (and `said`) on one server, and after `ddl` run on another one. */
  async function elsewhere(ddl: string, said: readonly Buffer[], change = shown): Promise<string[]> {
    await stage().sql('DROP TABLE IF EXISTS changing; CREATE TABLE changing AS SELECT 1 AS a');
    const [client, changing] = [await stage().login('two'), await stage().login('two')];
    const all = `SELECT * FROM changing -- ${String(++texts)}`;
    const [pid] = m.valuesOf(
      await client.ask([m.parse('all', all), ...said, m.run('SELECT pg_backend_pid()::text'), m.sync]),
    );
    const held = await until(async () => {
      const occupied = await occupy(stage(), 'two');
      if (occupied.pid === pid) return occupied;
      // The pooler was looking at the other one.
      await occupied.letGo();
      return undefined;
    });
    await change(changing, ddl);
    const lines = await tell(client.ask([m.runNamed('all'), m.sync]));
    assert.deepEqual(await tell(client.ask([m.runNamed('all'), m.sync])), lines);
    if (lines[0] === CHANGED[0]) {
      const asked = await tell(client.ask([m.describeStatement('all'), m.sync]));
      assert.deepEqual(asked, ['t 0000', ...CHANGED]);
    }
    await held.letGo();
    const fresh = [m.closeStatement('all'), m.parse('all', all), m.runNamed('all'), m.sync];
    assert.deepEqual(m.errorsOf(await client.ask(fresh)), []);
    client.quit();
    changing.quit();
    return lines;
  }

  test('fails on every server, also where it was not there', async () => {
    for (const ddl of [
      'ALTER TABLE changing ADD COLUMN b int',
      'ALTER TABLE changing RENAME a TO b',
      'ALTER TABLE changing ALTER a TYPE text',
      'DROP TABLE changing; CREATE TABLE changing (a int8)',
    ]) {
      assert.deepEqual(await elsewhere(ddl, [described]), CHANGED, ddl);
      for (const change of unseen) assert.deepEqual(await elsewhere(ddl, [described], change), CHANGED, ddl);
    }
  });

  test('fails also where they were told of a portal of it', async () => {
    await stage().sql('CREATE TABLE portals AS SELECT 1 AS a');
    for (const portal of ['', 'p']) {
      const [client, changing] = [await stage().login('two'), await stage().login('two')];
      const bound = [m.bind({ portal, statement: 'all' }), m.describePortal(portal), m.execute(portal)];
      const all = `SELECT * FROM portals -- ${portal}`;
      assert.deepEqual(m.errorsOf(await client.ask([m.parse('all', all), ...bound, m.sync])), []);
      await changing.query(`ALTER TABLE portals ADD COLUMN ${portal}b int`);
      const held = await occupy(stage(), 'two');
      assert.deepEqual(await tell(client.ask([m.runNamed('all'), m.sync])), CHANGED);
      await held.letGo();
      client.quit();
      changing.quit();
    }
  });

  test('is any, though a portal tells more of its types than the statement', async () => {
    const client = await stage().login('two');
    const text = "SELECT CASE WHEN true THEN 'x'::varchar(10) ELSE 'y'::varchar(20) END";
    const said = [m.bind({ statement: 'more' }), m.describePortal(), m.execute(), m.sync];
    assert.deepEqual(m.errorsOf(await client.ask([m.parse('more', text), ...said])), []);
    const held = await occupy(stage(), 'two');
    assert.deepEqual(m.errorsOf(await client.ask(said)), []);
    await held.letGo();
    client.quit();
  });

  test('is told anew to who prepares it where it was not there, whoever else was told', async () => {
    await stage().sql('CREATE TABLE unseen AS SELECT 1 AS a');
    const all = [m.parse('all', 'SELECT * FROM unseen'), described, m.sync];
    const [before, after] = [await stage().login('two'), await stage().login('two')];
    assert.deepEqual(await tell(before.ask(all)), ['1', 't 0000', 'T a:23', 'Z I']);
    const held = await occupy(stage(), 'two');
    await stage().sql('ALTER TABLE unseen ADD COLUMN b int');
    assert.deepEqual(await tell(after.ask(all)), ['1', 't 0000', 'T a:23|b:23', 'Z I']);
    await held.letGo();
    for (let round = 0; round < 2; round++) {
      const other = await occupy(stage(), 'two');
      const run = await tell(after.ask([m.runNamed('all'), m.sync]));
      assert.deepEqual(run, ['2', 'D 1|NULL', 'C SELECT 1', 'Z I']);
      assert.deepEqual(await tell(before.ask([m.runNamed('all'), m.sync])), CHANGED);
      await other.letGo();
    }
    before.quit();
    after.quit();
  });

  test('is parsed again if its client was told nothing of them', async () => {
    const lines = await elsewhere('ALTER TABLE changing ADD COLUMN b int', []);
    assert.deepEqual(lines, ['2', 'D 1|NULL', 'C SELECT 1', 'Z I']);
  });

  test('is not what somebody gets who prepares it a while later, though nobody saw the change', async () => {
    await stage().sql('CREATE TABLE aged AS SELECT 1 AS a');
    const ALL = 'SELECT * FROM aged';
    const OLD = `SELECT prepare_time < clock_timestamp() - interval '1.1 s' FROM pg_prepared_statements WHERE statement = '${ALL}'`;
    for (const said of [[], [described]]) {
      const before = await stage().login('one');
      await before.ask([m.parse('all', ALL), ...said, m.runNamed('all'), m.sync]);
      await stage().sql(`ALTER TABLE aged ADD COLUMN c${String(said.length)} int`);
      await until(async () => m.valuesOf(await before.query(OLD))[0] === 't');
      const after = await stage().login('one');
      const replies = await after.ask([m.parse('all', ALL), described, m.runNamed('all'), m.sync]);
      assert.deepEqual(m.errorsOf(replies), []);
      assert.equal(m.valuesOf(replies).length, 2 + said.length);
      const again = await tell(before.ask([m.runNamed('all'), m.sync]));
      if (said.length > 0) assert.deepEqual(again, CHANGED);
      else assert.equal(again[1], 'D 1|NULL');
      before.quit();
      after.quit();
    }
  });

  test('is not parsed again and again where the server takes long to answer', async () => {
    relay.target = () => stage().postgres;
    let delay = 0;
    relay.delay = () => delay;
    const before = await stage().login('far');
    await before.ask([m.parse('all', 'SELECT 8'), described, m.sync]);
    delay = 1100;
    const after = await stage().login('far');
    await after.query('SELECT 1');
    assert.deepEqual(m.valuesOf(await after.ask([m.parse('all', 'SELECT 8'), m.runNamed('all'), m.sync])), [
      '8',
    ]);
    before.quit();
    after.quit();
  });

  test('is any, as long as it returns the same', async () => {
    for (const ddl of [
      'CREATE INDEX ON changing (a)',
      'DROP TABLE changing; CREATE TABLE changing AS SELECT 1 AS a',
      'ALTER TABLE changing ADD COLUMN b int; ALTER TABLE changing DROP COLUMN b',
    ]) {
      const lines = await elsewhere(ddl, [described]);
      assert.deepEqual(lines, ['2', 'D 1', 'C SELECT 1', 'Z I'], ddl);
    }
  });

  test('says so in the middle of a pipeline and of a transaction', async () => {
    await stage().sql('CREATE TABLE piped AS SELECT 1 AS a');
    const [client, changing] = [await stage().login('two'), await stage().login('two')];
    await client.ask([m.parse('piped', 'SELECT * FROM piped'), m.describeStatement('piped'), m.sync]);
    const held = await occupy(stage(), 'two');
    await changing.query('ALTER TABLE piped ADD COLUMN b int');
    const replies = await client.ask(
      [
        [m.run('BEGIN'), m.run('SELECT 1'), m.runNamed('piped'), m.run('SELECT 2'), m.sync],
        [m.runNamed('piped'), m.sync, m.query('ROLLBACK')],
        [m.run('SELECT 3'), m.runNamed('piped'), m.run('SELECT 4'), m.sync, m.query('SELECT 5')],
      ].flat(),
      5,
    );
    assert.deepEqual(m.valuesOf(replies), ['1', '3', '5']);
    assert.deepEqual(m.errorsOf(replies), ['0A000', '25P02', '0A000']);
    await held.letGo();
    client.quit();
    changing.quit();
  });

  test('fails on a server that has it, and whoever prepares it then is not given that one, whoever changed the schema', async () => {
    await stage().sql('CREATE TABLE altered AS SELECT 1 AS a');
    const ALL = 'SELECT * FROM altered';
    const client = await stage().login('one');
    await client.ask([m.parse('all', ALL), described, m.sync]);
    const ways = [
      [m.closeStatement('all'), m.sync],
      [m.run('DEALLOCATE "all"'), m.sync],
      [m.query('DEALLOCATE "all"')],
    ];
    for (const [n, way] of ways.entries()) {
      await stage().sql(`ALTER TABLE altered ADD COLUMN c${String(n)} int`);
      assert.deepEqual(await tell(client.ask([m.runNamed('all'), m.sync])), CHANGED);
      assert.deepEqual(await tell(client.ask([m.runNamed('all'), m.sync])), CHANGED);
      const other = `other${String(n)}`;
      const replies = await client.ask([
        m.parse(other, ALL),
        m.describeStatement(other),
        m.runNamed(other),
        m.sync,
      ]);
      assert.equal(m.valuesOf(replies).length, n + 2);
      await client.ask(way);
      const again = await client.ask([m.parse('all', ALL), described, m.runNamed('all'), m.sync]);
      assert.equal(m.valuesOf(again).length, n + 2);
    }
    client.quit();
  });

  test('fails too when that is because of the search_path, and parameters keep their types', async () => {
    await stage().sql(`CREATE SCHEMA narrow; CREATE TABLE narrow.sized (n int);
      CREATE SCHEMA wide; CREATE TABLE wide.sized (n int8)`);
    await sameAsDirect(stage(), 'one', async (client) => [
      ...(await tell(client.query('SET search_path = narrow'))),
      ...(await tell(
        client.ask([m.parse('read', 'SELECT * FROM sized'), m.describeStatement('read'), m.sync]),
      )),
      ...(await tell(
        client.ask([m.parse('write', 'INSERT INTO sized VALUES ($1)'), m.describeStatement('write'), m.sync]),
      )),
      ...(await tell(client.query('SET search_path = wide'))),
      ...(await tell(client.ask([m.runNamed('read'), m.sync]))),
      ...(await tell(client.ask([m.runNamed('write', ['3000000000']), m.sync]))),
      ...(await tell(client.ask([m.describeStatement('write'), m.runNamed('write', ['3']), m.sync]))),
      ...(await tell(client.query('SET search_path = narrow'))),
      ...(await tell(client.ask([m.runNamed('read'), m.runNamed('write', ['4']), m.sync]))),
      ...(await tell(client.query('TRUNCATE narrow.sized'))),
    ]);
  });
});

describe('a statement of a client that has what others do not see', () => {
  const EPOCH = "SELECT extract(epoch FROM '2020-01-01 00:00'::timestamptz)::int -- local";
  const UTC = String(Date.UTC(2020, 0, 1) / 1000);

  test('reads its temporary table, and nobody else does', async () => {
    await stage().sql("CREATE TABLE shadow AS SELECT 'of all' AS src");
    const SOURCE = 'SELECT src FROM shadow';
    const [owner, other] = [await stage().login('two'), await stage().login('two')];
    await other.ask([m.parse('source', SOURCE), m.runNamed('source'), m.sync]);
    await owner.ask([m.parse('before', SOURCE), m.runNamed('before'), m.sync]);
    await owner.query("CREATE TEMP TABLE shadow AS SELECT 'of one' AS src");
    const replies = await owner.ask([m.parse('behind', SOURCE), m.runNamed('behind'), m.sync]);
    assert.deepEqual(m.valuesOf(replies), ['of one']);
    assert.deepEqual(m.valuesOf(await owner.ask([m.runNamed('before'), m.sync])), ['of one']);
    assert.deepEqual(m.valuesOf(await other.ask([m.runNamed('source'), m.sync])), ['of all']);
    await owner.query('DROP TABLE pg_temp.shadow');
    for (const name of ['before', 'behind'])
      assert.deepEqual(m.valuesOf(await owner.ask([m.runNamed(name), m.sync])), ['of all']);
    const held = [await occupy(stage(), 'two')];
    assert.deepEqual(m.valuesOf(await other.ask([m.runNamed('source'), m.sync])), ['of all']);
    await held[0]?.letGo();
    owner.quit();
    other.quit();
  });

  test('is closed with the last temporary object, when the next one is prepared', async () => {
    await stage().sql('CREATE TABLE copied AS SELECT 1 AS n');
    const COPIED = 'SELECT n FROM copied';
    const owner = await stage().login('one');
    const copies = async (): Promise<string | null | undefined> => {
      const replies = await owner.ask([
        m.run('SELECT count(*) FROM pg_prepared_statements WHERE statement = $1', [COPIED]),
        m.sync,
      ]);
      return m.valuesOf(replies)[0];
    };
    await owner.ask([m.parse('copied', COPIED), m.runNamed('copied'), m.sync]);
    await owner.query('CREATE TEMP TABLE pinning ()');
    await owner.ask([m.runNamed('copied'), m.sync]);
    assert.equal(await copies(), '2');
    await owner.query('DROP TABLE pinning');
    await owner.ask([m.parse('next', 'SELECT 1'), m.sync]);
    assert.equal(await copies(), '1');
    owner.quit();
  });

  test('is parsed under settings of its transaction for nobody else', async () => {
    const settings = [
      m.query("SET LOCAL TimeZone = 'Asia/Tokyo'"),
      m.query("SET TimeZone = 'Asia/Tokyo'"),
      m.query("SELECT set_config('TimeZone', 'Asia/Tokyo', false)"),
      m.query("SELECT set_config('TimeZone', 'Asia/Tokyo', true)"),
    ];
    for (const [n, setting] of settings.entries()) {
      const text = `${EPOCH} ${String(n)}`;
      const [local, other] = [
        await stage().login('one', { TimeZone: 'UTC' }),
        await stage().login('one', { TimeZone: 'UTC' }),
      ];
      await local.query('BEGIN');
      await local.ask([setting]);
      await local.ask([m.parse('epoch', text), m.runNamed('epoch'), m.sync]);
      await local.query('ROLLBACK');
      const replies = await other.ask([m.parse('epoch', text), m.runNamed('epoch'), m.sync]);
      assert.deepEqual(m.valuesOf(replies), [UTC], setting.toString());
      local.quit();
      other.quit();
    }
  });
});
