/** The unnamed statement is its client's, on whatever server that is, and never another's. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { occupy, sameAsDirect, tell } from '../support/as-direct.ts';
import * as m from '../support/messages.ts';
import { useStage } from '../support/stage.ts';

const stage = useStage({
  databases: { one: 'pool_size = 1', two: 'pool_size = 2' },
});

describe('the unnamed statement', () => {
  test('belongs to one client, on whichever server that is', async () => {
    const [one, other] = [await stage().login('two'), await stage().login('two')];
    assert.deepEqual(await tell(one.ask([m.parse('', "SELECT 'of one'"), m.sync])), ['1', 'Z I']);
    assert.deepEqual(await tell(other.ask([m.parse('', "SELECT 'of other'"), m.sync])), ['1', 'Z I']);
    for (let round = 0; round < 3; round++) {
      const held = await occupy(stage(), 'two');
      assert.deepEqual(m.valuesOf(await one.ask([m.bind(), m.execute(), m.sync])), ['of one']);
      assert.deepEqual(m.valuesOf(await other.ask([m.bind(), m.execute(), m.sync])), ['of other']);
      await held.letGo();
    }
    one.quit();
    other.quit();
  });

  test('is the last that its client has parsed, also on a server where that had parsed another one', async () => {
    const [client, first, second] = [
      await stage().login('two'),
      await stage().login('two'),
      await stage().login('two'),
    ];
    // By named statements, which leave the unnamed one of a server alone.
    for (const other of [first, second])
      for (const text of ['BEGIN', 'COMMIT']) await other.ask([m.parse(text, text), m.sync]);
    await first.ask([m.runNamed('BEGIN'), m.sync]);
    assert.deepEqual(await tell(client.ask([m.parse('', 'SELECT $1::text'), m.sync])), ['1', 'Z I']);
    // It has to go to the other server, and then to come back.
    await second.ask([m.runNamed('BEGIN'), m.sync]);
    await first.ask([m.runNamed('COMMIT'), m.sync]);
    assert.deepEqual(await tell(client.ask([m.parse('', "SELECT 'the last'"), m.sync])), ['1', 'Z I']);
    await first.ask([m.runNamed('BEGIN'), m.sync]);
    await second.ask([m.runNamed('COMMIT'), m.sync]);
    assert.deepEqual(m.valuesOf(await client.ask([m.bind(), m.execute(), m.sync])), ['the last']);
    for (const one of [client, first, second]) one.quit();
  });

  test('of another client is never there', async () => {
    const [one, other] = [await stage().login('one'), await stage().login('one')];
    await one.ask([m.parse('', "SELECT 'secret'"), m.sync]);
    assert.deepEqual(await tell(other.ask([m.bind(), m.execute(), m.sync])), [
      'E 26000 unnamed prepared statement does not exist',
      'Z I',
    ]);
    assert.deepEqual(await tell(other.ask([m.describeStatement(), m.sync])), [
      'E 26000 unnamed prepared statement does not exist',
      'Z I',
    ]);
    assert.deepEqual(m.valuesOf(await one.ask([m.bind(), m.execute(), m.sync])), ['secret']);
    one.quit();
    other.quit();
  });

  test('of another client is not there either for one whose own was skipped because of an error', async () => {
    const [one, other] = [await stage().login('one'), await stage().login('one')];
    for (const skipped of [m.parse('', "SELECT 'mine'"), m.bind()]) {
      await one.ask([m.parse('', "SELECT 'secret'"), m.sync]);
      await other.ask([m.parse('bad', 'SELEKT'), skipped, m.sync]);
      assert.ok(!m.valuesOf(await other.ask([m.bind(), m.execute(), m.sync])).includes('secret'));
      await one.ask([m.parse('', "SELECT 'secret'"), m.sync]);
      other.send(m.parse('bad', 'SELEKT'), m.flush);
      await other.upTo('E');
      await other.ask([skipped, m.sync]);
      assert.ok(!m.valuesOf(await other.ask([m.bind(), m.execute(), m.sync])).includes('secret'));
    }
    one.quit();
    other.quit();
  });

  test('is parsed under what its client has set, on whichever server that is', async () => {
    const client = await stage().login('two', { TimeZone: 'UTC' });
    const tokyo = await stage().login('two', { TimeZone: 'Asia/Tokyo' });
    await client.ask([m.parse('', "SELECT '2020-01-01'::timestamptz::text"), m.sync]);
    for (let round = 0; round < 3; round++) {
      const held = await occupy(stage(), 'two');
      await tokyo.query('SELECT 1');
      assert.deepEqual(m.valuesOf(await client.ask([m.runNamed(''), m.sync])), ['2020-01-01 00:00:00+00']);
      await held.letGo();
    }
    client.quit();
    tokyo.quit();
  });

  test('ends with a Parse or Close that the server comes to, not with one that it skips', async () => {
    const ends = [
      [m.parse('', 'SELEKT'), m.sync],
      [m.parse('bad', 'SELEKT'), m.parse('', 'SELECT 3'), m.sync],
      [m.parse('bad', 'SELEKT'), m.closeStatement(), m.sync],
      [m.closeStatement(), m.parse('bad', 'SELEKT'), m.parse('', 'SELECT 3'), m.sync],
    ];
    for (const database of ['one', 'two']) {
      const heard = await sameAsDirect(stage(), database, async (client) => {
        const lines: string[] = [];
        for (const end of ends) {
          await client.ask([m.parse('', 'SELECT 2'), m.sync]);
          lines.push(...(await tell(client.ask(end))));
          lines.push(...(await tell(client.ask([m.bind(), m.execute(), m.sync]))));
          lines.push(...(await tell(client.ask([m.describeStatement(), m.sync]))));
        }
        return lines;
      });
      assert.equal(heard.filter((line) => line === 'D 2').length, 2);
    }
  });

  test('of another client is not there either behind a Parse that turns out to be skipped', async () => {
    const ways = [
      [m.bind({ statement: 'none' }), m.parse('', 'SELECT 3'), m.sync, m.bind(), m.execute(), m.sync],
      [m.parse('', 'SELEKT'), m.sync, m.bind(), m.execute(), m.sync],
      [m.parse('', 'SELECT 3'), m.sync, m.describeStatement('none'), m.bind(), m.execute(), m.sync],
      [m.parse('', 'SELECT 3'), m.sync, m.describeStatement(), m.bind(), m.execute(), m.sync],
      [m.parse('', 'SELEKT'), m.sync, m.parse('', 'SELECT 4'), m.bind(), m.execute(), m.sync],
    ];
    const one = await stage().login('one');
    for (const way of ways) {
      await sameAsDirect(stage(), 'one', async (client) => {
        await one.ask([m.parse('', "SELECT 'secret'"), m.sync]);
        return tell(client.ask(way, 2));
      });
    }
    one.quit();
  });

  test('outlives DEALLOCATE ALL, in a transaction that has failed too', async () => {
    await sameAsDirect(stage(), 'one', async (client) => {
      const lines = await tell(client.query('BEGIN'));
      for (const batch of [[m.run('DEALLOCATE ALL')], [m.runNamed('none')], [m.describeStatement()]])
        lines.push(...(await tell(client.ask([...batch, m.sync]))));
      return lines;
    });
  });

  test('ends with a simple query, and with Close', async () => {
    await sameAsDirect(stage(), 'one', async (client) => {
      const lines: string[] = [];
      for (const end of [[m.query('SELECT 1')], [m.closeStatement(), m.sync]]) {
        lines.push(...(await tell(client.ask([m.parse('', 'SELECT 2'), m.sync]))));
        lines.push(...(await tell(client.ask([m.bind(), m.execute(), m.sync]))));
        lines.push(...(await tell(client.ask(end))));
        lines.push(...(await tell(client.ask([m.bind(), m.execute(), m.sync]))));
      }
      return lines;
    });
  });
});
