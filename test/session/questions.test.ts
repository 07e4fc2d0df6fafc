import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InternedMap } from '../../src/session/interned-map.ts';
import type { PinReason } from '../../src/session/pins.ts';
import type { Questions } from '../../src/session/probe.ts';
import { type Asker, isPlainName, onlyResets, questionsOf } from '../../src/session/questions.ts';
import { Suspicion } from '../../src/session/suspicion.ts';
import { hintsOf } from '../../src/sql/hints.ts';

const usual = { standardConformingStrings: true, encoding: 'UTF8' } as const;
const identity = ['session_authorization', 'role'];

function suspicionOf(text: string): Suspicion {
  const suspicion = new Suspicion();
  const bytes = Buffer.from(text);
  suspicion.add(hintsOf(bytes, 0, bytes.length, usual));
  return suspicion;
}

const stateOf = (...names: readonly string[]): InternedMap =>
  InternedMap.of(names.map((name) => [name, '31']));
const pinnedBy = (...reasons: readonly PinReason[]): Partial<Asker> => ({ pin: { reasons, since: 1 } });

const questions = (text: string, asker: Partial<Asker> = {}): Questions | undefined =>
  questionsOf({
    suspicion: suspicionOf(text),
    state: InternedMap.empty,
    brought: InternedMap.empty,
    base: InternedMap.empty,
    pin: undefined,
    functionsDue: false,
    usualMissing: () => false,
    ...asker,
  });

/** What is asked besides names, in words. */
function asked(text: string, asker: Partial<Asker> = {}): string {
  const { names = [], usual: usualToo = false, setHere = [], ...others } = questions(text, asker) ?? {};
  const flags = Object.entries({
    names: names.length > 0,
    usual: usualToo,
    setHere: setHere.length > 0,
    ...others,
  });
  return flags
    .filter(([, flag]) => flag)
    .map(([name]) => name)
    .join(' ');
}

describe('what a server is asked', () => {
  test('is nothing after texts that leave nothing', () => {
    for (const text of ['select 1', 'set local work_mem = 1', 'discard plans', 'close c', 'unlisten *'])
      assert.equal(questions(text), undefined, text);
  });

  test('is what the text may have left, and all of it after one that may be anything', () => {
    const texts = {
      'set work_mem = 1': 'names',
      'set role app': 'names',
      "select set_config('app.x', '1', false)": 'names',
      'listen x': 'pins',
      'declare c cursor with hold for select 1': 'pins',
      'create temp table t ()': 'pins',
      'select pg_advisory_lock(1)': 'locks',
      'prepare x as select 1': 'prepared',
      'do $$ $$': 'names sweep pins locks prepared',
      'listen x; set work_mem = 1': 'names pins',
    };
    assert.deepEqual(Object.fromEntries(Object.keys(texts).map((text) => [text, asked(text)])), texts);
  });

  test('is whether what pins the client still does, whatever it has run', () => {
    const pins: readonly (readonly [PinReason, string])[] = [
      ['cursor', 'pins'],
      ['listen', 'pins'],
      ['temp', 'pins'],
      ['lock', 'locks'],
      ['prepare', 'prepared'],
      ['permanent', ''],
      ['sequence', ''],
    ];
    for (const [reason, expected] of pins)
      assert.equal(asked('select 1', pinnedBy(reason)), expected, reason);
    assert.equal(asked('select 1', pinnedBy('temp', 'lock')), 'pins locks');
  });

  test('is what functions may have left only where that is due', () => {
    assert.equal(questions('select f()'), undefined);
    assert.equal(asked('select f()', { functionsDue: true }), 'pins locks');
  });

  test('is what is usual, of names that are asked and only of those', () => {
    const known: (readonly string[])[] = [];
    const usualMissing = (names: readonly string[]): boolean => {
      known.push(names);
      return true;
    };
    assert.equal(asked('set work_mem = 1', { usualMissing }), 'names usual');
    assert.deepEqual(known, [[...identity, 'work_mem']]);
    assert.equal(asked('listen x', { usualMissing }), 'pins');
  });

  test('is what is usual again once the server has reported what nobody has set', () => {
    const suspicion = suspicionOf('select 1');
    suspicion.addReport('timezone');
    assert.equal(asked('', { suspicion }), 'names usual');
  });
});

describe('whether a setting is set at all', () => {
  test('is asked where its client had brought it and may have reset it since, by its name or with all', () => {
    const brought = stateOf('timezone', 'app.x');
    const setHere = (text: string): readonly string[] | undefined => questions(text, { brought })?.setHere;
    assert.deepEqual(setHere('reset timezone; reset work_mem; reset app.x'), ['timezone']);
    assert.deepEqual(setHere('set timezone = 1'), []);
    assert.deepEqual(setHere('reset all; set timezone = 1; set work_mem = 1'), ['timezone']);
    assert.deepEqual(setHere('reset all'), []);
  });
});

describe('a client with more settings than are asked for', () => {
  test('is asked for none of them', () => {
    const many = stateOf(...Array.from({ length: 400 }, (_, index) => `app.n${String(index)}`));
    assert.equal(asked('set app.n0 = 2', { state: many.without('app.n1') }), 'names');
    assert.equal(asked('set app.n0 = 2', { state: many }), '');
    assert.equal(asked('do $$ $$', { state: many.with('app.more', '31') }), 'pins locks prepared');
  });
});

describe('the names that are asked', () => {
  test('are those of the text, of the client’s settings, of what it brought and of connect_query, and as whom it runs', () => {
    const names = questions('set work_mem = 1', {
      state: stateOf('timezone', 'app.x'),
      brought: stateOf('app.x', 'datestyle'),
      base: stateOf('search_path'),
    })?.names;
    assert.deepEqual(names, [...identity, 'app.x', 'timezone', 'datestyle', 'search_path', 'work_mem']);
  });

  test('are none that cannot be set, last only a transaction or cannot be asked for in every encoding', () => {
    const suspicion = suspicionOf('set work_mem = 1');
    const others = [
      'transaction_isolation',
      'seed',
      'is_superuser',
      'server_version',
      'lc_ctype',
      'app.é',
      'a"b.c',
    ];
    for (const name of others) suspicion.names.add(name);
    assert.deepEqual(questions('', { suspicion })?.names, [...identity, 'work_mem']);
    assert.deepEqual(['app.x', 'a-b.c$', 'work_mem'].map(isPlainName), [true, true, true]);
    assert.deepEqual(['app.é', 'a b.c', ''].map(isPlainName), [false, false, false]);
  });

  test('are without idle_session_timeout, which the server has not, unless it may have been set or reset there', () => {
    const idle = stateOf('idle_session_timeout');
    const own = { state: idle, brought: idle, base: idle };
    const isAsked = (text: string, asker: Partial<Asker>): boolean | undefined =>
      questions(text, asker)?.names.includes('idle_session_timeout');
    assert.equal(isAsked('set work_mem = 1', own), false);
    assert.equal(isAsked('set idle_session_timeout = 1', own), true);
    assert.equal(isAsked('reset all', { ...own, brought: InternedMap.empty }), true);
  });
});

describe('RESET ALL', () => {
  test('of a client that has set nothing needs no question: the server has what is usual', () => {
    const state = stateOf('timezone');
    for (const text of ['reset all', 'discard all', 'reset all; select 1']) {
      assert.equal(questions(text), undefined, text);
      assert.equal(questions(text, { state, brought: state }), undefined, text);
    }
  });

  test('is asked about where the client has set something, or something else may be set', () => {
    assert.equal(asked('reset all', { state: stateOf('timezone') }), 'names');
    assert.equal(asked('reset all', { brought: stateOf('timezone') }), 'names');
    assert.equal(asked('reset all; set work_mem = 1'), 'names');
    assert.equal(asked('reset all; do $$ $$'), 'names sweep pins locks prepared');
  });

  test('is all that is suspected where nothing else is set', () => {
    const client = { state: InternedMap.empty, brought: InternedMap.empty };
    const only = (text: string): boolean => onlyResets({ suspicion: suspicionOf(text), ...client });
    assert.deepEqual(['reset all', 'reset all; listen x', 'reset work_mem', 'select 1'].map(only), [
      true,
      true,
      false,
      false,
    ]);
  });
});
