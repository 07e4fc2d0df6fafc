/** SQL that drops the protocol's prepared statements, or wants their names: in transaction mode as on a connection of one's own. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sameAsDirect, tell } from '../support/as-direct.ts';
import * as m from '../support/messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { useStage } from '../support/stage.ts';

const stage = useStage({ settings: 'max_prepared_statements = 2', databases: { one: 'pool_size = 1' } });

const QUERY = m.query('')[0];

describe('the name of a prepared statement, in SQL', () => {
  const scripts: Readonly<Record<string, (client: RawClient) => Promise<string[]>>> = {
    'DEALLOCATE ALL and DISCARD ALL forget every name': async (client) => {
      const lines: string[] = [];
      for (const forget of ['DEALLOCATE ALL', 'DISCARD ALL']) {
        lines.push(...(await tell(client.ask([m.parse('f', 'SELECT 10'), m.sync]))));
        lines.push(...(await tell(client.query(forget))));
        lines.push(...(await tell(client.ask([m.runNamed('f'), m.sync]))));
        lines.push(...(await tell(client.ask([m.parse('f', 'SELECT 10'), m.runNamed('f'), m.sync]))));
        lines.push(...(await tell(client.ask([m.closeStatement('f'), m.sync]))));
      }
      return lines;
    },
    'DEALLOCATE ALL counts at its place in a pipeline': async (client) => {
      const lines = await tell(client.ask([m.parse('p1', 'SELECT 11'), m.parse('p2', 'SELECT 12'), m.sync]));
      lines.push(
        ...(await tell(
          client.ask(
            [
              m.query('DEALLOCATE ALL'),
              m.parse('p1', 'SELECT 11'),
              m.runNamed('p1'),
              m.sync,
              m.parse('p3', 'SELECT 13'),
              m.runNamed('p3'),
              m.sync,
            ],
            3,
          ),
        )),
        ...(await tell(
          client.ask(
            [
              m.run('DEALLOCATE ALL'),
              m.parse('p2', 'SELECT 12'),
              m.parse('p4', 'SELECT 14'),
              m.sync,
              m.runNamed('p4'),
              m.sync,
            ],
            2,
          ),
        )),
      );
      for (const name of ['p1', 'p2', 'p3', 'p4']) {
        lines.push(...(await tell(client.ask([m.runNamed(name), m.sync]))));
        lines.push(...(await tell(client.ask([m.closeStatement(name), m.sync]))));
      }
      // Somebody may prepare the same texts again.
      lines.push(
        ...(await tell(client.ask([m.parse('p5', 'SELECT 13'), m.parse('p6', 'SELECT 14'), m.sync]))),
      );
      return lines;
    },
    'DEALLOCATE of a name ends it': async (client) => {
      const lines: string[] = [];
      const ends = [
        [m.query('DEALLOCATE "_pg3_0"')],
        [m.query(' deallocate\nPREPARE _PG3_0 ; ')],
        [m.run('DEALLOCATE _pg3_0'), m.sync],
        [m.parse('', 'DEALLOCATE "_pg3_0"'), m.bind(), m.describePortal(), m.execute(), m.sync],
        [m.parse('end', 'DEALLOCATE "_pg3_0"'), m.runNamed('end'), m.closeStatement('end'), m.sync],
      ];
      for (const end of ends) {
        lines.push(...(await tell(client.ask([m.parse('_pg3_0', 'SELECT 23'), m.sync]))));
        lines.push(...(await tell(client.ask(end))));
        lines.push(...(await tell(client.ask(end))));
        lines.push(...(await tell(client.ask([m.closeStatement('end'), m.runNamed('_pg3_0'), m.sync]))));
      }
      return lines;
    },
    'DEALLOCATE among other statements ends a name': async (client) => {
      const lines: string[] = [];
      for (const sql of [
        'SELECT 1; DEALLOCATE d5',
        'DEALLOCATE d5; SELECT 1',
        'DEALLOCATE d5; DEALLOCATE PREPARE D6; SELECT 1',
        'DEALLOCATE d6; DEALLOCATE d5; DEALLOCATE d6',
        'DEALLOCATE d5; SELECT 1/0; DEALLOCATE d6',
        'SELECT 1/0; DEALLOCATE d5; DEALLOCATE d6',
        'DEALLOCATE nobodys; DEALLOCATE d5',
        'DEALLOCATE d5; DEALLOCATE nobodys; DEALLOCATE d6',
        'PREPARE q AS SELECT 1; DEALLOCATE q; DEALLOCATE d6',
        'DEALLOCATE d5; PREPARE d5 AS SELECT 28; EXECUTE d5; DEALLOCATE d5',
        'BEGIN; DEALLOCATE d5; ROLLBACK; DEALLOCATE d6',
        'BEGIN; DEALLOCATE d5; SELECT 1/0',
        'DEALLOCATE d5; DEALLOCATE ALL; SELECT 1',
        'DEALLOCATE d5; DISCARD TEMP; SELECT 1',
        'DEALLOCATE d5; CREATE TEMP TABLE t5 (n int); DROP TABLE t5',
      ]) {
        lines.push(`-- ${sql}`);
        const prepare = [m.parse('d5', 'SELECT 25'), m.parse('d6', 'SELECT 26'), m.sync];
        lines.push(...(await tell(client.ask(prepare))), ...(await tell(client.query(sql))));
        lines.push(...(await tell(client.query('ROLLBACK'))));
        for (const name of ['d5', 'd6']) {
          lines.push(...(await tell(client.ask([m.runNamed(name), m.sync]))));
          lines.push(...(await tell(client.ask([m.closeStatement(name), m.sync]))));
        }
      }
      return lines;
    },
    'PREPARE of a name that is taken is refused': async (client) => {
      const lines = await tell(client.ask([m.parse('d5', 'SELECT 25'), m.sync]));
      for (const sql of [
        'PREPARE d5 AS SELECT 1',
        'SELECT 1; PREPARE d5 (int) AS SELECT $1',
        'BEGIN; PREPARE d5 AS SELECT 1',
        'DEALLOCATE d5; PREPARE d5 AS SELECT 1',
        'DEALLOCATE d5',
      ]) {
        lines.push(...(await tell(client.query(sql))), ...(await tell(client.query('ROLLBACK'))));
        lines.push(...(await tell(client.ask([m.runNamed('d5'), m.sync]))));
      }
      return lines;
    },
    'a name that was refused to PREPARE is free once it is ended': async (client) => {
      const lines = await tell(client.query('CREATE TEMP TABLE keeps_its_server (n int)'));
      for (const end of [
        m.query('DEALLOCATE d5'),
        m.closeStatement('d5'),
        m.query('SELECT 1; DEALLOCATE d5'),
      ]) {
        for (const message of [m.parse('d5', 'SELECT 25'), m.query('PREPARE d5 AS SELECT 1'), end]) {
          const messages = message[0] === QUERY ? [message] : [message, m.sync];
          lines.push(...(await tell(client.ask(messages))));
        }
        lines.push(...(await tell(client.query('PREPARE d5 AS SELECT 1; EXECUTE d5; DEALLOCATE d5'))));
      }
      return [...lines, ...(await tell(client.query('DROP TABLE keeps_its_server')))];
    },
    'DEALLOCATE by a Query behind a batch without Sync ends a name': async (client) => {
      const lines: string[] = [];
      const failing = m.run('SELECT 1/0');
      for (const before of [m.parse('d7', 'SELECT 27'), m.run('SELECT 1'), failing]) {
        lines.push(...(await tell(client.ask([m.parse('d8', 'SELECT 28'), m.sync]))));
        const batch = [before, m.query('DEALLOCATE d8'), m.sync];
        lines.push(...(await tell(client.ask(batch, before === failing ? 1 : 2))));
        for (const name of ['d7', 'd8']) {
          lines.push(...(await tell(client.ask([m.runNamed(name), m.sync]))));
          lines.push(...(await tell(client.ask([m.closeStatement(name), m.sync]))));
        }
      }
      return lines;
    },
    'DEALLOCATE among other statements is waited for by what comes behind it': async (client) => {
      await client.ask([m.parse('d9', 'SELECT 29'), m.sync]);
      const first = [
        m.query('SELECT 1; DEALLOCATE d9'),
        m.parse('d9', 'SELECT 30'),
        m.runNamed('d9'),
        m.sync,
      ];
      const second = ['DEALLOCATE d9; SELECT 2', 'DEALLOCATE d9; SELECT 3', 'DEALLOCATE d9'].map(m.query);
      return tell(client.ask([...first, ...second, m.runNamed('d9'), m.sync], 6));
    },
    'DEALLOCATE of a name that is too long says so': async (client) => {
      const lines: string[] = [];
      const long = `n${'_N'.repeat(40)}`;
      for (const name of [long, `"${long}"`, `OSTLER_${long}`]) {
        const prepared = name.startsWith('"') ? long : name.toLowerCase();
        for (const end of [[m.query(`DEALLOCATE ${name}`)], [m.run(`DEALLOCATE ${name}`), m.sync]]) {
          lines.push(...(await tell(client.ask([m.parse(prepared, 'SELECT 27'), m.sync]))));
          lines.push(...(await tell(client.ask(end))), ...(await tell(client.ask(end))));
        }
      }
      return lines;
    },
    'DEALLOCATE of a name is not undone by a ROLLBACK, but by an error that skips it': async (client) => [
      ...(await tell(client.ask([m.parse('d1', 'SELECT 24'), m.parse('d2', 'SELECT 25'), m.sync]))),
      ...(await tell(client.ask([m.run('SELECT 1/0'), m.run('DEALLOCATE d1'), m.sync]))),
      ...(await tell(client.ask([m.runNamed('d1'), m.sync]))),
      ...(await tell(client.query('BEGIN'))),
      ...(await tell(client.query('DEALLOCATE d1'))),
      ...(await tell(client.query('SELECT 1/0'))),
      ...(await tell(client.query('DEALLOCATE d2'))),
      ...(await tell(client.ask([m.run('DEALLOCATE d2'), m.sync]))),
      ...(await tell(client.query('ROLLBACK'))),
      ...(await tell(client.ask([m.runNamed('d1'), m.sync]))),
      ...(await tell(client.ask([m.runNamed('d2'), m.sync]))),
    ],
    'DEALLOCATE drops what its portal says, whatever is bound besides': async (client) => [
      ...(await tell(client.ask([m.parse('d3', 'SELECT 26'), m.parse('d4', 'DEALLOCATE d3'), m.sync]))),
      ...(await tell(
        client.ask([
          m.bind({ portal: 'p', statement: 'd3' }),
          m.bind({ portal: 'q', statement: 'd4' }),
          m.execute('p'),
          m.execute('q'),
          m.sync,
        ]),
      )),
      ...(await tell(client.ask([m.runNamed('d3'), m.sync]))),
    ],
  };
  for (const [name, script] of Object.entries(scripts)) {
    test(`${name}, like on a connection of its own`, async () => {
      // A second time, when the server has the statements already.
      const first = await sameAsDirect(stage(), 'one', script);
      assert.deepEqual(await sameAsDirect(stage(), 'one', script), first);
    });
  }
});

test('EXECUTE does not find what the protocol has prepared, nor anything else by its name', async () => {
  const client = await stage().login('one');
  await client.ask([m.parse('e', 'SELECT 41'), m.sync]);
  for (const sql of [
    'EXECUTE e; DEALLOCATE e',
    'EXPLAIN EXECUTE e; DEALLOCATE e',
    'DO $$BEGIN EXECUTE $q$EXECUTE e$q$; END$$; DEALLOCATE e',
  ])
    assert.deepEqual(m.errorsOf(await client.query(sql)), ['26000'], sql);
  await client.query('BEGIN; SAVEPOINT s');
  await client.query('SELECT 1/0; DEALLOCATE e');
  await client.query('ROLLBACK TO s');
  assert.deepEqual(m.errorsOf(await client.query('EXECUTE e')), ['26000']);
  await client.query('ROLLBACK');
  assert.deepEqual(m.valuesOf(await client.ask([m.runNamed('e'), m.sync])), ['41']);
  client.quit();
});

test('DEALLOCATE of a name that is none in its client_encoding is refused, and hurts nobody', async () => {
  const name = Buffer.from('\xff', 'latin1');
  const client = await stage().login('one', { client_encoding: 'LATIN1' });
  const parse = m.message('P', (writer) => writer.bytes(name).uint8(0).cstring('SELECT 42').int16(0));
  await client.ask([parse, m.sync]);
  await client.query(`SET client_encoding = 'UTF8'`);
  const deallocate = Buffer.concat([Buffer.from('SELECT 1; DEALLOCATE "'), name, Buffer.from('"\0')]);
  assert.deepEqual(m.errorsOf(await client.ask([m.message('Q', (writer) => writer.bytes(deallocate))])), [
    '22021',
  ]);
  assert.deepEqual(m.valuesOf(await client.query('SELECT 43')), ['43']);
  const other = await stage().login('one');
  assert.deepEqual(m.valuesOf(await other.query('SELECT 44')), ['44']);
  client.quit();
  other.quit();
});
