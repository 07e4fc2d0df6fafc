/** While a server is asked what its client has left, the client goes on: what it sends is run behind the question, before the answer has come. */
import assert from 'node:assert/strict';
import { after, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { tell } from '../support/as-direct.ts';
import * as m from '../support/messages.ts';
import { cancel, type RawClient } from '../support/raw-client.ts';
import { startSlowRelay } from '../support/slow-relay.ts';
import { useStage } from '../support/stage.ts';
import { until } from '../support/wait.ts';

const relay = await startSlowRelay();
after(() => relay.close());
const stage = useStage({
  databases: { far: `pool_size = 1\nport = ${String(relay.port)}` },
});

beforeEach(() => {
  relay.target = () => stage().postgres;
  relay.answers = () => undefined;
  relay.heard = () => undefined;
});

/** A client that has run `sql` and had its answer; what the server says to the question behind it is on its way until that is let come. */
async function beingAsked(sql: string): Promise<{ client: RawClient; letAnswerCome: () => void }> {
  // What is usual is asked too where nobody has set this before, and for that the client waits.
  const before = await stage().login('far');
  await before.query(sql);
  await before.query('SELECT 1');
  before.quit();
  const client = await stage().login('far');
  // What is asked for settings is prepared now, and missing where that is dropped.
  await client.query("SET work_mem = '7MB'");
  await client.query('SELECT 1');
  const answer = Promise.withResolvers<void>();
  let isAsked = false;
  relay.heard = (_, bytes) => {
    // What is put in front of a client's bytes, and the audit of idle servers, have a transaction of their own.
    if (!bytes.includes('ostler_') || bytes.includes('ostler_begin')) return;
    isAsked = true;
    relay.answers = () => answer.promise;
  };
  await client.query(sql);
  await until(() => isAsked, { what: 'the server is being asked' });
  return { client, letAnswerCome: answer.resolve };
}

const countOf = async (table: string): Promise<unknown> =>
  (await stage().sql(`SELECT count(*)::int AS n FROM ${table}`))[0]?.['n'];

/** Process ids of the servers that have run a LISTEN last. */
const idleListeners = async (): Promise<unknown[]> =>
  (await stage().sql("SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND state = 'idle'")).map(
    ({ pid }) => pid,
  );

const sleepers = async (): Promise<number> =>
  (await stage().sql("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'")).length;

describe('a client whose server is being asked', () => {
  for (const [how, messages] of [
    ['a Query', [m.query('INSERT INTO passed VALUES (1)')]],
    ['a batch', [m.run('INSERT INTO passed VALUES ($1::int)', ['1']), m.sync]],
  ] as const) {
    test(`goes on with ${how}, and keeps what it has set`, async () => {
      await stage().sql('DROP TABLE IF EXISTS passed; CREATE TABLE passed (n int)');
      const { client, letAnswerCome } = await beingAsked("SET work_mem = '5MB'");
      client.send(...messages);
      await until(async () => (await countOf('passed')) === 1, { what: 'the row is there' });
      assert.deepEqual(client.replies, [], 'the question has not been answered');
      letAnswerCome();
      assert.deepEqual((await tell(client.ready())).slice(-2), ['C INSERT 0 1', 'Z I']);
      assert.deepEqual(m.valuesOf(await client.query('SHOW work_mem')), ['5MB']);
      const other = await stage().login('far');
      assert.deepEqual(m.valuesOf(await other.query('SHOW work_mem')), ['4MB']);
      for (const each of [client, other]) each.quit();
    });
  }

  test('keeps what it sets meanwhile, too', async () => {
    const { client, letAnswerCome } = await beingAsked("SET work_mem = '5MB'");
    client.send(
      m.query("BEGIN; SET LOCAL work_mem = '6MB'; SET search_path = pg_catalog"),
      m.query('COMMIT'),
    );
    client.send(m.query('SHOW work_mem'), m.query('CREATE TEMP TABLE kept (n int)'));
    letAnswerCome();
    assert.deepEqual(m.errorsOf(await client.ready(4)), []);
    const other = await stage().login('far');
    other.send(m.query('SHOW search_path'));
    assert.deepEqual(m.valuesOf(await client.query('SHOW search_path')), ['pg_catalog']);
    assert.deepEqual(m.valuesOf(await client.query('SHOW work_mem')), ['5MB']);
    await client.query('DROP TABLE kept');
    assert.deepEqual(m.valuesOf(await other.ready()), ['"$user", public']);
    for (const each of [client, other]) each.quit();
  });

  test('goes on though the question fails, which is asked again at the next rest', async () => {
    // It drops our statements too.
    const { client, letAnswerCome } = await beingAsked(
      "SET work_mem = '5MB'; DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$",
    );
    client.send(m.query('BEGIN'), m.query('SHOW work_mem'), m.query("SET search_path = 'x'"));
    letAnswerCome();
    assert.deepEqual(m.valuesOf(await client.ready(3)), ['5MB']);
    assert.match(await stage().postgres.log(), /prepared statement "ostler_\w+" does not exist/);
    await client.query('COMMIT');
    const other = await stage().login('far');
    assert.deepEqual(m.valuesOf(await other.query('SHOW work_mem')), ['4MB']);
    assert.deepEqual(m.valuesOf(await client.query('SHOW work_mem')), ['5MB']);
    assert.deepEqual(m.valuesOf(await client.query('SHOW search_path')), ['x']);
    for (const each of [client, other]) each.quit();
  });

  test('gets nothing of ours into the middle of its message, even of one that nobody answers', async () => {
    const { client, letAnswerCome } = await beingAsked(
      "SET work_mem = '5MB'; DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$",
    );
    const stray = m.copyData('x'.repeat(1000));
    let hasCome = false;
    relay.heard = (_, bytes) => {
      hasCome ||= bytes.includes('xxx');
    };
    client.send(stray.subarray(0, 500));
    await until(() => hasCome, { what: 'its first half has been sent on' });
    letAnswerCome();
    // Nothing is to come of it, and nothing shows that: it is given time.
    await delay(100);
    client.send(stray.subarray(500), m.query('SHOW work_mem'));
    assert.deepEqual(m.valuesOf(await client.ready()), ['5MB']);
    client.quit();
  });

  test('goes on, and a limit on its idling is taken off the server at the next rest', async () => {
    const { client, letAnswerCome } = await beingAsked("SET idle_session_timeout = '10min'");
    client.send(m.query('BEGIN'));
    letAnswerCome();
    await client.ready();
    await client.query('COMMIT');
    const other = await stage().login('far');
    assert.deepEqual(m.valuesOf(await other.query('SHOW idle_session_timeout')), ['0']);
    for (const each of [client, other]) each.quit();
  });

  test('can cancel what it runs meanwhile', async () => {
    const { client, letAnswerCome } = await beingAsked("SET work_mem = '5MB'");
    client.send(m.query('SELECT pg_sleep(5)'));
    await until(async () => (await sleepers()) === 1, { what: 'it sleeps' });
    const canceled = cancel(stage().through('far'), client.key);
    await delay(20);
    letAnswerCome();
    await canceled;
    assert.match((await tell(client.ready())).at(-2) ?? '', /^E 57014/);
    client.quit();
  });

  test('waits for the answer to the next question, so that others have its server too', async () => {
    const client = await stage().login('far');
    const other = await stage().login('far');
    await client.query("SET work_mem = '5MB'");
    relay.answers = () => delay(10);
    const answered = { isOther: false };
    for (let turn = 0; !answered.isOther && turn < 50; turn++) {
      const replies = client.query(`SET work_mem = '${String(6 + (turn % 3))}MB'`);
      if (turn === 0) void other.query('SELECT 1').then(() => (answered.isOther = true));
      await replies;
    }
    assert.ok(answered.isOther, 'it has not waited for 50 transactions');
    for (const each of [client, other]) each.quit();
  });

  test('hears it if its server has gone right behind the last answer, with what nobody knows of', async () => {
    const { client, letAnswerCome } = await beingAsked("SET work_mem = '5MB'");
    client.send(m.query('LISTEN news; SELECT pg_backend_pid()'));
    await until(async () => (await idleListeners()).length === 1, { what: 'it listens' });
    await stage().sql(`SELECT pg_terminate_backend(${String((await idleListeners())[0])})`);
    await until(async () => (await idleListeners()).length === 0, { what: 'its server has gone' });
    letAnswerCome();
    assert.match((await tell(client.untilClosed())).at(-1) ?? '', /^E (?:57P01|08006) /);
  });

  test('that uses a name whose meaning depends on the answer waits for it', async () => {
    const { client, letAnswerCome } = await beingAsked("SET TimeZone = 'Asia/Tokyo'");
    client.send(
      m.parse('named', "SELECT '2020-01-01 00:00'::timestamptz::text"),
      m.runNamed('named'),
      m.sync,
    );
    letAnswerCome();
    assert.deepEqual(m.valuesOf(await client.ready()), ['2020-01-01 00:00:00+09']);
    client.quit();
  });
});
