import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { HintScanner, hintsOf, type Lexing, type StatementHints } from '../../src/sql/hints.ts';
import { corpus } from './corpus.ts';
import { noise } from './texts.ts';

const lexings: fc.Arbitrary<Lexing> = fc.record({
  standardConformingStrings: fc.constantFrom(true, false, undefined),
  encoding: fc.constantFrom('UTF8', 'SJIS', 'GB18030', 'BIG5', 'LATIN1', undefined),
});

/** In pieces of these sizes, again and again from the first; each in a buffer that is overwritten afterwards. */
function inPieces(text: Buffer, sizes: readonly number[], lexing: Lexing): StatementHints {
  const scanner = new HintScanner(lexing);
  const chunk = Buffer.alloc(text.length + 6);
  for (let at = 0, turn = 0; at < text.length; turn++) {
    const end = Math.min(text.length, at + (sizes[turn % sizes.length] ?? text.length));
    const start = 3 + (turn % 3);
    text.copy(chunk, start, at, end);
    scanner.feed(chunk, start, start + end - at);
    chunk.fill(0x27);
    at = end;
  }
  return scanner.finish();
}

/** With what an unlucky reader would take for more of the text around it. */
function whole(text: Buffer, lexing: Lexing): StatementHints {
  const around = Buffer.concat([Buffer.from("'/*"), text, Buffer.from("\\'*/")]);
  return hintsOf(around, 3, 3 + text.length, lexing);
}

describe('a text in pieces', () => {
  test('has the hints of the whole, however it is cut', () => {
    fc.assert(
      fc.property(
        noise,
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 }),
        lexings,
        (text, sizes, lexing) => {
          assert.deepEqual(inPieces(text, sizes, lexing), whole(text, lexing));
        },
      ),
      { numRuns: 5000 },
    );
  });

  test('has them also byte by byte', () => {
    const unknown: Lexing = { standardConformingStrings: undefined, encoding: undefined };
    const usual: Lexing = { standardConformingStrings: true, encoding: 'UTF8' };
    const texts = [
      'deallocate "x""y"',
      "select e'é\\', 1",
      "select 'é\\', 1",
      'select é@x',
      'select é',
      `select e'${'x'.repeat(1100)}é\\', 1`,
      `select set_config('${'x'.repeat(1023)}', 'a', false)`,
      `select set_config('${'x'.repeat(1024)}', 'a', false)`,
      `select ${'x'.repeat(1025)}; set work_mem = '5MB'`,
    ].map((text) => Buffer.from(text));
    const samples = texts.flatMap((text) => [unknown, usual].map((lexing) => ({ text, lexing })));
    for (const { text, lexing } of [...corpus, ...samples])
      assert.deepEqual(inPieces(text, [1], lexing), whole(text, lexing), text.toString('latin1'));
  });

  test('has them when the whole is large', () => {
    const row = `(1, 'it''s a row', E'\\'', $a$ $$ $a$, "c", 1.5 /* x */), -- y\n`;
    const rows = `insert into t (a) values ${row.repeat(Math.ceil(2 ** 20 / row.length))} (1)`;
    const long = `select '${'x'.repeat(2 ** 20)}', $$${"'".repeat(2 ** 20)}$$ /*${'*'.repeat(2 ** 20)}/ */`;
    const lexing: Lexing = { standardConformingStrings: true, encoding: 'UTF8' };
    for (const text of [rows, long]) {
      const bytes = Buffer.from(`${text}; set work_mem = '5MB'`);
      const hints = whole(bytes, lexing);
      assert.deepEqual(hints.names, ['work_mem']);
      assert.deepEqual(inPieces(bytes, [65_536], lexing), hints);
      assert.deepEqual(inPieces(bytes, [1000, 1, 4099], lexing), hints);
    }
  });
});
