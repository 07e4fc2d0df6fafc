import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ClientError } from '../../src/protocol/errors.ts';
import { parseStartupOptions } from '../../src/protocol/startup-options.ts';

/** The same by regular expressions; undefined where it is refused. */
function model(text: string): [string, string][] | undefined {
  const words = (text.match(/(?:\\[^]|\\$|[^ \t\n\r\f\v\\])+/g) ?? []).map((word) =>
    word.replaceAll(/\\([^]?)/g, '$1'),
  );
  const settings: [string, string][] = [];
  while (words.length > 0) {
    const word = words.shift() ?? '';
    const switchOf = /^(?:-c|--(?=.))/s.exec(word)?.[0];
    if (switchOf === undefined) return undefined;
    const assignment = word === '-c' ? (words.shift() ?? '') : word.slice(switchOf.length);
    const parts = /^([^=]+)=(.*)$/s.exec(assignment);
    if (parts === null) return undefined;
    settings.push([(parts[1] ?? '').split('-').join('_'), parts[2] ?? '']);
  }
  return settings;
}

/** As libpq's users write it: every character that could mean something gets a backslash. */
const escaped = (text: string): string => text.replaceAll(/[\s\\]/g, String.raw`\$&`);

describe('parseStartupOptions', () => {
  test('reads the three ways to write a setting', () => {
    assert.deepEqual(parseStartupOptions('-c search_path=app -cwork_mem=4MB  --statement-timeout=5s'), [
      ['search_path', 'app'],
      ['work_mem', '4MB'],
      ['statement_timeout', '5s'],
    ]);
  });

  test('finds nothing in nothing', () => {
    assert.deepEqual(parseStartupOptions(''), []);
    assert.deepEqual(parseStartupOptions(' \t\n\r\f\v '), []);
  });

  test('takes a blank or backslash behind a backslash as it is', () => {
    assert.deepEqual(parseStartupOptions(String.raw`-c search_path=a,\ b\\c -c x=\ `), [
      ['search_path', String.raw`a, b\c`],
      ['x', ' '],
    ]);
  });

  test('gives quotes no meaning', () => {
    assert.deepEqual(parseStartupOptions(`-c search_path='a`), [['search_path', `'a`]]);
    assert.throws(() => parseStartupOptions(`-c search_path='a b'`), ClientError);
  });

  test('keeps an empty value, an equals sign in a value and every setting that comes twice', () => {
    assert.deepEqual(parseStartupOptions('-c a= -c b=c=d -c a=1'), [
      ['a', ''],
      ['b', 'c=d'],
      ['a', '1'],
    ]);
  });

  test('writes an underscore for a hyphen in names only', () => {
    assert.deepEqual(parseStartupOptions('--my-app.some-name=a-b -cx-y=-'), [
      ['my_app.some_name', 'a-b'],
      ['x_y', '-'],
    ]);
  });

  test('refuses switches that set nothing by name', () => {
    for (const text of ['-e', '-fs', '-S 1000', '-d 5', '--', 'work_mem=1', '-', '\\']) {
      assert.throws(
        () => parseStartupOptions(text),
        (error) => error instanceof ClientError && error.sqlState === '0A000',
        text,
      );
    }
  });

  test('refuses a setting without a value or a name', () => {
    for (const text of ['-c', '-c work_mem', '-cwork_mem', '--work_mem', '-c =1', '--=1']) {
      assert.throws(
        () => parseStartupOptions(text),
        (error) => error instanceof ClientError && error.sqlState === '42601',
        text,
      );
    }
  });

  test('agrees with a model, whatever the text', () => {
    const piece = fc.constantFrom(
      '-c',
      '--',
      '-',
      'a',
      'b',
      '=',
      ' ',
      '\t',
      '\v',
      '\\',
      "'",
      'é',
      '\u00a0',
      '😀',
      '-c a=b ',
    );
    fc.assert(
      fc.property(
        fc.array(fc.oneof(piece, fc.string({ unit: 'binary', maxLength: 3 })), { maxLength: 14 }),
        (pieces) => {
          const text = pieces.join('');
          const expected = model(text);
          if (expected === undefined) assert.throws(() => parseStartupOptions(text), ClientError);
          else assert.deepEqual(parseStartupOptions(text), expected);
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('gives back what was escaped', () => {
    const name = fc.stringMatching(/^[a-z_][a-z0-9_.]*$/);
    const form = fc.constantFrom('-c ', '-c', '--');
    fc.assert(
      fc.property(fc.array(fc.tuple(form, name, fc.string({ unit: 'binary' }))), (settings) => {
        const text = settings.map(([how, key, value]) => `${how}${escaped(`${key}=${value}`)}`).join(' ');
        assert.deepEqual(
          parseStartupOptions(text),
          settings.map(([, key, value]) => [key, value]),
        );
      }),
    );
  });
});
