/** Named prepared statements in transaction mode: on every server, with the client's own names, like on a connection of its own. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { occupy, sameAsDirect, tell } from '../support/as-direct.ts';
import * as m from '../support/messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { useStage } from '../support/stage.ts';

const LIMIT = 2;

const stage = useStage({
  settings: `max_prepared_statements = ${String(LIMIT)}`,
  databases: { one: 'pool_size = 1', two: 'pool_size = 2' },
});

const PID = 'SELECT pg_backend_pid()::text, $1::text';

describe('a named prepared statement', () => {
  test('that the server refuses or skips is not taken for there by what was sent right behind it', async () => {
    const refused = await sameAsDirect(stage(), 'one', (client) =>
      tell(
        client.ask(
          [m.parse('x', 'SELECT * FROM nowhere'), m.sync, m.parse('y', 'SELECT * FROM nowhere'), m.sync],
          2,
        ),
      ),
    );
    assert.equal(refused.filter((reply) => reply.startsWith('E 42P01')).length, 2);
    await sameAsDirect(stage(), 'one', (client) =>
      tell(
        client.ask(
          [
            [m.run('SELECT 1/0'), m.parse('x', 'SELECT 5'), m.sync],
            [m.parse('y', 'SELECT 5'), m.runNamed('y'), m.sync],
            [m.parse('z', 'SELECT 5'), m.runNamed('z'), m.sync],
          ].flat(),
          3,
        ),
      ),
    );
    await sameAsDirect(stage(), 'one', (client) =>
      tell(client.ask([m.parse('z', 'SELECT 5'), m.runNamed('z'), m.sync])),
    );
  });

  test('is there on whichever server its client meets', async () => {
    const client = await stage().login('two');
    assert.deepEqual(await tell(client.ask([m.parse('mine', PID), m.sync])), ['1', 'Z I']);
    const pids = new Set<string | null | undefined>();
    const held = [await occupy(stage(), 'two')];
    pids.add(m.valuesOf(await client.ask([m.runNamed('mine', ['a']), m.sync]))[0]);
    const second = await occupy(stage(), 'two');
    await held[0]?.letGo();
    pids.add(m.valuesOf(await client.ask([m.runNamed('mine', ['a']), m.sync]))[0]);
    await second.letGo();
    assert.equal(pids.size, 2, 'it ran on both servers');
    client.quit();
  });

  test('is prepared once on a server, for all clients who say the same', async () => {
    const clients = await Promise.all([1, 2, 3].map(() => stage().login('one')));
    for (const [n, client] of clients.entries()) {
      const name = `by client ${String(n)}`;
      const replies = await client.ask([m.parse(name, "SELECT 'shared'"), m.runNamed(name), m.sync]);
      assert.deepEqual(replies.map(m.told), ['1', '2', 'D shared', 'C SELECT 1', 'Z I']);
    }
    const [observer] = clients;
    const found = await observer?.query(
      "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT ''shared'''",
    );
    assert.deepEqual(m.valuesOf(found ?? []), ['1']);
    for (const client of clients) client.quit();
  });

  test('means what its own client said, whatever others call theirs', async () => {
    const [one, other] = [await stage().login('one'), await stage().login('one')];
    await one.ask([m.parse('s', "SELECT 'one'"), m.sync]);
    await other.ask([m.parse('s', "SELECT 'other'"), m.sync]);
    assert.deepEqual(m.valuesOf(await one.ask([m.runNamed('s'), m.sync])), ['one']);
    assert.deepEqual(m.valuesOf(await other.ask([m.runNamed('s'), m.sync])), ['other']);
    one.quit();
    other.quit();
  });

  const scripts: Readonly<Record<string, (client: RawClient) => Promise<string[]>>> = {
    'errors carry the name that the client used': async (client) => [
      ...(await tell(client.ask([m.bind({ statement: 'never' }), m.sync]))),
      ...(await tell(client.ask([m.describeStatement('never'), m.sync]))),
      ...(await tell(client.ask([m.parse('twice', 'SELECT 1'), m.parse('twice', 'SELECT 2'), m.sync]))),
      ...(await tell(client.ask([m.parse('twice', 'SELECT 1'), m.sync]))),
      ...(await tell(client.ask([m.bind({ statement: 'twice', values: ['too many'] }), m.sync]))),
      ...(await tell(client.ask([m.runNamed('twice'), m.sync]))),
    ],
    'a Parse that fails leaves nothing behind': async (client) => [
      ...(await tell(client.ask([m.parse('bad', 'SELEKT'), m.sync]))),
      ...(await tell(client.ask([m.runNamed('bad'), m.sync]))),
      ...(await tell(client.ask([m.parse('bad', 'SELECT 2'), m.sync]))),
      ...(await tell(client.ask([m.runNamed('bad'), m.sync]))),
    ],
    'a Parse that an error before it skips leaves nothing behind': async (client) => [
      ...(await tell(client.ask([m.run('SELECT 1/0'), m.parse('skipped', 'SELECT 3'), m.sync]))),
      ...(await tell(client.ask([m.runNamed('skipped'), m.sync]))),
      ...(await tell(client.ask([m.parse('skipped', 'SELECT 3'), m.sync]))),
      ...(await tell(client.ask([m.run('SELECT 1/0'), m.parse('again', 'SELECT 3'), m.sync]))),
      ...(await tell(client.ask([m.runNamed('again'), m.sync]))),
      ...(await tell(client.ask([m.parse('again', 'SELECT 3'), m.runNamed('again'), m.sync]))),
    ],
    'another name for the same text survives a Parse that is skipped': async (client) => [
      ...(await tell(client.ask([m.parse('first', 'SELECT 4'), m.sync]))),
      ...(await tell(client.ask([m.run('SELECT 1/0'), m.parse('second', 'SELECT 4'), m.sync]))),
      ...(await tell(client.ask([m.runNamed('first'), m.sync]))),
      ...(await tell(client.ask([m.runNamed('second'), m.sync]))),
    ],
    'a Close that an error before it skips closes nothing': async (client) => [
      ...(await tell(client.ask([m.parse('open', 'SELECT 5'), m.sync]))),
      ...(await tell(client.ask([m.run('SELECT 1/0'), m.closeStatement('open'), m.sync]))),
      ...(await tell(client.ask([m.runNamed('open'), m.sync]))),
      ...(await tell(
        client.ask([m.run('SELECT 1/0'), m.closeStatement('open'), m.parse('open', 'SELECT 6'), m.sync]),
      )),
      ...(await tell(client.ask([m.runNamed('open'), m.sync]))),
    ],
    'what comes behind an error and before its Sync is skipped, also when the error is known already': async (
      client,
    ) => {
      client.send(m.run('SELECT 1/0'), m.flush);
      const lines = (await client.upTo('E')).map(m.told);
      client.send(m.parse('late', 'SELECT 7'), m.runNamed('late'), m.closeStatement('open'));
      return [
        ...lines,
        ...(await tell(client.ask([m.sync]))),
        ...(await tell(client.ask([m.runNamed('late'), m.sync]))),
        ...(await tell(client.ask([m.parse('late', 'SELECT 7'), m.runNamed('late'), m.sync]))),
      ];
    },
    'in a failed transaction a Parse is refused': async (client) => [
      ...(await tell(client.ask([m.parse('known', 'SELECT 8'), m.sync]))),
      ...(await tell(client.query('BEGIN'))),
      ...(await tell(client.query('SELECT 1/0'))),
      ...(await tell(client.ask([m.parse('unknown', 'SELECT 8'), m.sync]))),
      ...(await tell(client.ask([m.runNamed('known'), m.sync]))),
      ...(await tell(client.query('ROLLBACK'))),
      ...(await tell(client.ask([m.runNamed('known'), m.sync]))),
      ...(await tell(client.ask([m.runNamed('unknown'), m.sync]))),
    ],
    'Close is answered whether there is something to close or not': async (client) => [
      ...(await tell(
        client.ask([m.parse('c', 'SELECT 9'), m.closeStatement('c'), m.closeStatement('c'), m.sync]),
      )),
      ...(await tell(client.ask([m.runNamed('c'), m.sync]))),
    ],
    'names count up to 63 bytes': async (client) => {
      const long = 'n'.repeat(63);
      return [
        ...(await tell(client.ask([m.parse(`${long}abc`, 'SELECT 15'), m.sync]))),
        ...(await tell(client.ask([m.runNamed(`${long}xyz`), m.sync]))),
        ...(await tell(client.ask([m.parse(long, 'SELECT 16'), m.sync]))),
        ...(await tell(client.ask([m.runNamed('n'.repeat(62)), m.sync]))),
        ...(await tell(client.ask([m.closeStatement(`${long}!`), m.sync]))),
        ...(await tell(client.ask([m.runNamed(long), m.sync]))),
        ...(await tell(
          client.ask([m.parse('ä'.repeat(40), 'SELECT 17'), m.runNamed('ä'.repeat(31)), m.sync]),
        )),
      ];
    },
    'errors have all of a name, also what does not count': async (client) => {
      const long = 'n'.repeat(63);
      return [
        ...(await tell(client.ask([m.parse(`${long}abc`, 'SELECT $1::int'), m.sync]))),
        ...(await tell(client.ask([m.parse(`${long}def`, 'SELECT 1'), m.sync]))),
        ...(await tell(client.ask([m.bind({ statement: `${long}ghi` }), m.sync]))),
        ...(await tell(client.ask([m.bind({ statement: long }), m.sync]))),
        ...(await tell(client.ask([m.closeStatement(long), m.sync]))),
        ...(await tell(client.ask([m.describeStatement(`${long}ghi`), m.sync]))),
      ];
    },
    'a name that is taken is the last that is wrong with a Parse': async (client) => [
      ...(await tell(client.ask([m.parse('taken', 'SELECT 18'), m.sync]))),
      ...(await tell(client.ask([m.parse('taken', 'SELEKT'), m.sync]))),
      ...(await tell(client.ask([m.parse('taken', 'SELECT * FROM nowhere'), m.sync]))),
      ...(await tell(client.ask([m.parse('taken', 'SELECT 19'), m.sync]))),
      ...(await tell(client.query('BEGIN'))),
      ...(await tell(client.query('SELECT 1/0'))),
      ...(await tell(client.ask([m.parse('taken', 'SELECT 20'), m.sync]))),
      ...(await tell(client.query('ROLLBACK'))),
      ...(await tell(client.ask([m.runNamed('taken'), m.sync]))),
    ],
    'what a batch on its way changes is known to the one behind it': async (client) => [
      ...(await tell(client.ask([m.parse('kept', 'SELECT 21'), m.sync]))),
      ...(await tell(
        client.ask(
          [
            [m.run('SELECT 1/0'), m.closeStatement('kept'), m.parse('skipped', 'SELECT 22'), m.sync],
            [m.runNamed('kept'), m.sync, m.runNamed('skipped'), m.sync],
            [m.query('BEGIN'), m.query('SELECT 1/0'), m.parse('late', 'SELECT 21'), m.sync],
            [m.query('ROLLBACK'), m.runNamed('late'), m.sync, m.runNamed('kept'), m.sync],
          ].flat(),
          9,
        ),
      )),
    ],
    'Describe tells parameters and columns': (client) =>
      tell(
        client.ask([
          m.parse('d', 'SELECT $1::int AS n, now() AS t', [23]),
          m.describeStatement('d'),
          m.bind({ statement: 'd', values: ['1'] }),
          m.describePortal(),
          m.closeStatement('d'),
          m.sync,
        ]),
      ),
  };
  for (const [name, script] of Object.entries(scripts)) {
    test(`${name}, like on a connection of its own`, async () => {
      // A second time, when the server has the statements already.
      const first = await sameAsDirect(stage(), 'one', script);
      assert.deepEqual(await sameAsDirect(stage(), 'one', script), first);
    });
  }

  test('is there for who prepares it behind somebody whose DO has dropped every statement', async () => {
    for (let n = 0; n < 4; n++) {
      const client = await stage().login('one');
      const use = [m.parse('a', 'SELECT 1'), m.describeStatement('a'), m.runNamed('a'), m.sync];
      assert.deepEqual(m.valuesOf(await client.ask(use)), ['1']);
      client.quit();
      const other = await stage().login('one');
      await other.query(`DO $x$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $x$`);
      // By its answer the server has been asked what the DO has left.
      await other.query('SELECT 0');
      other.quit();
    }
  });

  test('is not ended by a Query that is skipped with its batch, right behind the settings of its client', async () => {
    await sameAsDirect(stage(), 'one', async (client) => {
      await client.query(`SET work_mem = '7MB'`);
      await client.ask([m.parse('a', 'SELECT 1'), m.sync]);
      const other = await stage().login('one');
      await other.query('SELECT 1');
      other.quit();
      const replies = await client.ask([m.parse('', 'SELEKT'), m.query('DEALLOCATE a'), m.sync]);
      replies.push(...(await client.ask([m.runNamed('a'), m.sync])), ...(await client.query('SELECT 2')));
      return replies.map(m.told);
    });
  });

  test('is what the batch before has left, also if that had an error', async () => {
    const bad = m.bind({ statement: 'none' });
    const runs = [m.runNamed('x'), m.sync];
    const ways = [
      [bad, m.parse('x', 'SELECT 1'), m.sync, m.parse('x', 'SELECT 2'), m.sync],
      [bad, m.parse('x', 'SELECT 1'), m.sync, m.describeStatement('none'), m.parse('x', 'SELECT 2'), m.sync],
      [m.parse('x', 'SELECT 1'), bad, m.sync, m.parse('x', 'SELECT 2'), m.sync],
      [m.parse('x', 'SELEKT'), m.sync, m.parse('x', 'SELECT 2'), m.sync],
    ];
    const closings = [
      [bad, m.closeStatement('x'), m.sync, ...runs],
      [bad, m.closeStatement('x'), m.sync, m.describeStatement('x'), m.sync],
      [bad, m.closeStatement('x'), m.sync, m.parse('x', 'SELECT 2'), m.sync],
      [m.closeStatement('x'), bad, m.sync, m.parse('x', 'SELECT 2'), m.sync],
    ];
    for (const way of ways) {
      await sameAsDirect(stage(), 'one', async (client) => [
        ...(await tell(client.ask(way, 2))),
        ...(await tell(client.ask(runs))),
      ]);
    }
    for (const closing of closings) {
      await sameAsDirect(stage(), 'one', async (client) => [
        ...(await tell(client.ask([m.parse('x', 'SELECT 0'), m.sync]))),
        ...(await tell(client.ask(closing, 2))),
        ...(await tell(client.ask(runs))),
      ]);
    }
  });

  test('can be described in the failed transaction that it was prepared in, if it returns nothing', async () => {
    await sameAsDirect(stage(), 'one', async (client) => {
      const lines: string[] = [];
      for (const sql of ['LISTEN hay', 'SELECT 1', 'ROLLBACK']) {
        await client.query('BEGIN');
        await client.ask([m.parse('x', sql), m.sync]);
        await client.ask([m.bind(), m.execute(), m.sync]);
        lines.push(...(await tell(client.ask([m.closePortal('p'), m.describeStatement('x'), m.sync]))));
        lines.push(...(await tell(client.query('ROLLBACK'))));
        await client.ask([m.closeStatement('x'), m.sync]);
      }
      return lines;
    });
  });
});

describe('a server with as many statements as it may have', () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const says = (name: string): string => `SELECT '${name}', $1::text`;
  const prepareAll = names.map((name) => m.parse(name, says(name)));

  test('closes the one that was not used for the longest time, and its client does not notice', async () => {
    const client = await stage().login('one');
    await client.ask([...prepareAll, m.sync]);
    for (const name of [...names, ...names.toReversed(), 'a', 'c', 'a']) {
      assert.deepEqual(m.valuesOf(await client.ask([m.runNamed(name, ['x']), m.sync])), [name, 'x']);
      const found = await client.query(
        "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'ostler_s%' AND name !~ '[a-z]$'",
      );
      assert.ok(Number(m.valuesOf(found)[0]) <= LIMIT, m.told(found[1] ?? assert.fail()));
    }
    client.quit();
  });

  test('evicts in the middle of a pipeline', async () => {
    const client = await stage().login('one');
    const replies = await client.ask([
      ...prepareAll,
      ...[...names, ...names].map((name) => m.runNamed(name, ['in line'])),
      ...names.map((name) => m.describeStatement(name)),
      m.sync,
    ]);
    assert.deepEqual(
      m.valuesOf(replies),
      [...names, ...names].flatMap((name) => [name, 'in line']),
    );
    assert.deepEqual(m.errorsOf(replies), []);
    client.quit();
  });

  test('still has what it was to evict in a pipeline that failed before', async () => {
    const client = await stage().login('one');
    for (let round = 0; round < 3; round++) {
      const failed = await client.ask([
        m.parse('kept', says('kept')),
        m.runNamed('kept', ['1']),
        m.run('SELECT 1/0'),
        ...prepareAll,
        m.runNamed('a', ['1']),
        m.runNamed('b', ['1']),
        m.sync,
      ]);
      assert.deepEqual(m.errorsOf(failed), ['22012']);
      const replies = await client.ask([...prepareAll, m.runNamed('kept', ['2']), m.sync]);
      assert.deepEqual(m.errorsOf(replies), []);
      await client.ask([...['kept', ...names].map((name) => m.closeStatement(name)), m.sync]);
    }
    client.quit();
  });

  test('evicts nothing while it skips what is sent behind an error', async () => {
    const client = await stage().login('one');
    await client.ask([...prepareAll, ...names.map((name) => m.runNamed(name, ['x'])), m.sync]);
    // Behind a DEALLOCATE that it ran itself, none is used any more as it is on the server.
    await client.query('PREPARE own AS SELECT 1');
    await client.query('DEALLOCATE own');
    client.send(m.runNamed('nobody'), m.flush);
    await client.upTo('E');
    const skipped = await client.ask([m.parse('late', says('late')), m.runNamed('late', ['x']), m.sync]);
    assert.deepEqual(skipped.map(m.told), ['Z I']);
    const replies = await client.ask([...[...names, 'late'].map((name) => m.runNamed(name, ['y'])), m.sync]);
    assert.deepEqual(m.errorsOf(replies), ['26000']);
    client.quit();
  });
});
