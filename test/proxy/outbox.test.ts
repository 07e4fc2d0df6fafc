import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Outbox } from '../../src/proxy/outbox.ts';
import { connectionPair, type Pair, securePair } from '../net/pairs.ts';

/** Of one chunk: ranges that are forwarded or skipped, with bytes of our own in front of some. */
interface Part {
  readonly size: number;
  readonly forwarded: boolean;
  readonly own: number;
}

const sizes = fc.oneof(fc.nat(60), fc.nat(6000), fc.constant(40_000));
const part = fc.record<Part>({
  size: sizes,
  forwarded: fc.boolean(),
  own: fc.oneof(fc.constant(0), fc.nat(5000)),
});
const chunks = fc.array(fc.array(part, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 8 });

/** Sends it with one outbox or two that take turns; a chunk is overwritten as soon as it may be. */
async function sends(makePair: () => Promise<Pair>, all: readonly (readonly Part[])[]): Promise<void> {
  const pairs = [await makePair(), await makePair()];
  const outboxes = pairs.map(({ near }) => new Outbox(near));
  const expected: Buffer[][] = [[], []];
  let mark = 0;
  const marked = (size: number): Buffer => Buffer.alloc(size, ++mark);
  for (const parts of all) {
    const chunk = Buffer.concat(parts.map(({ size }) => marked(size)));
    for (const [n, outbox] of outboxes.entries()) {
      let at = 0;
      for (const { size, forwarded, own } of parts) {
        const bytes = marked(own);
        outbox.insert(bytes);
        expected[n]?.push(bytes);
        if (forwarded) {
          outbox.forward(chunk, at, at + size);
          expected[n]?.push(Buffer.from(chunk.subarray(at, at + size)));
        }
        at += size;
      }
    }
    const free = outboxes.map((outbox) => outbox.finish());
    if (free.every(Boolean)) chunk.fill(0);
  }
  for (const [n, { near, farWitness }] of pairs.entries()) {
    const bytes = Buffer.concat(expected[n] ?? []);
    assert.ok((await farWitness.hears(bytes.length)).equals(bytes));
    near.destroy();
    await farWitness.ended();
  }
}

describe('what is put together for a peer', () => {
  for (const [name, makePair] of [
    ['TCP', () => connectionPair('tcp')],
    ['TLS', () => securePair('tcp')],
  ] as const) {
    test(`arrives whole and in order, however it is cut (${name})`, async () => {
      await fc.assert(
        fc.asyncProperty(chunks, (all) => sends(makePair, all)),
        { numRuns: 40 },
      );
    });
  }
});
