import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ClientError } from '../../src/protocol/errors.ts';
import { FrameScanner, type FrameVisitor, Verdict } from '../../src/protocol/frame-scanner.ts';

interface Frame {
  readonly type: number;
  readonly size: number;
}

/** Frames of these lengths one after another, their bodies filled with a count, so that a byte out of place shows. */
function streamOf(frames: readonly { type: number; length: number }[]): Buffer {
  let count = 0;
  return Buffer.concat(
    frames.map(({ type, length }) => {
      const frame = Buffer.alloc(1 + length);
      frame.writeUInt8(type);
      frame.writeInt32BE(length, 1);
      for (let at = 5; at < frame.length; at++) frame[at] = count++ & 0xff;
      return frame;
    }),
  );
}

/** Writes down what it is shown; gathers frames of up to `limit` bytes; gives the verdicts one by one, then always `next`. */
class Recorder implements FrameVisitor {
  readonly frames: Frame[] = [];
  readonly bytes: Buffer[] = [];
  #stopped = false;
  wholeShown = 0;
  #open: Frame | undefined;
  #openShown = 0;
  readonly #limit: number;
  readonly #verdicts: Verdict[];
  /** Where, in which chunk, what is alike may be shown as one. */
  #joins: { readonly type: number; readonly chunk: Buffer; readonly at: number } | undefined;

  constructor(limit: number, verdicts: readonly Verdict[] = []) {
    this.#limit = limit;
    this.#verdicts = [...verdicts];
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  goOn(): void {
    this.#stopped = false;
  }

  gathers(_type: number, size: number): boolean {
    return size <= this.#limit;
  }

  frame(type: number, chunk: Buffer, start: number, end: number): Verdict {
    assert.equal(this.#open, undefined, 'a frame begins inside another');
    const joins = this.#joins;
    this.#joins = undefined;
    const joined = joins?.chunk === chunk && joins.at === start && joins.type === type;
    const verdict = joined ? Verdict.next : this.#verdict();
    if (verdict === Verdict.joinAlike) this.#joins = { type, chunk, at: end };
    if (verdict === Verdict.stopBefore) return verdict;
    for (let at = start; at < end;) {
      assert.ok(joined || at === start, 'frames are joined that may not be');
      assert.equal(chunk.readUInt8(at), type);
      const size = chunk.readInt32BE(at + 1) + 1;
      assert.ok(at + size <= end);
      this.wholeShown++;
      this.frames.push({ type, size });
      at += size;
    }
    this.#take(chunk, start, end);
    if (!joined || chunk[end] !== type) return verdict;
    const isWhole = end + 5 <= chunk.length && end + 1 + chunk.readInt32BE(end + 1) <= chunk.length;
    assert.equal(isWhole, false, 'frames are left out that could have been joined');
    return verdict;
  }

  head(type: number, size: number, chunk: Buffer, start: number, end: number): Verdict {
    assert.equal(this.#open, undefined, 'a frame begins inside another');
    assert.equal(chunk.readUInt8(start), type);
    assert.equal(chunk.readInt32BE(start + 1) + 1, size);
    assert.ok(end - start >= 5 && end - start < size);
    assert.ok(size > this.#limit, 'what is gathered is not streamed');
    const verdict = this.#verdict();
    if (verdict !== Verdict.stopBefore) {
      this.#open = { type, size };
      this.#openShown = end - start;
      this.#take(chunk, start, end);
    }
    return verdict;
  }

  part(chunk: Buffer, start: number, end: number, last: boolean): void {
    assert.equal(this.#stopped, false, 'a part is shown behind a stop');
    assert.ok(start < end);
    assert.ok(this.#open !== undefined);
    this.#openShown += end - start;
    this.#take(chunk, start, end);
    assert.equal(last, this.#openShown === this.#open.size);
    if (last) {
      this.frames.push(this.#open);
      this.#open = undefined;
    }
  }

  get inside(): boolean {
    return this.#open !== undefined;
  }

  #verdict(): Verdict {
    assert.equal(this.#stopped, false, 'something is shown behind a stop');
    const verdict = this.#verdicts.shift() ?? Verdict.next;
    this.#stopped = verdict === Verdict.stopAfter || verdict === Verdict.stopBefore;
    return verdict;
  }

  #take(chunk: Buffer, start: number, end: number): void {
    this.bytes.push(Buffer.from(chunk.subarray(start, end)));
  }
}

/** The stream in pieces that begin at the given places. */
function cut(stream: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...new Set(places.map((place) => place % (stream.length + 1))), stream.length].toSorted(
    (a, b) => a - b,
  );
  let from = 0;
  return ends.map((end) => {
    const piece = stream.subarray(from, end);
    from = end;
    return piece;
  });
}

const frameSpec = fc.record({
  type: fc.oneof(fc.constant(0x44), fc.integer({ min: 0, max: 255 })),
  length: fc.oneof(fc.constant(4), fc.integer({ min: 4, max: 40 })),
});
const verdictSpec = fc.constantFrom(Verdict.next, Verdict.joinAlike, Verdict.stopAfter, Verdict.stopBefore);

describe('FrameScanner', () => {
  test('visits every frame once, however the stream is cut into chunks and wherever it is stopped', () => {
    fc.assert(
      fc.property(
        fc.array(frameSpec, { maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 30 }),
        fc.integer({ min: 0, max: 45 }),
        fc.array(verdictSpec, { maxLength: 30 }),
        fc.array(fc.boolean(), { maxLength: 40 }),
        (specs, places, limit, verdicts, waits) => {
          const stream = streamOf(specs);
          const recorder = new Recorder(limit, verdicts);
          const scanner = new FrameScanner(recorder);
          let held = Buffer.alloc(0);
          const scanHeld = (): void => {
            // A few bytes in front, as when the chunk is read from somewhere in the middle.
            const chunk = Buffer.concat([Buffer.from('front'), held]);
            recorder.goOn();
            const offset = scanner.scan(chunk, 5);
            if (!recorder.stopped) assert.equal(offset, chunk.length);
            held = Buffer.from(chunk.subarray(offset));
            chunk.fill(0xee);
            assert.equal(scanner.streaming, recorder.inside);
          };
          for (const piece of cut(stream, places)) {
            held = Buffer.concat([held, piece]);
            // A stopped reader goes on either at once or when more has come.
            do scanHeld();
            while (held.length > 0 && waits.shift() !== true);
          }
          while (held.length > 0) scanHeld();
          assert.deepEqual(
            recorder.frames,
            specs.map(({ type, length }) => ({ type, size: length + 1 })),
          );
          assert.deepEqual(Buffer.concat(recorder.bytes), stream);
          assert.equal(scanner.atBoundary, true);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('leaves something to scan again behind stopBefore, so that a reader sees that it was stopped', () => {
    fc.assert(
      fc.property(
        frameSpec,
        fc.array(fc.nat(), { maxLength: 5 }),
        fc.nat({ max: 45 }),
        (spec, places, limit) => {
          const recorder = new Recorder(limit, [Verdict.stopBefore]);
          const scanner = new FrameScanner(recorder);
          for (const piece of cut(streamOf([spec]), places)) {
            const offset = scanner.scan(piece);
            assert.equal(offset < piece.length, recorder.stopped);
            if (recorder.stopped) return;
          }
          assert.fail('never stopped');
        },
      ),
    );
  });

  test('finds the frame when its header is split at any byte', () => {
    for (const length of [4, 9, 30]) {
      for (let place = 0; place <= 5; place++) {
        const stream = streamOf([
          { type: 0x44, length },
          { type: 0x5a, length: 5 },
        ]);
        const recorder = new Recorder(10);
        const scanner = new FrameScanner(recorder);
        scanner.scan(stream.subarray(0, place));
        assert.equal(scanner.atBoundary, place === 0 || (place === 5 && length === 4));
        scanner.scan(stream.subarray(place));
        assert.deepEqual(recorder.frames, [
          { type: 0x44, size: length + 1 },
          { type: 0x5a, size: 6 },
        ]);
        assert.deepEqual(Buffer.concat(recorder.bytes), stream);
      }
    }
  });

  test('shows all that has come of a frame to who has stopped in front of its first bytes, wherever its header is split', () => {
    const stream = streamOf([{ type: 0x44, length: 30 }]);
    for (let place = 1; place <= 5; place++) {
      const seen: number[] = [];
      const scanner = new FrameScanner({
        frame: () => assert.fail('it is not whole'),
        gathers: () => false,
        head: (_type, _size, _chunk, start, end) => {
          seen.push(end - start);
          return end - start < 20 ? Verdict.stopBefore : Verdict.next;
        },
        part: () => undefined,
      });
      let rest = Buffer.alloc(0);
      for (const end of [place, 10, 25]) {
        const chunk = Buffer.concat([
          rest,
          stream.subarray(end === place ? 0 : end === 10 ? place : 10, end),
        ]);
        rest = chunk.subarray(scanner.scan(chunk));
      }
      assert.deepEqual([seen, rest.length], [place < 5 ? [10, 25] : [5, 10, 25], 0]);
      assert.ok(scanner.streaming);
    }
  });

  test('finds a frame that comes byte by byte, gathered or streamed', () => {
    for (const limit of [0, 100]) {
      const stream = streamOf([
        { type: 0x51, length: 20 },
        { type: 0x53, length: 4 },
      ]);
      const recorder = new Recorder(limit);
      const scanner = new FrameScanner(recorder);
      for (const byte of stream) assert.equal(scanner.scan(Buffer.of(byte)), 1);
      assert.equal(recorder.wholeShown, limit === 0 ? 1 : 2);
      assert.deepEqual(Buffer.concat(recorder.bytes), stream);
    }
  });

  test('shows a frame that is whole in its chunk as one, whatever its size', () => {
    const recorder = new Recorder(0);
    new FrameScanner(recorder).scan(streamOf([{ type: 0x44, length: 5000 }]));
    assert.equal(recorder.wholeShown, 1);
  });

  test('is at no boundary while a frame is gathered, streamed or its header is cut', () => {
    const stream = streamOf([{ type: 0x44, length: 30 }]);
    for (const [limit, end, streaming] of [
      [100, 10, false],
      [0, 10, true],
      [0, 3, false],
    ] as const) {
      const scanner = new FrameScanner(new Recorder(limit));
      assert.equal(scanner.atBoundary, true);
      scanner.scan(stream.subarray(0, end));
      assert.equal(scanner.atBoundary, false);
      assert.equal(scanner.streaming, streaming);
      scanner.scan(stream.subarray(end));
      assert.equal(scanner.atBoundary, true);
    }
  });

  test('refuses a length that does not cover its own four bytes or is over the limit, however the header is cut', () => {
    const badLength = fc.oneof(
      fc.integer({ min: -0x8000_0000, max: 3 }),
      fc.constant(100),
      fc.integer({ min: 100, max: 0x7fff_ffff }),
    );
    fc.assert(
      fc.property(badLength, fc.integer({ min: 0, max: 5 }), fc.nat({ max: 255 }), (length, place, type) => {
        const header = Buffer.alloc(5);
        header.writeUInt8(type);
        header.writeInt32BE(length, 1);
        const scanner = new FrameScanner(new Recorder(1000), 100);
        assert.throws(
          () => {
            scanner.scan(header.subarray(0, place));
            scanner.scan(header.subarray(place));
          },
          (error) => error instanceof ClientError && error.sqlState === '08P01' && error.severity === 'FATAL',
        );
      }),
    );
  });

  test('lets a frame of exactly the largest size through', () => {
    const recorder = new Recorder(0);
    new FrameScanner(recorder, 100).scan(streamOf([{ type: 0x44, length: 99 }]));
    assert.deepEqual(recorder.frames, [{ type: 0x44, size: 100 }]);
  });

  test('throws nothing but ClientError, whatever the bytes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }),
        fc.nat({ max: 50 }),
        (chunks, limit) => {
          const scanner = new FrameScanner(new Recorder(limit), 1000);
          try {
            for (const chunk of chunks) scanner.scan(Buffer.from(chunk));
          } catch (error) {
            assert.ok(error instanceof ClientError, String(error));
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});
