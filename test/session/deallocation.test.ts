import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deallocationIn, forgetsAll } from '../../src/session/deallocation.ts';

/** As it stands in a message: behind something else, and ended by a zero before the rest. */
const before = Buffer.from('Q123deallocate all\0');
function inMessage<T>(text: string, ask: (bytes: Buffer, at: number, end: number) => T): T {
  const bytes = Buffer.concat([before, Buffer.from(`${text}\0\0\0 all\0`)]);
  return ask(bytes, before.length, bytes.length);
}

describe('a text that drops prepared statements', () => {
  test('drops all where it is DISCARD ALL or DEALLOCATE ALL and nothing else', () => {
    for (const text of ['DISCARD ALL', 'discard  all;', ' \n\tDeallocate All ; ', 'DEALLOCATE PREPARE ALL'])
      assert.equal(inMessage(text, forgetsAll), true, text);
    for (const text of [
      'DISCARD PLANS',
      'DISCARD ALL; SELECT 1',
      'DEALLOCATE x',
      'DEALLOCATE "all"',
      'DEALLOCATEALL',
      'SELECT 1',
      'DISCARD',
      'deallocate prepare',
      'begin; discard all',
      '',
    ])
      assert.equal(inMessage(text, forgetsAll), false, text);
  });

  test('names the one that it drops as PostgreSQL reads it', () => {
    const names: Readonly<Record<string, string | undefined>> = {
      'DEALLOCATE x': 'x',
      'deallocate PREPARE X;': 'x',
      ' /* of ours */ DEALLOCATE "S_1"': 'S_1',
      '-- gone\ndeallocate "a""b"': 'a"b',
      'DEALLOCATE "all"': 'all',
      'DEALLOCATE ALL': undefined,
      'DEALLOCATE a; DEALLOCATE b': undefined,
      'DISCARD ALL': undefined,
      'SELECT 1': undefined,
      '': undefined,
    };
    const found = Object.keys(names).map((text) => [text, inMessage(text, deallocationIn)]);
    assert.deepEqual(Object.fromEntries(found), names);
  });

  test('is read to its zero and no further, and not where that does not come', () => {
    const bytes = Buffer.from('DEALLOCATE x');
    assert.equal(deallocationIn(bytes, 0, bytes.length), undefined);
    assert.equal(forgetsAll(Buffer.from('DISCARD ALL'), 0, 11), false);
    assert.equal(inMessage(`DEALLOCATE x${' '.repeat(1100)}`, deallocationIn), undefined);
  });
});
