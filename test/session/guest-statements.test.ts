import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { HEADER_SIZE } from '../../src/protocol/message-types.ts';
import {
  type Batch,
  type Guest,
  GuestBatch,
  type GuestMessage,
  noGuests,
} from '../../src/session/guest-statements.ts';

const guest = fc.constantFrom<Guest>(
  'begin',
  'commit',
  'identity',
  'resetAll',
  'set',
  'values',
  'pins',
  'locks',
  'prepared',
);
const runs = fc.array(guest, { maxLength: 8 });
const letters: Readonly<Record<string, GuestMessage>> = { P: 'parse', B: 'bind', E: 'execute', C: 'close' };

function batchOf(prepared: number, guests: readonly Guest[]): Batch {
  const batch = new GuestBatch(prepared);
  for (const one of guests) batch.run(one);
  return batch.take();
}

/** The messages in a batch's bytes, with the first name that each has: for Bind the portal, for Close its kind and the statement. */
function messagesIn(bytes: Buffer): [message: string | undefined, name: string][] {
  const found: [string | undefined, string][] = [];
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1)) {
    const body = bytes.subarray(at + HEADER_SIZE);
    found.push([
      letters[String.fromCharCode(bytes.readUInt8(at))],
      body.toString('latin1', 0, body.indexOf(0)),
    ]);
  }
  return found;
}

describe('a batch of our own statements', () => {
  test('prepares each where the server has it not, once, and runs all in order', () => {
    fc.assert(
      fc.property(fc.array(runs, { maxLength: 4 }), (batches) => {
        const known = new Set<Guest>();
        let prepared = noGuests;
        for (const guests of batches) {
          const batch = batchOf(prepared, guests);
          const expected: [string, string][] = [];
          for (const one of guests) {
            if (!known.has(one)) expected.push(['close', `Sostler_${one}`], ['parse', `ostler_${one}`]);
            known.add(one);
            expected.push(['bind', ''], ['execute', '']);
          }
          assert.deepEqual(messagesIn(batch.bytes), expected);
          assert.deepEqual(
            batch.messages,
            expected.map(([message]) => message),
          );
          assert.deepEqual(batch.guests, guests);
          prepared = batch.prepared;
        }
      }),
    );
  });

  test('leaves the same prepared in whatever order, and nothing new where all is there', () => {
    fc.assert(
      fc.property(runs, runs, (some, others) => {
        const { prepared } = batchOf(noGuests, [...some, ...others]);
        assert.equal(batchOf(noGuests, [...others, ...some]).prepared, prepared);
        assert.equal(batchOf(prepared, some).prepared, prepared);
        assert.deepEqual(
          batchOf(prepared, some).messages,
          some.flatMap(() => ['bind', 'execute']),
        );
      }),
    );
  });

  test('has the values of a statement in its Bind', () => {
    const { bytes } = new GuestBatch(noGuests).run('set', ['{a}', '{"é"}']).take();
    assert.ok(bytes.includes(Buffer.from('\0\0\0\x03{a}\0\0\0\x06{"é"}')));
  });
});
