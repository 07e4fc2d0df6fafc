import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { arrayLiteral, GuestBatch, noGuests } from '../../src/session/guest-statements.ts';
import { InternedMap } from '../../src/session/interned-map.ts';
import {
  fromHex,
  hasIdentity,
  isIdentity,
  replayOf,
  type SessionState,
  toHex,
} from '../../src/session/replay.ts';
import { bind, errorsOf, execute, parse, sync, valuesOf } from '../support/messages.ts';
import { query, usePostgres } from '../support/postgres.ts';
import { HOSTILE_SCHEMA } from './hostile.ts';
import { OwnSession } from './own-session.ts';

const settingsOnly = { identity: true, clean: false, sequences: false };
const everything = { identity: true, clean: true, sequences: true };

/** Values as the server shows them, so that they can be compared. */
const choices: Readonly<Record<string, readonly string[]>> = {
  work_mem: ['4MB', '5MB', '7MB'],
  TimeZone: ['UTC', 'Asia/Tokyo'],
  DateStyle: ['ISO, DMY', 'German, DMY', 'ISO, MDY'],
  search_path: ['pg_catalog', 'evil, pg_catalog', '"a, b", "c""d", public', '""'],
  client_encoding: ['UTF8', 'SJIS', 'LATIN1'],
  standard_conforming_strings: ['on', 'off'],
  default_transaction_isolation: ['serializable', 'read committed'],
  default_transaction_read_only: ['on', 'off'],
  default_transaction_deferrable: ['on', 'off'],
  session_replication_role: ['replica', 'origin'],
  session_authorization: ['alice', 'postgres'],
  role: ['carol', 'none'],
};
const custom = ['app.one', 'app.two'];
const names = [...Object.keys(choices), ...custom];

/** What quotes, arrays, hex and encodings might spoil; every character is in LATIN1. */
const awkward = fc.string({
  unit: fc.constantFrom('\\', '"', "'", '{', '}', ',', '$', '%', ' ', '\n', 'é', 'ÿ', '\u{a0}', 'x', 'NULL'),
  maxLength: 12,
});
const chosen = fc
  .constantFrom(...Object.keys(choices))
  .chain((name) => fc.tuple(fc.constant(name), fc.constantFrom(...(choices[name] ?? []))));
const settings = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: chosen },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...custom), awkward) },
  ),
  { maxLength: 6 },
);

/** Some cannot be set where others have been: the session has what it has. */
async function makeDirty(
  { client }: OwnSession,
  some: readonly (readonly [string, string])[],
): Promise<void> {
  for (const [name, value] of some) {
    const text = `pg_catalog.convert_from(pg_catalog.decode('${toHex(value)}', 'hex'), 'UTF8')`;
    await client.query(`SELECT pg_catalog.set_config('${name}', ${text}, false) IS NULL`);
  }
}

/** In hex; of a custom setting that is not there, empty. */
async function valuesIn(session: OwnSession): Promise<Map<string, string>> {
  const ask = new GuestBatch(session.guests)
    .run('begin')
    .run('values', [arrayLiteral(names)])
    .run('commit');
  const [, rows = []] = await session.send(ask.take());
  return new Map(names.map((name, index) => [name, rows[index]?.[0] ?? '']));
}

describe('a replay', () => {
  const postgres = usePostgres();
  const sessions: OwnSession[] = [];
  const open = async (database = 'postgres'): Promise<OwnSession> => {
    const session = await OwnSession.open({ ...postgres(), database });
    sessions.push(session);
    return session;
  };

  before(async () => {
    await query(postgres(), 'CREATE ROLE alice SUPERUSER');
    await query(postgres(), 'CREATE ROLE carol');
    await query(
      postgres(),
      "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'",
    );
    for (const database of ['postgres', 'latin']) await query({ ...postgres(), database }, HOSTILE_SCHEMA);
  });
  after(() => {
    for (const session of sessions) session.quit();
  });

  for (const [database, encoding] of [
    ['postgres', 'utf8'],
    ['latin', 'latin1'],
  ] as const) {
    test(`is absolute: whatever was set, it alone is set afterwards, in a database of ${encoding}`, async () => {
      const session = await open(database);
      const usual = await valuesIn(session);
      const possible = ([, value]: readonly [string, string]): boolean =>
        database === 'postgres' || value !== 'SJIS';
      await fc.assert(
        fc.asyncProperty(settings, settings, async (found, wanted) => {
          await makeDirty(session, found);
          const hex = (value: string): string => Buffer.from(value, encoding).toString('hex');
          const state = InternedMap.of(wanted.filter(possible).map(([name, value]) => [name, hex(value)]));
          await session.send(replayOf(state, settingsOnly, session.guests));
          assert.deepEqual(await valuesIn(session), new Map([...usual, ...state]));
        }),
        { numRuns: 60 },
      );
    });
  }

  test('of nothing leaves what a fresh session has, as everybody sees it', async () => {
    const session = await open();
    const show =
      "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE name !~ '^plpgsql'";
    const fresh = await session.see(show);
    const { role = [], session_authorization: users = [] } = choices;
    const some = Object.entries(choices).map(([name, [value = '']]): [string, string] => [name, value]);
    await makeDirty(session, some);
    assert.deepEqual(
      [await session.see('SELECT session_user'), await session.see('SELECT current_user')],
      [users[0], role[0]],
    );
    await session.send(replayOf(InternedMap.empty, settingsOnly, session.guests));
    assert.equal(await session.see(show), fresh);
    assert.equal(await session.see('SELECT session_user || current_user'), 'postgrespostgres');
  });

  test('leaves the client’s unnamed statement and prepared ones, and takes nothing back that the client does next', async () => {
    const session = await open();
    const { client } = session;
    await client.ask([parse('', "SELECT 'mine'"), parse('named', "SELECT 'named'"), sync]);
    const state = InternedMap.of([['work_mem', toHex('5MB')]]);
    const { bytes } = replayOf(state, everything, session.guests);
    const theirs = [
      bind(),
      execute(),
      bind({ statement: 'named' }),
      execute(),
      parse('', 'SELECT 1/0'),
      bind(),
      execute(),
    ];
    const replies = await client.ask([bytes, ...theirs, sync]);
    assert.deepEqual(valuesOf(replies).slice(-2), ['mine', 'named']);
    assert.deepEqual(errorsOf(replies), ['22012']);
    assert.equal(await session.see('SHOW work_mem'), '5MB');
  });

  test('that fails lets nothing run that comes behind it', async () => {
    const { client } = await open();
    const state = InternedMap.of([['role', toHex('nobody')]]);
    const { bytes } = replayOf(state, settingsOnly, noGuests);
    const replies = await client.ask([bytes, parse('', "SELECT 'ran'"), bind(), execute(), sync]);
    assert.deepEqual(errorsOf(replies), ['22023']);
    assert.equal(valuesOf(replies).includes('ran'), false);
  });

  test('takes cursors, channels, locks, temporary objects and sequences away where it is to clean, and only there', async () => {
    const session = await open();
    const left = `SELECT concat_ws(' ', (SELECT count(*) FROM pg_cursors WHERE is_holdable), (SELECT count(*) FROM pg_listening_channels()),
      (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), to_regclass('pg_temp.hay'))`;
    await session.run(
      'DECLARE c CURSOR WITH HOLD FOR SELECT 1; LISTEN x; SELECT pg_advisory_lock(1)',
      "CREATE TEMP TABLE hay (id serial); CREATE SEQUENCE s; SELECT nextval('s')",
    );
    await session.send(replayOf(InternedMap.empty, settingsOnly, session.guests));
    assert.equal(await session.see(left), '1 1 1 hay');
    assert.equal(await session.see('SELECT lastval()'), '1');
    await session.send(replayOf(InternedMap.empty, { ...settingsOnly, sequences: true }, session.guests));
    assert.deepEqual(errorsOf(await session.client.query('SELECT lastval()')), ['55000']);
    assert.equal(await session.see(left), '1 1 1 hay');
    await session.send(replayOf(InternedMap.empty, everything, session.guests));
    assert.equal(await session.see(left), '0 0 0');
  });

  test('has arrays that give PostgreSQL their items as they are', async () => {
    const lists = fc.sample(fc.array(awkward), 200);
    const sql =
      'SELECT to_json(list::text[]) AS items FROM unnest($1::text[]) WITH ORDINALITY AS t(list, n) ORDER BY n';
    const rows = await query(postgres(), sql, [lists.map(arrayLiteral)]);
    assert.deepEqual(
      rows.map(({ items }) => items),
      lists,
    );
  });

  test('never gives a server the client’s idle_session_timeout', async () => {
    const session = await open();
    const state = InternedMap.of([['idle_session_timeout', toHex('5s')]]);
    await session.send(replayOf(state, settingsOnly, session.guests));
    assert.equal(await session.see('SHOW idle_session_timeout'), '0');
  });

  test('is made once for a state, what is prepared and what it is to do', () => {
    const state: SessionState = InternedMap.of([['work_mem', toHex('5MB')]]);
    const first = replayOf(state, settingsOnly, noGuests);
    assert.equal(replayOf(state, { ...settingsOnly }, noGuests), first);
    for (const other of [
      replayOf(state, everything, noGuests),
      replayOf(state, { ...settingsOnly, sequences: true }, noGuests),
      replayOf(state, settingsOnly, first.prepared),
      replayOf(InternedMap.empty, settingsOnly, noGuests),
    ])
      assert.notEqual(other, first);
  });

  test('resets who the session is only where that may be somebody else', () => {
    const guests = (state: SessionState, identity: boolean): boolean =>
      replayOf(state, { ...settingsOnly, identity }, noGuests).guests.includes('identity');
    const role = InternedMap.of([['role', toHex('carol')]]);
    const other = InternedMap.of([['work_mem', toHex('5MB')]]);
    assert.deepEqual([guests(other, false), guests(other, true), guests(role, false)], [false, true, true]);
    assert.deepEqual([hasIdentity(other), hasIdentity(role)], [false, true]);
    assert.deepEqual(['role', 'session_authorization', 'work_mem'].map(isIdentity), [true, true, false]);
  });

  test('carries text as hex of its bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        assert.equal(fromHex(toHex(text)), text);
      }),
    );
  });
});
