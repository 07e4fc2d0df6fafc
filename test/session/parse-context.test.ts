import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InternedMap } from '../../src/session/interned-map.ts';
import { changesParsing, parseContextOf } from '../../src/session/parse-context.ts';
import { Suspicion } from '../../src/session/suspicion.ts';
import { hintsOf } from '../../src/sql/hints.ts';

const stateOf = (...names: readonly string[]): InternedMap =>
  InternedMap.of(names.map((name) => [name, '31']));

function changes(text: string): boolean {
  const suspicion = new Suspicion();
  const bytes = Buffer.from(text);
  suspicion.add(hintsOf(bytes, 0, bytes.length, { standardConformingStrings: true, encoding: 'UTF8' }));
  return changesParsing(suspicion);
}

describe('the settings under which a statement is parsed', () => {
  test('are those of a state that change what a text means, so that clients which differ in others share statements', () => {
    const context = parseContextOf(stateOf('search_path', 'timezone', 'work_mem', 'role', 'app.x'));
    assert.equal(context, stateOf('search_path', 'timezone'));
    assert.equal(parseContextOf(stateOf('search_path', 'timezone', 'statement_timeout')), context);
    assert.equal(parseContextOf(stateOf('work_mem')), InternedMap.empty);
  });

  test('may change with a text that sets one of them, be it for its transaction only, or may set anything', () => {
    for (const text of [
      'set search_path = a',
      'reset timezone',
      "set names 'LATIN1'",
      'set local datestyle = iso',
      "select set_config('bytea_output', 'hex', true)",
      'reset all',
      'discard all',
      'do $$ $$',
    ])
      assert.equal(changes(text), true, text);
    for (const text of ['set work_mem = 1', 'set local work_mem = 1', 'set role a', 'listen x', 'select f()'])
      assert.equal(changes(text), false, text);
  });
});
