import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../../src/base/clock.ts';
import type { LogFields } from '../../src/observability/logger.ts';
import { Repeats } from '../../src/observability/repeats.ts';

const INTERVAL = 10_000;

interface Written {
  readonly level: string;
  readonly fields: LogFields;
  readonly message: string;
}

describe('Repeats', () => {
  let clock: ManualClock;
  let written: Written[];
  let repeats: Repeats;

  beforeEach(() => {
    clock = new ManualClock();
    written = [];
    repeats = new Repeats(clock, INTERVAL, (level, fields, message) =>
      written.push({ level, fields, message }),
    );
  });

  test('writes the first line at once and the rest as one line with a count', () => {
    for (let port = 1; port <= 42; port += 1) repeats.log('warn', { user: 'app', port }, 'login failed');
    assert.deepEqual(written, [{ level: 'warn', fields: { user: 'app', port: 1 }, message: 'login failed' }]);

    repeats.tick();
    assert.equal(written.length, 1, 'not before the interval is over');

    clock.advance(INTERVAL);
    repeats.tick();
    assert.deepEqual(written[1], {
      level: 'warn',
      fields: { user: 'app', port: 42, repeated: 41 },
      message: 'login failed',
    });
  });

  test('writes a line for each listener at once', () => {
    repeats.log('info', { addr: '127.0.0.1', port: 6432 }, 'listening');
    repeats.log('info', { addr: '::1', port: 6432 }, 'listening');
    repeats.log('info', { for: 'http', addr: '127.0.0.1', port: 9127 }, 'listening');
    assert.equal(written.length, 3);
  });

  test('writes a line for each thing that a command is about', () => {
    for (const argument of ['app', 'two']) repeats.log('info', { user: 'me', argument }, 'console: KILL');
    for (const setting of ['pool_mode', 'log_level']) repeats.log('info', { setting }, 'console: SET');
    assert.equal(written.length, 4);
  });

  test('writes a line in full again once it has been silent for an interval', () => {
    repeats.log('info', {}, 'server connected');
    clock.advance(INTERVAL);
    repeats.tick();
    repeats.log('info', {}, 'server connected');
    assert.deepEqual(
      written.map(({ fields }) => fields),
      [{}, {}],
    );
  });

  test('writes what came of each RELOAD, however soon one follows another', () => {
    for (let reload = 1; reload <= 3; reload += 1) repeats.log('info', { reload }, 'RELOAD');
    assert.deepEqual(
      written.map(({ fields }) => fields),
      [{ reload: 1 }, { reload: 2 }, { reload: 3 }],
    );
  });

  test('tells lines apart by level, message and what they are about', () => {
    repeats.log('warn', { user: 'a' }, 'login failed');
    repeats.log('warn', { user: 'b' }, 'login failed');
    repeats.log('error', { user: 'a' }, 'login failed');
    repeats.log('warn', { user: 'a' }, 'login timeout');
    repeats.log('warn', { database: 'a' }, 'login failed');
    repeats.log('warn', { user: 'a', sqlState: '28P01' }, 'login failed');
    assert.equal(written.length, 6);
  });

  test('leaves debug lines alone', () => {
    repeats.log('debug', {}, 'connected');
    repeats.log('debug', {}, 'connected');
    assert.equal(written.length, 2);
  });

  test('bounds what a guesser of user names can write', () => {
    for (let guess = 0; guess < 100_000; guess += 1)
      repeats.log('warn', { user: `guess${guess}` }, 'login failed');
    assert.ok(written.length <= 300, `${written.length} lines`);
  });

  test('writes what is outstanding at the end', () => {
    repeats.log('error', {}, 'no route');
    repeats.log('error', {}, 'no route');
    repeats.flush();
    assert.equal(written[1]?.fields['repeated'], 1);
  });

  test('accounts for every line, and writes each at most once an interval', () => {
    const step = fc.oneof(
      fc.record({ log: fc.constantFrom('a', 'b', 'c') }),
      fc.record({ wait: fc.integer({ min: 1, max: INTERVAL }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const time = new ManualClock();
        let logged = 0;
        let accounted = 0;
        const lastWritten = new Map<string, number>();
        const subject = new Repeats(time, INTERVAL, (_level, { repeated }, message) => {
          accounted += typeof repeated === 'number' ? repeated : 1;
          const last = lastWritten.get(message);
          assert.ok(last === undefined || time.now() - last >= INTERVAL);
          lastWritten.set(message, time.now());
        });
        for (const action of steps) {
          if ('log' in action) {
            logged += 1;
            subject.log('info', {}, action.log);
          } else {
            time.advance(action.wait);
            subject.tick();
          }
        }
        time.advance(INTERVAL);
        subject.flush();
        assert.equal(accounted, logged);
      }),
    );
  });
});
