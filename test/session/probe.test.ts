import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { noGuests } from '../../src/session/guest-statements.ts';
import type { PinReason } from '../../src/session/pins.ts';
import { type Findings, probeOf, type Questions, readProbe } from '../../src/session/probe.ts';
import { fromHex, toHex } from '../../src/session/replay.ts';
import { errorsOf } from '../support/messages.ts';
import { query, usePostgres } from '../support/postgres.ts';
import { HOSTILE_SCHEMA } from './hostile.ts';
import { OwnSession } from './own-session.ts';

const nothing: Questions = {
  names: [],
  usual: false,
  setHere: [],
  sweep: false,
  pins: false,
  locks: false,
  prepared: false,
};
const allPins: Questions = { ...nothing, pins: true, locks: true, prepared: true };
const names = ['work_mem', 'timezone', 'search_path', 'app.x', 'role', 'session_authorization'];
const everything: Questions = { ...allPins, names, usual: true, sweep: true };

/** What may be left, and what takes it back; the first thing of each that it may be. */
const leavings: readonly (readonly [PinReason, string, string])[] = [
  ['cursor', 'DECLARE c CURSOR WITH HOLD FOR SELECT 1', 'CLOSE c'],
  ['listen', 'LISTEN hay', 'UNLISTEN hay'],
  ['temp', 'CREATE TEMP TABLE hay (n pg_catalog.int4)', 'DROP TABLE pg_temp.hay'],
  ['temp', 'CREATE DOMAIN pg_temp.hay AS pg_catalog.int4', 'DROP DOMAIN pg_temp.hay'],
  [
    'temp',
    "CREATE FUNCTION pg_temp.hay() RETURNS pg_catalog.int4 LANGUAGE sql AS 'SELECT 1'",
    'DROP FUNCTION pg_temp.hay()',
  ],
  [
    'lock',
    'SELECT pg_catalog.pg_advisory_lock(pg_catalog.pg_backend_pid())',
    'SELECT pg_catalog.pg_advisory_unlock(pg_catalog.pg_backend_pid())',
  ],
  [
    'lock',
    'SELECT pg_catalog.pg_advisory_lock_shared(1, 2)',
    'SELECT pg_catalog.pg_advisory_unlock_shared(1, 2)',
  ],
  ['prepare', 'PREPARE hay AS SELECT 1', 'DEALLOCATE hay'],
];

const oneOfEach = leavings.filter(
  ([reason], index) => leavings.findIndex(([other]) => other === reason) === index,
);

/** What makes it hard to ask. */
const hostile: Readonly<Record<string, readonly string[]>> = {
  'functions, operators and types that come first in search_path': ['SET search_path = evil, pg_catalog'],
  'defaults that make a SELECT wait': [
    'SET default_transaction_isolation = serializable',
    'SET default_transaction_read_only = on',
    'SET default_transaction_deferrable = on',
  ],
  'an encoding that has not the characters': ["SET client_encoding = 'SJIS'"],
  'another role': ['SET ROLE carol'],
  'strings with backslashes and little to say': [
    'SET standard_conforming_strings = off',
    'SET client_min_messages = error',
  ],
  'results in another form': [
    "SET bytea_output = 'escape'",
    'SET quote_all_identifiers = on',
    "SET datestyle = 'German'",
  ],
};

describe('a probe', () => {
  const postgres = usePostgres();
  const sessions: OwnSession[] = [];
  const open = async (): Promise<OwnSession> => {
    const session = await OwnSession.open(postgres());
    sessions.push(session);
    return session;
  };
  const ask = async (session: OwnSession, questions: Questions, patiently = false): Promise<Findings> => {
    const probe = probeOf(questions, session.guests, patiently);
    return readProbe(probe, await session.sendAlone(probe));
  };

  before(async () => {
    await query(postgres(), 'CREATE ROLE carol');
    await query(postgres(), HOSTILE_SCHEMA);
  });
  after(() => {
    for (const session of sessions) session.quit();
  });

  test('finds what pins, whatever is there together', async () => {
    const session = await open();
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.constantFrom(...leavings), { selector: ([reason]) => reason }),
        async (left) => {
          await session.run(...left.map(([, make]) => make));
          const { pins } = await ask(session, allPins);
          await session.run(...left.map(([, , remove]) => remove));
          assert.deepEqual([...pins].toSorted(), left.map(([reason]) => reason).toSorted());
          assert.deepEqual((await ask(session, allPins)).pins, []);
        },
      ),
      { numRuns: 25 },
    );
  });

  test('finds no pin in what is not of this session, or does not outlive its transaction', async () => {
    const [session, other] = [await open(), await open()];
    await other.run(...oneOfEach.map(([, make]) => make));
    await session.run('BEGIN; DECLARE c CURSOR FOR SELECT 1; SELECT pg_advisory_xact_lock(3); COMMIT');
    assert.deepEqual((await ask(session, everything)).pins, []);
  });

  test('finds the values as they are, and what is usual besides, of which it leaves nothing', async () => {
    const session = await open();
    const zone = (await session.see('SHOW timezone')) ?? '';
    await session.run(
      "SET work_mem = '5MB'",
      "SET timezone = 'Asia/Tokyo'",
      `SET app.x = 'é "\\'`,
      'SET ROLE carol',
    );
    const { values, usual } = await ask(session, { ...nothing, names: [...names, 'app.never'], usual: true });
    assert.deepEqual(
      Object.fromEntries([...values].map(([name, hex]) => [name, hex === null ? null : fromHex(hex)])),
      {
        work_mem: '5MB',
        timezone: 'Asia/Tokyo',
        search_path: '"$user", public',
        'app.x': 'é "\\',
        role: 'carol',
        session_authorization: 'postgres',
        'app.never': null,
      },
    );
    assert.deepEqual(
      ['work_mem', 'timezone', 'role', 'session_authorization'].map((name) => usual.get(name)),
      ['4MB', zone, 'none', 'postgres'].map(toHex),
    );
    assert.equal(await session.see('SHOW work_mem'), '5MB');
    assert.equal(await session.see('SELECT current_user'), 'carol');
  });

  test('finds whatever is set where no name is known, and nothing that is only its own or as usual', async () => {
    const session = await open();
    assert.deepEqual((await ask(session, { ...nothing, sweep: true })).values, new Map());
    await session.run(
      "SET work_mem = '5MB'",
      "SET TimeZone = 'Asia/Tokyo'",
      "SET datestyle = 'ISO, MDY'",
      'SELECT setseed(0)',
    );
    const { values } = await ask(session, { ...nothing, sweep: true });
    assert.deepEqual(
      values,
      new Map([
        ['timezone', toHex('Asia/Tokyo')],
        ['work_mem', toHex('5MB')],
      ]),
    );
  });

  for (const [what, settings] of Object.entries(hostile)) {
    test(`is answered the same under ${what}`, async () => {
      const [session, writer] = [await open(), await open()];
      await session.run(`SET app.x = 'é'`, "SET work_mem = '5MB'", ...oneOfEach.map(([, make]) => make));
      await session.run(...settings);
      // What read-only, deferrable transactions wait for.
      await writer.run('BEGIN ISOLATION LEVEL SERIALIZABLE', 'SELECT count(*) FROM pg_class');
      const { values, usual, pins } = await ask(session, everything);
      await writer.run('ROLLBACK');
      assert.deepEqual(
        pins,
        oneOfEach.map(([reason]) => reason),
      );
      assert.deepEqual(
        [values.get('app.x'), values.get('work_mem'), usual.get('work_mem')],
        ['é', '5MB', '4MB'].map(toHex),
      );
    });
  }

  test('that failed for a statement_timeout is answered when it is asked patiently, and leaves the timeout as it was', async () => {
    const session = await open();
    const many = Array.from({ length: 200_000 }, (_, index) => `never.set${String(index)}`);
    await session.run("SET statement_timeout = '50ms'");
    const impatient = probeOf({ ...nothing, names: many }, session.guests, false);
    assert.deepEqual(errorsOf(await session.client.ask([impatient.bytes])), ['57014']);
    assert.equal(session.client.status, 'E');
    const { values } = await ask(session, { ...nothing, names: [...many, 'statement_timeout'] }, true);
    assert.equal(values.get('never.set199999'), null);
    assert.equal(values.get('statement_timeout'), toHex('0'));
    assert.equal(await session.see('SHOW statement_timeout'), '50ms');
  });

  test('says to each question what was answered to that, and nothing of what was not asked', () => {
    const rows = (...values: (string | null)[]): (string | null)[][] => values.map((value) => [value]);
    const probe = probeOf({ ...everything, names: ['a', 'b'] }, noGuests, false);
    assert.deepEqual(probe.guests, [
      'begin',
      'pins',
      'locks',
      'prepared',
      'sweep',
      'values',
      'identity',
      'resetAll',
      'values',
      'rollback',
    ]);
    const answers = [
      [],
      [['f', 't', 'f']],
      rows('t'),
      rows('f'),
      [
        ['c', '03'],
        ['a', '04'],
      ],
      rows('01', null),
      [],
      [],
      rows('02', null),
      [],
    ];
    assert.deepEqual(readProbe(probe, answers), {
      values: new Map([
        ['c', '03'],
        ['a', '01'],
        ['b', null],
      ]),
      usual: new Map([
        ['a', '02'],
        ['b', null],
      ]),
      setHere: new Set(),
      configured: undefined,
      pins: ['listen', 'lock'],
    });
    assert.deepEqual(readProbe(probeOf(nothing, noGuests, false), [[], []]), {
      values: new Map(),
      usual: new Map(),
      setHere: new Set(),
      configured: undefined,
      pins: [],
    });
  });
});
