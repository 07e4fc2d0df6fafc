import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { understand } from '../../src/admin/commands.ts';
import { sentences } from '../../src/admin/grammar.ts';
import { ClientError } from '../../src/protocol/errors.ts';

const words = (sql: string): string[][] =>
  sentences(sql).map(({ tokens }) => tokens.map(({ kind, text }) => `${kind} ${text}`));

/** What a person could type, and what nobody would. */
const typed = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(
      fc.oneof(
        fc.constantFrom(
          ...`show SET pause kill_client select pools shutdown to = ; " ' "" '' -- /* */ 0x1 * ( ) $1 pool_mode ö -`.split(
            ' ',
          ),
          '\n',
          '\0',
        ),
        fc.string(),
      ),
    )
    .map((parts) => parts.join(' ')),
);

describe('the grammar of the console', () => {
  test('takes words, quoted names and strings apart', () => {
    assert.deepEqual(words(`SET "k""ey" TO 'it''s'`), [['word SET', 'name k"ey', 'word TO', "string it's"]]);
  });

  test('separates commands by semicolons, and leaves out empty ones', () => {
    assert.deepEqual(words(`show pools;; ; pause "a;b" -- now;\n;`), [
      ['word show', 'word pools'],
      ['word pause', 'name a;b'],
    ]);
    assert.deepEqual(words(' ;-- ping'), []);
  });

  test('lets dots and dashes be part of a name without quotes', () => {
    assert.deepEqual(words('pause my-app.v2--not this'), [['word pause', 'word my-app.v2']]);
  });

  test('keeps the text of each command for messages', () => {
    assert.deepEqual(
      sentences(' foo  bar ; baz').map(({ text }) => text),
      ['foo  bar', 'baz'],
    );
  });

  test('refuses quotes and comments that do not end', () => {
    for (const sql of [`pause "a`, `set x = 'a`, 'show /* pools', `"""`]) {
      assert.throws(() => sentences(sql), { sqlState: '42601', severity: 'ERROR' }, sql);
    }
  });

  test('reads a quoted name back as it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        assert.deepEqual(words(`pause "${name.replaceAll('"', '""')}";`), [['word pause', `name ${name}`]]);
      }),
    );
  });

  test('understands every text as a command, or refuses it with an error that keeps the session', () => {
    fc.assert(
      fc.property(typed, (sql) => {
        try {
          for (const sentence of sentences(sql)) understand(sentence);
        } catch (error) {
          assert.ok(error instanceof ClientError, String(error));
          assert.equal(error.severity, 'ERROR');
          assert.ok(error.message.length < 300);
        }
      }),
      { numRuns: 1000 },
    );
  });

  /** Of this process, in µs: others do not count. */
  const cpuTime = (): number => process.cpuUsage().user;

  test('takes time in proportion to the length of what was typed', () => {
    for (const piece of ['"', "'", '/*', '--', ';', '-', 'a-', '" "']) {
      const sql = piece.repeat(65_000 / piece.length);
      const before = cpuTime();
      try {
        sentences(sql);
      } catch (error) {
        assert.ok(error instanceof ClientError);
      }
      // In proportion to its square it would be more by far.
      assert.ok(cpuTime() - before < 2e6, piece);
    }
  });
});
