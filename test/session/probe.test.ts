import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { noGuests } from '../../src/session/guest-statements.ts';
import type { PinReason } from '../../src/session/pins.ts';
import { type Findings, probeOf, type Questions, readProbe } from '../../src/session/probe.ts';
import { fromHex, toHex } from '../../src/session/replay.ts';
import { errorsOf } from '../support/messages.ts';
import { query, usePostgres } from '../support/postgres.ts';
import { until } from '../support/wait.ts';
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
const everything: Questions = {
  ...allPins,
  names,
  usual: true,
  sweep: true,
  setHere: ['work_mem', 'timezone'],
};

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
    const probe = probeOf(questions, session.guests, patiently ? 'patiently' : 'usual');
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

  test('that failed can be asked again, patiently: without the session’s statement_timeout, which it finds all the same', async () => {
    const session = await open();
    await session.run("SET statement_timeout = '10s'", 'SET ROLE carol');
    const impatient = probeOf({ ...nothing, names: ['session_preload_libraries'] }, session.guests, 'usual');
    assert.deepEqual(errorsOf(await session.client.ask([impatient.bytes])), ['42501']);
    assert.equal(session.client.status, 'E');
    const { values } = await ask(
      session,
      { ...everything, names: ['statement_timeout', 'role'], usual: false },
      true,
    );
    assert.deepEqual([values.get('statement_timeout'), values.get('role')], ['10s', 'carol'].map(toHex));
    assert.equal(session.client.status, 'I');
    assert.equal(await session.see('SHOW statement_timeout'), '10s');
  });

  test('that is asked patiently tells of statement_timeout where settings are asked for, and is not stopped by it', async () => {
    const session = await open();
    await session.run("SET statement_timeout = '50ms'");
    const slow = 'SELECT pg_catalog.pg_sleep(0.1)';
    assert.deepEqual(errorsOf(await session.client.query(slow)), ['57014']);
    const sweep = await ask(session, { ...nothing, sweep: true }, true);
    assert.deepEqual(sweep.values, new Map([['statement_timeout', toHex('50ms')]]));
    assert.deepEqual((await ask(session, allPins, true)).values, new Map());
  });

  test('finds what is set, be it to what is usual, and not what was reset', async () => {
    const session = await open();
    await session.run(
      "SET work_mem = '4MB'",
      "SET timezone = 'UTC'",
      'RESET timezone',
      "SET datestyle = 'ISO'",
    );
    const { setHere } = await ask(session, { ...nothing, setHere: ['work_mem', 'timezone', 'role'] });
    assert.deepEqual(setHere, new Set(['work_mem']));
  });

  test('tells by the time of the last reload whether what is usual may be another, under any settings', async () => {
    const [session, other] = [await open(), await open()];
    const configured = async (one: OwnSession): Promise<string | undefined> =>
      (await ask(one, { ...nothing, names: ['role'] })).configured;
    const first = await configured(session);
    assert.match(first ?? '', /^[0-9a-f]{16}$/);
    await other.run("SET datestyle = 'German'", "SET timezone = 'Asia/Tokyo'");
    assert.equal(await configured(other), first);
    await other.run('SELECT pg_reload_conf()');
    await until(async () => (await configured(session)) !== first);
    assert.equal((await ask(session, allPins)).configured, undefined);
  });

  test('lightly finds the same, and leaves no transaction when it fails', async () => {
    const session = await open();
    await session.run("SET work_mem = '5MB'", 'LISTEN news');
    const questions = { ...nothing, names: ['work_mem'], pins: true, sweep: true };
    const probe = probeOf(questions, session.guests, 'lightly');
    assert.deepEqual(
      readProbe(probe, await session.sendAlone(probe)).values,
      (await ask(session, questions)).values,
    );
    const refused = probeOf({ ...nothing, names: ['session_preload_libraries'] }, session.guests, 'lightly');
    await session.run('SET ROLE carol');
    assert.deepEqual(errorsOf(await session.client.ask([refused.bytes])), ['42501']);
    assert.equal(session.client.status, 'I');
  });

  test('says to each question what was answered to that, and nothing of what was not asked', () => {
    const rows = (...values: (string | null)[]): (string | null)[][] => values.map((value) => [value]);
    const probe = probeOf({ ...everything, names: ['a', 'b'] }, noGuests, 'patiently');
    const answers = {
      rollback: [],
      begin: [],
      timeout: rows('1s'),
      noTimeout: [],
      pins: [['f', 't', 'f']],
      locks: rows('t'),
      prepared: rows('f'),
      sweep: [
        ['c', '03'],
        ['a', '04'],
      ],
      values: rows('01', null, 'time'),
      setHere: rows('a'),
      identity: [],
      resetAll: [],
    };
    assert.deepEqual(probe.guests, [...Object.keys(answers), 'values', 'rollback']);
    assert.deepEqual(readProbe(probe, [...Object.values(answers), rows('02', null, 'time'), []]), {
      values: new Map([
        ['c', '03'],
        ['a', '01'],
        ['b', null],
        ['statement_timeout', toHex('1s')],
      ]),
      usual: new Map([
        ['a', '02'],
        ['b', null],
      ]),
      setHere: new Set(['a']),
      configured: 'time',
      pins: ['listen', 'lock'],
    });
    assert.deepEqual(readProbe(probeOf(nothing, noGuests, 'usual'), [[], []]), {
      values: new Map(),
      usual: new Map(),
      setHere: new Set(),
      configured: undefined,
      pins: [],
    });
  });
});
