import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { BodyReader } from '../../src/protocol/body-reader.ts';
import { HEADER_SIZE } from '../../src/protocol/message-types.ts';
import { InternedMap } from '../../src/session/interned-map.ts';
import { missingReports, stateAfterReport, unexpectedReports } from '../../src/session/parameter-status.ts';
import { toHex } from '../../src/session/replay.ts';

const settable = ['TimeZone', 'DateStyle', 'application_name', 'search_path'];
const readOnly = [
  'server_version',
  'is_superuser',
  'in_hot_standby',
  'session_authorization',
  'server_encoding',
];
const reports = (names: readonly string[]): fc.Arbitrary<InternedMap> =>
  fc
    .array(fc.tuple(fc.constantFrom(...names), fc.constantFrom('a', 'b', 'é', '')), { maxLength: 8 })
    .map((entries) => InternedMap.of(entries));
const states = reports(settable.map((name) => name.toLowerCase())).map((state) =>
  InternedMap.of([...state].map(([name, value]) => [name, toHex(value)])),
);

/** What a client knows that knew `told` and gets these messages. */
function toldBy(bytes: Buffer, told: InternedMap): InternedMap {
  const known = new Map(told);
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1)) {
    assert.equal(String.fromCharCode(bytes.readUInt8(at)), 'S');
    const body = new BodyReader(bytes.subarray(at + HEADER_SIZE));
    const name = body.cstring();
    const value = body.cstring();
    assert.notEqual(known.get(name), value, 'nothing is said twice');
    known.set(name, value);
  }
  return InternedMap.of(known);
}

describe('reports', () => {
  test('that a client has not got make it know what the server has reported, and none is one too many', () => {
    fc.assert(
      fc.property(
        reports([...settable, ...readOnly]),
        reports([...settable, ...readOnly]),
        (told, reported) => {
          const known = toldBy(missingReports(told, reported), told);
          assert.equal(known, reported.over(told));
          assert.equal(missingReports(known, reported).length, 0);
        },
      ),
    );
  });

  test('are expected where each is what the state has, or what is usual where it has none', () => {
    const fresh = InternedMap.of([
      ['TimeZone', 'UTC'],
      ['DateStyle', 'ISO'],
    ]);
    const state = InternedMap.of([['timezone', toHex('Asia/Tokyo')]]);
    const unexpected = (zone: string, style: string): string[] =>
      unexpectedReports(state, fresh, InternedMap.of([['TimeZone', zone], ['DateStyle', style]])); // prettier-ignore
    assert.deepEqual(unexpected('Asia/Tokyo', 'ISO'), []);
    assert.deepEqual(unexpected('UTC', 'ISO'), ['timezone']);
    assert.deepEqual(unexpected('Asia/Tokyo', 'German'), ['datestyle']);
  });

  test('of what no session can set are never unexpected, and never part of a state', () => {
    fc.assert(
      fc.property(states, reports(readOnly), reports(readOnly), (state, fresh, reported) => {
        assert.deepEqual(unexpectedReports(state, fresh, reported), []);
        for (const [name, value] of reported)
          assert.equal(stateAfterReport(state, fresh, name, value), state);
      }),
    );
  });

  test('are all expected in the state that is made of them', () => {
    fc.assert(
      fc.property(states, reports(settable), reports(settable), (state, fresh, reported) => {
        let next = state;
        for (const [name, value] of reported) next = stateAfterReport(next, fresh, name, value);
        assert.deepEqual(unexpectedReports(next, fresh, reported), []);
        const names = new Set([...reported].map(([name]) => name.toLowerCase()));
        for (const [name, value] of state) if (!names.has(name)) assert.equal(next.get(name), value);
        for (const [name, value] of reported)
          assert.equal(next.get(name.toLowerCase()), fresh.get(name) === value ? undefined : toHex(value));
      }),
    );
  });
});
