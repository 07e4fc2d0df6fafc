import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ReadBuffer } from '../../src/net/read-buffer.ts';

describe('ReadBuffer', () => {
  test('is small for a client, grows when a read fills it, and shrinks after a short one', () => {
    const reads = new ReadBuffer('client');
    const small = reads.current;
    assert.equal(small.length, 1024);
    assert.equal(reads.next(1023, true), small);
    const large = reads.next(1024, true);
    assert.equal(large.length, 65_536);
    assert.equal(reads.next(1025, true), large);
    assert.equal(reads.next(1024, true).length, 1024);
  });

  test('is always large for a server', () => {
    const reads = new ReadBuffer('server');
    const large = reads.current;
    assert.equal(large.length, 65_536);
    assert.equal(reads.next(1, true), large);
  });

  test('never shares memory with another, nor with what somebody kept', () => {
    const step = fc.record({
      who: fc.nat({ max: 5 }),
      length: fc.oneof(fc.integer({ min: 1, max: 1024 }), fc.constant(65_536)),
      free: fc.boolean(),
      closes: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const open = Array.from({ length: 6 }, (_, who) => new ReadBuffer(who === 0 ? 'server' : 'client'));
        const kept = new Set<Buffer>();
        for (const { who, length, free, closes } of steps) {
          const reads = open[who];
          if (reads === undefined) continue;
          const before = reads.current;
          reads.next(Math.min(length, before.length), free);
          if (!free) kept.add(before);
          if (closes) {
            reads.release();
            open[who] = new ReadBuffer(who === 0 ? 'server' : 'client');
          }
          const inUse = open.map(({ current }) => current);
          assert.equal(new Set(inUse).size, inUse.length);
          assert.equal(
            inUse.some((buffer) => kept.has(buffer)),
            false,
          );
        }
        for (const reads of open) reads.release();
      }),
    );
  });
});
