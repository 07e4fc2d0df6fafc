/** Whatever a client sends, and however it is cut: the answers are those of a connection of its own, and the server is free right after. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import * as m from '../support/messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { useStage } from '../support/stage.ts';

const TABLES = `
  CREATE TABLE hay (owner int, n int);
  CREATE TABLE late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);
  CREATE FUNCTION complain(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'oh, %', $1; RETURN $1; END $$;
`;

const stage = useStage({
  databases: { two: 'pool_size = 2', one: 'pool_size = 1' },
  schema: TABLES,
});

/** What a client says in one flight; `readies` ReadyForQuery are the answer. */
interface Part {
  readonly name: string;
  readonly messages: readonly Buffer[];
  readonly readies: number;
}

/** `mark` tells clients, scripts and places apart: it comes back in the answers. */
type Say = (mark: string, owner: number) => Part;

const UPPER = 871;
const name = (part: Part): string => part.name;

/** A simple query behind a Sync, because one that an error makes the server skip has no ReadyForQuery. */
const simple =
  (sql: (mark: string, owner: number) => string, ...data: Buffer[]): Say =>
  (mark, owner) => ({
    name: sql(mark, owner),
    messages: [m.sync, m.query(sql(mark, owner)), ...data],
    readies: 2,
  });
const batch =
  (what: string, messages: (mark: string, owner: number) => Buffer[]): Say =>
  (mark, owner) => ({ name: what, messages: messages(mark, owner), readies: 0 });
const SYNC: Say = () => ({ name: 'Sync', messages: [m.sync], readies: 1 });

const rows = [m.copyData('1\t1\n'), m.copyData('1\t2\n1\t3'), m.copyData('\n')];
const badRows = [m.copyData('1\t1\n'), m.copyData('1\tstraw\n'), m.copyData('1\t2\n')];

const simples: readonly Say[] = [
  simple((mark) => `SELECT '${mark}'`),
  simple((mark) => `SELECT '${mark}'; SELECT 2; SELECT '${mark}' FROM generate_series(1, 3)`),
  simple((mark) => `SELECT '${mark}'; SELECT 1/0; SELECT 'never'`),
  simple((mark) => `SELECT complain('${mark}')`),
  simple(() => ''),
  simple(() => 'SELEKT'),
  simple(() => 'BEGIN'),
  simple(() => 'BEGIN'),
  simple(() => 'COMMIT'),
  simple(() => 'ROLLBACK'),
  simple(() => 'SAVEPOINT s'),
  simple(() => 'ROLLBACK TO s'),
  simple((_, owner) => `INSERT INTO hay VALUES (${String(owner)}, 1)`),
  simple((_, owner) => `SELECT count(*) FROM hay WHERE owner = ${String(owner)}`),
  simple(() => 'BEGIN; INSERT INTO late VALUES (1), (1); COMMIT'),
  simple((mark) => `SET TimeZone = 'Europe/Berlin'; SELECT '${mark}'`),
  simple(() => "SET LOCAL TimeZone = 'Asia/Tokyo'"),
  simple(() => 'RESET TimeZone'),
  simple(() => 'SHOW TimeZone'),
  simple((mark) => `COPY (SELECT '${mark}' FROM generate_series(1, 4)) TO STDOUT`),
  simple((mark) => `COPY (SELECT 1 / (3 - n), '${mark}' FROM generate_series(1, 4) n) TO STDOUT`),
  simple(() => 'COPY hay FROM STDIN', ...rows, m.copyDone),
  simple(() => 'COPY hay FROM STDIN', ...rows, m.copyFail('no more')),
  simple(() => 'COPY hay FROM STDIN', ...badRows, m.copyDone),
  simple(() => 'COPY nowhere FROM STDIN', ...rows, m.copyDone),
  simple((mark) => `COPY hay FROM STDIN; SELECT '${mark}'`, ...rows, m.copyDone),
  (mark) => ({ name: 'call', messages: [m.sync, m.functionCall(UPPER, [mark])], readies: 2 }),
  () => ({ name: 'bad call', messages: [m.sync, m.functionCall(0)], readies: 2 }),
];

const batches: readonly Say[] = [
  SYNC,
  SYNC,
  SYNC,
  batch('Flush', () => [m.flush]),
  batch('run', (mark) => [m.run('SELECT $1::text, $2::text', [mark, null])]),
  batch('describe', (mark) => [
    m.parse('', 'SELECT $1::text AS said'),
    m.describeStatement(),
    m.bind({ values: [mark] }),
    m.describePortal(),
    m.execute(),
  ]),
  batch('run of no rows', () => [m.run('SELECT 1 WHERE false')]),
  batch('run of nothing', () => [m.run('')]),
  batch('run error', () => [m.run('SELECT 1/0')]),
  batch('parse error', () => [m.run('SELEKT')]),
  batch('bind error', () => [m.parse('', 'SELECT $1::int'), m.bind({ values: ['x'] }), m.execute()]),
  batch('unknown portal', () => [m.execute('never')]),
  batch('begin', () => [m.run('BEGIN')]),
  batch('commit', () => [m.run('COMMIT')]),
  batch('late error', () => [m.run('INSERT INTO late VALUES (1), (1)')]),
  batch('insert', (_, owner) => [m.run(`INSERT INTO hay VALUES (${String(owner)}, 2)`)]),
  batch('portal in parts', (mark) => [
    m.parse('', `SELECT '${mark}', n FROM generate_series(1, 7) n`),
    m.bind({ portal: 'p' }),
    m.execute('p', 3),
    m.flush,
    m.execute('p', 3),
    m.execute('p', 0),
    m.closePortal('p'),
  ]),
  batch('copy out', (mark) => [m.run(`COPY (SELECT '${mark}') TO STDOUT`)]),
  batch('copy in', () => [m.run('COPY hay FROM STDIN'), ...rows, m.copyDone]),
  batch('copy in, given up', () => [m.run('COPY hay FROM STDIN'), ...rows, m.copyFail('no more')]),
  batch('copy in, bad', () => [m.run('COPY hay FROM STDIN'), ...badRows, m.copyDone]),
  batch('stray copy data', () => [m.copyData('straw'), m.copyDone, m.copyFail('none')]),
];

/** Sent as one stream, cut at these sizes again and again; then all answers are waited for. */
interface Flight {
  readonly says: readonly Say[];
  readonly cuts: readonly number[];
}

const flight: fc.Arbitrary<Flight> = fc.record({
  says: fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...batches) },
      { weight: 2, arbitrary: fc.constantFrom(...simples) },
    ),
    { minLength: 1, maxLength: 8 },
  ),
  cuts: fc.oneof(
    fc.constant([100_000]),
    fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 5 }),
  ),
});

async function fly(
  client: RawClient,
  flights: readonly Flight[],
  mark: string,
  owner: number,
): Promise<string[]> {
  const lines: string[] = [];
  const last: Flight = { says: [simple(() => 'ROLLBACK'), simple(() => 'RESET TimeZone')], cuts: [100_000] };
  for (const [at, { says, cuts }] of [...flights, last].entries()) {
    const parts = [...says, SYNC].map((say, n) => say(`${mark}, flight ${String(at)}, ${String(n)}`, owner));
    lines.push(`> ${parts.map(name).join(' · ')}`);
    await client.sendCut(
      parts.flatMap(({ messages }) => messages),
      cuts,
    );
    const replies = await client.ready(parts.reduce((sum, { readies }) => sum + readies, 0));
    lines.push(...replies.map(m.told), `TimeZone=${client.parameters.get('TimeZone') ?? ''}`);
  }
  return lines;
}

let lastOwner = 1;

describe('clients in a pool of two servers', () => {
  test('get the answers of connections of their own to random pipelines, however they are cut', async () => {
    const scripts = fc.array(fc.array(flight, { minLength: 1, maxLength: 4 }), {
      minLength: 3,
      maxLength: 4,
    });
    const open: RawClient[] = [];
    await fc.assert(
      fc.asyncProperty(scripts, async (all) => {
        const before = open.length;
        // Some clients live on, with what the earlier scripts left of them.
        while (open.length < 4) open.push(await stage().login('two'));
        const direct = await stage().direct();
        const owners = all.map(() => ++lastOwner);
        const expected: string[][] = [];
        for (const [n, script] of all.entries()) {
          expected.push(await fly(direct, script, `client ${String(n)}`, owners[n] ?? 0));
        }
        direct.quit();
        await stage().sql(`DELETE FROM hay WHERE owner > 1`);
        try {
          const got = await Promise.all(
            all.map((script, n) =>
              fly(open[n] ?? assert.fail(), script, `client ${String(n)}`, owners[n] ?? 0),
            ),
          );
          assert.deepEqual(got, expected);
        } catch (error) {
          for (const client of open.splice(0)) client.quit();
          throw error;
        }
        if (before % 2 === 0) open.shift()?.quit();
      }),
      { numRuns: 60 },
    );
    for (const client of open) client.quit();
    const servers = await stage().idleServers();
    assert.ok(servers.length <= 2);
  });
});

describe('a server', () => {
  test('is free for the next client right at ReadyForQuery outside a transaction', async () => {
    const [one, other] = [await stage().login('one'), await stage().login('one')];
    const endings: Buffer[][] = [
      [m.query('SELECT 1')],
      [m.query('SELECT 1/0')],
      [m.run('SELECT 1'), m.sync],
      [m.run('SELECT 1/0'), m.run('SELECT 2'), m.sync],
      [m.sync],
      [m.functionCall(UPPER, ['x'])],
      [m.query('COPY hay FROM STDIN'), ...rows, m.copyDone],
      [m.query('COPY hay FROM STDIN'), ...rows, m.copyFail('no')],
      [m.query('COPY (SELECT 1) TO STDOUT')],
      [m.query('BEGIN; SELECT 1; COMMIT')],
      [m.query('')],
    ];
    for (const messages of endings) {
      await one.ask(messages);
      assert.equal(one.status, 'I');
      assert.deepEqual(m.valuesOf(await other.query("SELECT 'through'")), ['through']);
    }
    one.quit();
    other.quit();
  });

  const holds: Readonly<Record<string, { begin: Buffer[]; sign: string; end: Buffer[]; readies: number }>> = {
    'a transaction is open': { begin: [m.query('BEGIN')], sign: 'Z', end: [m.query('COMMIT')], readies: 1 },
    'a transaction has failed': {
      begin: [m.query('BEGIN; SELECT 1/0')],
      sign: 'Z',
      end: [m.query('ROLLBACK')],
      readies: 1,
    },
    'a batch has no Sync yet': { begin: [m.run('SELECT 1'), m.flush], sign: 'C', end: [m.sync], readies: 1 },
    'an error waits for Sync': {
      begin: [m.run('SELECT 1/0'), m.flush],
      sign: 'E',
      end: [m.sync],
      readies: 1,
    },
    'a portal is open': {
      begin: [m.parse('', 'SELECT generate_series(1, 3)'), m.bind(), m.execute('', 1), m.flush],
      sign: 's',
      end: [m.execute('', 0), m.sync],
      readies: 1,
    },
    'a COPY reads on': {
      begin: [m.query('COPY hay FROM STDIN'), ...rows],
      sign: 'G',
      end: [m.copyDone],
      readies: 1,
    },
    'the answer to a second Sync is owed': {
      begin: [m.run('SELECT 1'), m.sync, m.run('SELECT 2, pg_sleep(0.2)'), m.flush],
      sign: 'Z',
      end: [m.sync],
      readies: 1,
    },
    'a pipelined query behind the first still runs': {
      begin: [m.query('SELECT 1'), m.query('SELECT pg_sleep(0.2)')],
      sign: 'Z',
      end: [],
      readies: 1,
    },
  };
  for (const [when, { begin, sign, end, readies }] of Object.entries(holds)) {
    test(`stays with its client while ${when}`, async () => {
      const [one, other] = [await stage().login('one'), await stage().login('one')];
      one.send(...begin);
      await one.upTo(sign);
      other.send(m.query('SELECT 1'));
      // Some round trips, in which the daemon would have found a server for `other`.
      for (const client of [await stage().login('two'), await stage().login('two')]) {
        await client.query('SELECT 1');
        client.quit();
      }
      assert.deepEqual(other.replies, []);
      await one.ask(end, readies);
      assert.equal(one.status, 'I');
      await other.ready();
      one.quit();
      other.quit();
    });
  }

  test('answers Flush without a Sync', async () => {
    const client = await stage().login('one');
    client.send(m.parse('', 'SELECT $1::text'), m.describeStatement(), m.flush);
    assert.deepEqual(
      (await client.upTo('T')).map(({ type }) => type),
      ['1', 't', 'T'],
    );
    client.send(m.bind({ values: ['a'] }), m.execute(), m.flush);
    assert.deepEqual(m.valuesOf(await client.upTo('C')), ['a']);
    await client.ask([m.sync]);
    client.quit();
  });

  test('takes more messages than it may owe answers to, of which the server is asked only for the first', async () => {
    const client = await stage().login('one');
    await client.ask([m.parse('other', 'SELECT 2'), m.sync]);
    const again = Buffer.concat([m.closeStatement('other'), m.parse('other', 'SELECT 2')]);
    await client.sendSlowly(
      Buffer.concat([m.parse('first', 'SELECT 1'), ...Array.from({ length: 20_000 }, () => again)]),
    );
    assert.equal((await client.ask([m.sync])).length, 40_002);
    client.quit();
  });

  test('passes notices on as they come', async () => {
    const client = await stage().login('one');
    const replies = await client.query(
      "BEGIN; LISTEN hay; SELECT complain('a'); NOTIFY hay, 'made'; COMMIT; SELECT pg_sleep(0); UNLISTEN hay",
    );
    assert.equal(replies.filter(({ type }) => type === 'N').length, 1);
    client.quit();
  });
});
