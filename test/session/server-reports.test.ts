import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InternedMap } from '../../src/session/interned-map.ts';
import { toHex } from '../../src/session/replay.ts';
import { ServerReports } from '../../src/session/server-reports.ts';

const tokyo = InternedMap.of([['timezone', toHex('Asia/Tokyo')]]);

function atLogin(): ServerReports {
  const reports = new ServerReports();
  reports.adopt(
    InternedMap.of([
      ['TimeZone', 'UTC'],
      ['server_version', '18.0'],
    ]),
  );
  return reports;
}

describe('the reports of a server', () => {
  test('are all as they should be at login', () => {
    const reports = atLogin();
    assert.deepEqual(reports.unexpected(InternedMap.empty), []);
    assert.equal(reports.asState(InternedMap.empty), InternedMap.empty);
  });

  test('that are not what the state has are named once, until something else is reported', () => {
    const reports = atLogin();
    reports.add('TimeZone', 'Asia/Tokyo');
    assert.deepEqual(reports.unexpected(InternedMap.empty), ['timezone']);
    assert.deepEqual(reports.unexpected(InternedMap.empty), []);
    reports.add('TimeZone', 'Asia/Tokyo');
    assert.deepEqual(reports.unexpected(InternedMap.empty), []);
    reports.add('DateStyle', 'German');
    assert.deepEqual(reports.unexpected(tokyo), ['datestyle']);
  });

  test('make a state of what is reported, without what is usual', () => {
    const reports = atLogin();
    const other = InternedMap.of([['work_mem', toHex('5MB')]]);
    reports.add('TimeZone', 'Asia/Tokyo');
    assert.equal(reports.asState(other), other.with('timezone', toHex('Asia/Tokyo')));
    reports.add('TimeZone', 'UTC');
    assert.equal(reports.asState(tokyo), InternedMap.empty);
  });

  test('are compared with what is usual now, of settings that are reported', () => {
    const reports = atLogin();
    reports.learnFresh('timezone', toHex('Asia/Tokyo'));
    reports.learnFresh('work_mem', toHex('5MB'));
    reports.learnFresh('server_version', null);
    assert.deepEqual([...reports.fresh], [['TimeZone', 'Asia/Tokyo'], ['server_version', '18.0']]); // prettier-ignore
    reports.add('TimeZone', 'Asia/Tokyo');
    assert.deepEqual(reports.unexpected(InternedMap.empty), []);
  });

  test('tell a client that has reset what it had brought the value that it brought, and of nothing else', () => {
    const reports = atLogin();
    reports.add('DateStyle', 'German');
    const brought = InternedMap.of(
      ['timezone', 'datestyle', 'work_mem'].map((name) => [name, toHex('mine')]),
    );
    const after = (...names: readonly string[]): InternedMap =>
      reports.afterReset(brought, { mayHaveResetTo: (name) => names.includes(name) });
    assert.equal(after('timezone', 'datestyle'), reports.reported.with('TimeZone', 'mine'));
    assert.equal(after('datestyle', 'work_mem'), reports.reported);
    assert.equal(reports.afterReset(tokyo, { mayHaveResetTo: () => true }).get('TimeZone'), 'Asia/Tokyo');
  });

  test('that a query of the operator’s has changed are what is usual', () => {
    const reports = atLogin();
    reports.add('TimeZone', 'Asia/Tokyo');
    reports.adopt(reports.reported);
    assert.deepEqual(reports.unexpected(InternedMap.empty), []);
    assert.equal(reports.asState(InternedMap.empty), InternedMap.empty);
  });
});
