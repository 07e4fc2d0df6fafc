import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseUserList } from '../../src/auth/user-list.ts';

const read = (text: string): [string, string][] => {
  const { secrets, problems } = parseUserList(text);
  assert.deepEqual(problems, []);
  return [...secrets];
};

describe('parseUserList', () => {
  test('reads users and secrets, and ignores the rest of each line', () => {
    const text = '"app" "secret" "old, secret"\n\t"b c"\t"md5…"  # what follows is ignored\r\n"empty" ""';
    assert.deepEqual(read(text), [
      ['app', 'secret'],
      ['b c', 'md5…'],
      ['empty', ''],
    ]);
  });

  test('skips blank lines, comments and a byte order mark', () => {
    assert.deepEqual(read('\uFEFF; users\n\n  \r\n"app" "x"\n;"other" "y"\n'), [['app', 'x']]);
  });

  test('reads two quotes as one', () => {
    assert.deepEqual(read('"a""b" """"'), [['a"b', '"']]);
  });

  test('reads back whatever can be written on a line', () => {
    const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\n'));
    const quote = (value: string): string => `"${value.replaceAll('"', '""')}"`;
    const users = fc.uniqueArray(
      fc.tuple(
        text.filter((name) => name !== ''),
        text,
      ),
      { selector: ([name]) => name },
    );
    fc.assert(
      fc.property(users, (entries) => {
        const written = entries.map(([name, secret]) => `${quote(name)} ${quote(secret)}`).join('\n');
        assert.deepEqual(read(written), entries);
      }),
    );
  });

  test('reports every broken line by its number, keeps the others, and shows no secret', () => {
    const text = '"a" "1"\nb "hunter2"\n"c" hunter2\n"d" "hunter2\n"a""hunter2"\n"" "hunter2"\n"e" "5"\n';
    const { secrets, problems } = parseUserList(text);
    assert.deepEqual(
      [...secrets],
      [
        ['a', '1'],
        ['e', '5'],
      ],
    );
    assert.deepEqual(
      problems.map(({ line }) => line),
      [2, 3, 4, 5, 6],
    );
    assert.ok(!JSON.stringify(problems).includes('hunter2'));
  });

  test('reports a user who is listed twice, and takes the last secret as PgBouncer does', () => {
    const { secrets, problems } = parseUserList('"a" "1"\n"a" "2"\n');
    assert.deepEqual([...secrets], [['a', '2']]);
    assert.deepEqual(problems, [
      { line: 2, message: 'user "a" is listed twice; the last one counts', warning: true },
    ]);
  });

  test('reads any text, and takes no longer for a hostile one', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseUserList(text);
      }),
    );
    const started = performance.now();
    assert.equal(parseUserList(`"${'""'.repeat(50_000)}\n${' '.repeat(50_000)}x`).problems.length, 2);
    assert.ok(performance.now() - started < 2000);
  });
});
