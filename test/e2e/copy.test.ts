/** COPY in and out, good and bad, and what others have of a server on which one failed. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import postgres from 'postgres';
import * as m from '../support/messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { useStage } from '../support/stage.ts';

const stage = useStage({
  databases: { one: 'pool_size = 1' },
  schema: `CREATE TABLE hay (n int, straw text); CREATE TABLE fence (n int CHECK (n > 0));
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$;
    CREATE TABLE watched (n int); CREATE TRIGGER refuse BEFORE INSERT ON watched EXECUTE FUNCTION refuse();`,
});

beforeEach(async () => {
  await stage().sql('TRUNCATE hay, fence, watched');
});

const lines = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, n) => m.copyData(`${String(n)}\tstraw ${String(n)}\n`));
const tell = async (replies: Promise<m.Reply[]>): Promise<string[]> => (await replies).map(m.told);

/** The script has the same answers as on a connection of its own, and leaves a server that works. */
async function sameAsDirect(script: (client: RawClient) => Promise<string[]>): Promise<void> {
  const direct = await stage().direct();
  const expected = await script(direct);
  direct.quit();
  await stage().sql('TRUNCATE hay, fence, watched');
  const client = await stage().login('one');
  assert.deepEqual(await script(client), expected);
  const other = await stage().login('one');
  assert.deepEqual(await tell(other.query("SELECT 'works'")), [
    'T ?column?:25',
    'D works',
    'C SELECT 1',
    'Z I',
  ]);
  assert.deepEqual(m.valuesOf(await client.query("SELECT 'works'")), ['works']);
  client.quit();
  other.quit();
}

const count = 'SELECT count(*) FROM hay';

describe('COPY FROM STDIN', () => {
  const scripts: Readonly<Record<string, (client: RawClient) => Promise<string[]>>> = {
    'stores what it is given': async (client) => [
      ...(await tell(client.ask([m.query('COPY hay FROM STDIN'), ...lines(500), m.copyDone]))),
      ...(await tell(client.query(count))),
    ],
    'ends with the words of a client that gives up': async (client) => [
      ...(await tell(
        client.ask([m.query('COPY hay FROM STDIN'), ...lines(5), m.copyFail('second thoughts')]),
      )),
      ...(await tell(client.query(count))),
    ],
    'fails at a bad line, whatever still comes behind it': async (client) => [
      ...(await tell(
        client.ask([m.query('COPY hay FROM STDIN'), m.copyData('straw\n'), ...lines(2000), m.copyDone]),
      )),
      ...(await tell(client.query(count))),
    ],
    'fails, and its client goes on sending long after it has heard of that': async (client) => {
      client.send(m.query('COPY fence FROM STDIN'), m.copyData('-1\n'), m.copyData('1\n'.repeat(50_000)));
      const replies = await tell(client.ready());
      client.send(...lines(100), m.copyDone);
      return [...replies, ...(await tell(client.query(count)))];
    },
    'fails at once where there is no such table': async (client) => [
      ...(await tell(client.ask([m.query('COPY nowhere FROM STDIN'), ...lines(5), m.copyDone]))),
      ...(await tell(client.query(count))),
    ],
    'is refused by a trigger': async (client) => [
      ...(await tell(client.ask([m.query('COPY watched FROM STDIN'), m.copyData('1\n'), m.copyDone]))),
      ...(await tell(client.query(count))),
    ],
    'works inside a transaction, and is rolled back with it': async (client) => [
      ...(await tell(client.query('BEGIN'))),
      ...(await tell(client.ask([m.query('COPY hay FROM STDIN'), ...lines(5), m.copyDone]))),
      ...(await tell(client.query(count))),
      ...(await tell(client.query('ROLLBACK'))),
      ...(await tell(client.query(count))),
    ],
    'works in a batch': async (client) => [
      ...(await tell(
        client.ask([m.run('COPY hay FROM STDIN'), ...lines(5), m.copyDone, m.run(count), m.sync]),
      )),
      ...(await tell(
        client.ask([m.run('COPY hay FROM STDIN'), ...lines(5), m.copyFail('no'), m.run(count), m.sync]),
      )),
      ...(await tell(client.query(count))),
    ],
    'works the way libpq sends it, with a Sync in front of the data too': async (client) => {
      client.send(m.run('COPY hay FROM STDIN'), m.sync);
      const begin = (await client.upTo('G')).map(m.told);
      return [
        ...begin,
        ...(await tell(client.ask([...lines(20), m.copyDone, m.sync]))),
        ...(await tell(client.query(count))),
      ];
    },
    'fails the way libpq sends it': async (client) => {
      client.send(m.run('COPY hay FROM STDIN'), m.sync);
      const begin = (await client.upTo('G')).map(m.told);
      return [
        ...begin,
        ...(await tell(client.ask([m.copyData('1\ta\n'), m.copyFail('no'), m.sync]))),
        ...(await tell(client.query(count))),
      ];
    },
    'may be one statement of several': async (client) => [
      ...(await tell(
        client.ask([
          m.query(`COPY hay FROM STDIN; COPY hay FROM STDIN; ${count}`),
          ...lines(5),
          m.copyDone,
          ...lines(7),
          m.copyDone,
        ]),
      )),
    ],
    'comes in pieces of any size': async (client) => {
      await client.sendCut([m.query('COPY hay FROM STDIN'), ...lines(40), m.copyDone], [1, 2, 3, 5, 7, 100]);
      return [...(await tell(client.ready())), ...(await tell(client.query(count)))];
    },
    'takes Flush and Sync for nothing': async (client) => [
      ...(await tell(
        client.ask([m.query('COPY hay FROM STDIN'), m.flush, ...lines(3), m.sync, m.flush, m.copyDone]),
      )),
      ...(await tell(client.query(count))),
    ],
  };
  for (const [name, script] of Object.entries(scripts)) {
    test(name, () => sameAsDirect(script));
  }

  test('of a client that sends a query in its middle ends that client, as PostgreSQL would, and nobody else', async () => {
    const client = await stage().login('one');
    client.send(m.query('COPY hay FROM STDIN'), ...lines(5), m.query('SELECT 1'), m.copyDone);
    const replies = await client.untilClosed();
    assert.deepEqual(m.errorsOf(replies).slice(0, 1), ['08P01']);
    const other = await stage().login('one');
    assert.deepEqual(m.valuesOf(await other.query(count)), ['0']);
    other.quit();
  });
});

describe('COPY TO STDOUT', () => {
  const scripts: Readonly<Record<string, (client: RawClient) => Promise<string[]>>> = {
    'gives every row': (client) => tell(client.query('COPY (SELECT generate_series(1, 3000)) TO STDOUT')),
    'fails in its middle': (client) =>
      tell(client.query('COPY (SELECT 1 / (2000 - n) FROM generate_series(1, 3000) n) TO STDOUT')),
    'works in a batch': (client) =>
      tell(client.ask([m.run('COPY (SELECT 1) TO STDOUT'), m.run('SELECT 2'), m.sync])),
    'may be one statement of several': (client) =>
      tell(client.query('COPY (SELECT 1) TO STDOUT; SELECT 2; COPY (SELECT 3) TO STDOUT')),
  };
  for (const [name, script] of Object.entries(scripts)) {
    test(name, () => sameAsDirect(script));
  }
});

test('several clients copy in and out at once, each its own', async () => {
  const { host, port, user, password } = stage().through('one');
  const sql = postgres({ host, port, user, password, database: 'one', max: 6, onnotice: () => undefined });
  await Promise.all(
    Array.from({ length: 6 }, async (_, owner) => {
      const mine = Array.from({ length: 2000 }, (__, n) => `${String(owner)}\tstraw ${String(n)}\n`);
      await pipeline(Readable.from(mine), await sql`COPY hay FROM STDIN`.writable());
      const copied = sql`COPY (SELECT * FROM hay WHERE n = ${sql.unsafe(String(owner))}) TO STDOUT`;
      let text = '';
      for await (const chunk of await copied.readable()) text += String(chunk);
      assert.equal(text, mine.join(''));
    }),
  );
  await sql.end();
});
