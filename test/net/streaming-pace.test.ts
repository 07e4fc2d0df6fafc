import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import { StreamingPace, StreamingPeers } from '../../src/net/streaming-pace.ts';
import { connectionPair, type Pair } from './pairs.ts';

const PIECE = 8192;
const LONG = 64 * PIECE;

/** Some peers on a thread, and who was read on. */
function makePeers(count: number) {
  const clock = new ManualClock();
  const peers = new StreamingPeers(clock);
  const readOn: number[] = [];
  const paces = Array.from(
    { length: count },
    (_, index) => new StreamingPace(() => readOn.push(index), peers),
  );
  /** A piece of each, 0.1 ms apart; says who rests after it. */
  const round = (all = true): number[] => {
    for (const pace of paces) {
      clock.advance(0.1);
      if (!pace.rests) pace.received(PIECE, all);
    }
    return paces.flatMap((pace, index) => (pace.rests ? [index] : []));
  };
  return { clock, paces, round, readOn };
}

describe('the pace of streaming peers', () => {
  test('one that streams alone never rests', () => {
    const { round } = makePeers(1);
    for (let pieces = 0; pieces < 1000; pieces += 1) assert.deepEqual(round(), []);
  });

  test('several rest after each read, once each has sent a quarter of a megabyte, and are read on together', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { round, readOn } = makePeers(3);
    for (let sent = PIECE; sent < 262_144; sent += PIECE) assert.deepEqual(round(), []);
    // The first of them does not know of the others yet.
    assert.deepEqual(round(), [1, 2]);
    assert.deepEqual(round(), [0, 1, 2]);
    t.mock.timers.tick(1);
    assert.deepEqual(new Set(readOn), new Set([0, 1, 2]));
    assert.deepEqual(round(), [0, 1, 2]);
  });

  test('one that has more to be read does not rest', () => {
    const { round } = makePeers(2);
    for (let sent = 0; sent < LONG; sent += PIECE) assert.deepEqual(round(false), []);
  });

  test('one that is sent something is read on at once, and is not held to stream', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { paces, round, readOn } = makePeers(2);
    for (let sent = 0; sent < LONG; sent += PIECE) round();
    paces[0]?.sent();
    assert.deepEqual(readOn, [0]);
    assert.deepEqual(round(), [1]);
    t.mock.timers.tick(1);
    assert.deepEqual(readOn, [0, 1]);
  });

  test('one whose fellow has ended goes on alone', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { clock, paces, round } = makePeers(2);
    for (let sent = 0; sent < LONG; sent += PIECE) round();
    t.mock.timers.tick(1);
    clock.advance(10);
    const [left] = paces;
    for (let sent = 0; sent < LONG; sent += PIECE) {
      clock.advance(0.1);
      left?.received(PIECE, true);
      assert.equal(left?.rests, false);
    }
  });
});

describe('streams over sockets', () => {
  /** More than the kernel keeps, in pieces, from the far end. */
  async function stream({ far }: Pair, pieces: number): Promise<void> {
    for (let piece = 0; piece < pieces; piece += 1) {
      far.write(Buffer.alloc(PIECE, piece));
      if (piece % 3 === 0) await new Promise(setImmediate);
    }
  }
  const assertWhole = (bytes: Buffer, pieces: number): void => {
    assert.equal(bytes.length, pieces * PIECE);
    for (let piece = 0; piece < pieces; piece += 1) {
      assert.deepEqual(bytes.subarray(piece * PIECE, (piece + 1) * PIECE), Buffer.alloc(PIECE, piece));
    }
  };
  const PIECES = 1500;

  for (const transport of ['tcp', 'unix'] as const) {
    test(`several arrive whole, also while they are paused and resumed (${transport})`, async () => {
      const pauses = mock.method(StreamingPeers.prototype, 'pause');
      const pairs = await Promise.all([1, 2, 3].map(() => connectionPair(transport)));
      for (const { near } of pairs) near.enterRelay('server');
      const restless = setInterval(() => {
        for (const { near } of pairs) {
          if (near.paused) near.resume();
          else near.pause();
        }
      }, 3);
      await Promise.all(pairs.map((pair) => stream(pair, PIECES)));
      clearInterval(restless);
      for (const { near } of pairs) near.resume();
      for (const { nearWitness } of pairs) assertWhole(await nearWitness.hears(PIECES * PIECE), PIECES);
      assert.ok(pauses.mock.callCount() > 0, 'none has rested');
      pauses.mock.restore();
    });
  }

  test('one that ends, or is destroyed, while it rests is closed all the same', async () => {
    const pairs = await Promise.all([1, 2, 3].map(() => connectionPair()));
    const rested = new Map<StreamingPace, () => void>();
    const pauses = mock.method(StreamingPeers.prototype, 'pause', (pace: StreamingPace) => {
      rested.set(pace, () => pace.wake());
    });
    for (const { near } of pairs) near.enterRelay('server');
    await Promise.all(pairs.slice(1).map((pair) => stream(pair, 100)));
    pauses.mock.restore();
    assert.ok(rested.size > 0);
    pairs[1]?.near.end();
    pairs[2]?.near.destroy();
    for (const wake of rested.values()) wake();
    await pairs[2]?.nearWitness.ended();
    pairs[1]?.far.end();
    await pairs[1]?.nearWitness.ended();
  });
});
