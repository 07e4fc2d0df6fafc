import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InternedMap } from '../../src/session/interned-map.ts';
import { lexingOf } from '../../src/session/lexing.ts';
import { Suspicion } from '../../src/session/suspicion.ts';
import { hintsOf } from '../../src/sql/hints.ts';

const told = (strings: string, encoding: string, zone = 'UTC'): InternedMap =>
  InternedMap.of([
    ['standard_conforming_strings', strings],
    ['client_encoding', encoding],
    ['TimeZone', zone],
  ]);
const nothing = new Suspicion();

function after(text: string): Suspicion {
  const suspicion = new Suspicion();
  const bytes = Buffer.from(text);
  suspicion.add(hintsOf(bytes, 0, bytes.length, { standardConformingStrings: true, encoding: 'UTF8' }));
  return suspicion;
}

describe('how a text is read', () => {
  test('is what its client was told last', () => {
    assert.deepEqual(lexingOf(told('on', 'UTF8'), nothing), {
      standardConformingStrings: true,
      encoding: 'UTF8',
    });
    assert.deepEqual(lexingOf(told('off', 'SJIS'), nothing), {
      standardConformingStrings: false,
      encoding: 'SJIS',
    });
    assert.deepEqual(lexingOf(InternedMap.empty, nothing), {
      standardConformingStrings: true,
      encoding: undefined,
    });
  });

  test('is the same object for all that were told the same of it', () => {
    assert.equal(lexingOf(told('on', 'UTF8', 'Asia/Tokyo'), nothing), lexingOf(told('on', 'UTF8'), nothing));
    assert.notEqual(lexingOf(told('off', 'UTF8'), nothing), lexingOf(told('on', 'UTF8'), nothing));
  });

  test('is unknown while what it depends on may be about to change, and only then', () => {
    const unknown = { standardConformingStrings: undefined, encoding: undefined };
    const known = { standardConformingStrings: true, encoding: 'UTF8' };
    const texts = {
      'set standard_conforming_strings = off': unknown,
      "set names 'SJIS'": unknown,
      'reset client_encoding': unknown,
      "select set_config('Client_Encoding', 'SJIS', false)": unknown,
      'reset all': unknown,
      'discard all': unknown,
      'do $$ $$': unknown,
      'set timezone = 1': known,
      'listen x': known,
    };
    for (const [text, expected] of Object.entries(texts))
      assert.deepEqual(lexingOf(told('on', 'UTF8'), after(text)), expected, text);
  });
});
