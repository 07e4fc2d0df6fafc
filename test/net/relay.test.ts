import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import type { Connection, ConnectionOwner } from '../../src/net/connection.ts';
import { canReadInto } from '../../src/net/relay-socket.ts';
import { until } from '../support/wait.ts';
import { connectionPair, securePair, Witness } from './pairs.ts';
import type { Pair } from './pairs.ts';

const pairs: Readonly<Record<string, () => Promise<Pair>>> = {
  TCP: () => connectionPair('tcp'),
  'a Unix socket': () => connectionPair('unix'),
  TLS: () => securePair('tcp'),
};

/** Bytes that show where in the stream they belong: position times an odd number, cut to 32 bits. */
function numbered(length: number, salt: number): Buffer {
  const bytes = Buffer.alloc(Math.ceil(length / 4) * 4);
  for (let at = 0; at < bytes.length; at += 4)
    bytes.writeUInt32LE(Math.imul(at + salt, 2_654_435_761) >>> 0, at);
  return bytes.subarray(0, length);
}

/** More than the kernel keeps in the buffers of a pair of sockets. */
const RELAYED = 12_000_000;

/** What is on its way over the loopback is there after a few turns of the loop. */
async function someTurns(condition: () => boolean): Promise<void> {
  await until(condition);
  for (let turn = 0; turn < 20; turn += 1) await nextTurn();
}

/** Enters the relay phase when so many bytes have come, from inside the call, and pauses now and then. */
class Switching extends Witness {
  readonly #connection: Connection;
  readonly #switchAt: number;
  readonly #pauses: Set<number>;
  calls = 0;

  constructor(connection: Connection, switchAt: number, pauses: readonly number[]) {
    super();
    this.#connection = connection;
    this.#switchAt = switchAt;
    this.#pauses = new Set(pauses);
  }

  override received(chunk: Buffer): boolean {
    super.received(chunk);
    this.calls += 1;
    if (this.length >= this.#switchAt) this.#connection.enterRelay('client');
    if (this.#pauses.has(this.calls)) {
      this.#connection.pause();
      if (this.calls % 3 === 0) this.#connection.resume();
      else setImmediate(() => this.#connection.resume());
    }
    return this.calls % 5 !== 0;
  }
}

async function send(connection: Connection, bytes: Buffer, cuts: readonly number[]): Promise<void> {
  let at = 0;
  for (let turn = 0; at < bytes.length; turn += 1) {
    const size = cuts[turn % cuts.length] ?? 1;
    connection.write(bytes.subarray(at, at + size));
    at += size;
    if (turn % 4 === 0) await nextTurn();
  }
}

describe('the relay phase', () => {
  for (const [name, makePair] of Object.entries(pairs)) {
    test(`gives every byte once and in order, whenever it begins and however the stream is cut (${name})`, async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 300_000 }),
          fc.double({ min: 0, max: 1, noNaN: true }),
          fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 8 }),
          fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 6 }),
          async (length, fraction, cuts, pauses) => {
            const { near, far, farWitness } = await makePair();
            const bytes = numbered(length, length);
            const witness = new Switching(near, Math.floor(length * fraction), pauses);
            near.owner = witness;
            await send(far, bytes, cuts);
            assert.equal((await witness.hears(length)).equals(bytes), true);
            far.end();
            assert.equal(await witness.ended(), undefined);
            await farWitness.ended();
            assert.equal(witness.length, length);
          },
        ),
        { numRuns: 25 },
      );
    });

    for (const held of [1_000, 150_000]) {
      test(`begins on a paused connection without overtaking the ${held} bytes on hold (${name})`, async () => {
        const { near, nearWitness, far } = await makePair();
        const bytes = numbered(400_000, held);
        near.pause();
        far.write(bytes.subarray(0, held));
        await someTurns(() => far.pending === 0);
        near.enterRelay('client');
        far.write(bytes.subarray(held));
        await someTurns(() => true);
        assert.equal(nearWitness.length, 0);
        near.resume();
        assert.equal((await nearWitness.hears(bytes.length)).equals(bytes), true);
        far.destroy();
        await nearWitness.ended();
      });
    }

    for (const begins of ['before', 'by the same call'] as const) {
      test(`stops reading when paused, with the relay phase begun ${begins} (${name})`, async () => {
        const { near, nearWitness, far } = await makePair();
        if (begins === 'before') near.enterRelay('server');
        let atPause = 0;
        near.owner = {
          received(chunk) {
            nearWitness.received(chunk);
            if (atPause > 0) return true;
            near.enterRelay('server');
            near.pause();
            atPause = nearWitness.length;
            return true;
          },
          drained() {},
          closed: (error) => nearWitness.closed(error),
        };
        const bytes = numbered(RELAYED, 3);
        far.write(bytes);
        await until(() => atPause > 0 && far.stalledSince(performance.now()), { what: 'the pipe is full' });
        assert.ok(nearWitness.length - atPause <= 65_536, 'at most one read comes after a pause');
        near.resume();
        assert.equal((await nearWitness.hears(bytes.length)).equals(bytes), true);
        far.destroy();
        await nearWitness.ended();
      });
    }

    test(`passes bytes on to slow readers unharmed by the reuse of buffers (${name})`, async () => {
      const bytes = numbered(RELAYED + 8, 1);
      const relays = Array.from({ length: 8 }, (_, shift) =>
        relayToSlowReader(makePair, shift, bytes.subarray(shift, shift + RELAYED)),
      );
      await Promise.all(relays);
    });
  }

  test('reads into the same memory again when nobody keeps it, and not when somebody does', async () => {
    assert.equal(canReadInto(), true);
    const { near, far } = await connectionPair();
    const memory: ArrayBufferLike[] = [];
    const places: number[] = [];
    let keep = false;
    near.enterRelay('client');
    near.owner = {
      received(chunk) {
        memory.push(chunk.buffer);
        places.push(chunk.byteOffset);
        return !keep;
      },
      drained() {},
      closed() {},
    };
    const exchange = async (count: number): Promise<void> => {
      far.write(Buffer.from('a query'));
      await until(() => places.length === count, { what: `${count} reads` });
    };
    await exchange(1);
    await exchange(2);
    keep = true;
    await exchange(3);
    await exchange(4);
    assert.equal(memory[0], memory[1]);
    assert.deepEqual(places.slice(0, 3), [places[0], places[0], places[0]]);
    assert.ok(memory[3] !== memory[2] || places[3] !== places[2]);
    far.destroy();
  });
});

/** far₁ → near₁ → (the relay under test) → far₂ → near₂, who reads in fits and starts. */
async function relayToSlowReader(makePair: () => Promise<Pair>, index: number, bytes: Buffer): Promise<void> {
  const [source, sink] = await Promise.all([makePair(), makePair()]);
  const from = source.near;
  const to = sink.far;
  from.enterRelay(index % 2 === 0 ? 'client' : 'server');
  from.owner = relay(from, to);
  to.owner = relay(to, from);
  sink.near.enterRelay('client');
  const reader = new Checking(sink.near, bytes);
  sink.near.owner = reader;
  sink.near.pause();
  await send(source.far, bytes, [50_000, 700, 65_536, 1_024, 9_000]);
  await until(() => from.paused, { what: 'what the kernel holds between them is full' });
  sink.near.resume();
  await until(() => reader.length === bytes.length, {
    timeout: 50_000,
    what: () => `${reader.length} bytes read`,
  });
  assert.equal(reader.wrong, 0);
  source.far.destroy();
  await reader.ended();
}

/** Lets several reads wait before it pauses, because a lone one cannot be overwritten. */
function relay(from: Connection, to: Connection): ConnectionOwner {
  return {
    received(chunk) {
      const free = to.write(chunk);
      if (to.pending > 300_000) from.pause();
      return free;
    },
    drained: () => to.resume(),
    closed: () => to.end(),
  };
}

/** Compares each chunk at once with what it must be, and is slow. */
class Checking implements ConnectionOwner {
  readonly #connection: Connection;
  readonly #expected: Buffer;
  length = 0;
  wrong = 0;
  #over = false;

  constructor(connection: Connection, expected: Buffer) {
    this.#connection = connection;
    this.#expected = expected;
  }

  received(chunk: Buffer): boolean {
    if (!chunk.equals(this.#expected.subarray(this.length, this.length + chunk.length))) this.wrong += 1;
    this.length += chunk.length;
    this.#connection.pause();
    setTimeout(() => this.#connection.resume(), 1);
    return true;
  }

  drained(): void {}

  closed(): void {
    this.#over = true;
  }

  async ended(): Promise<void> {
    await until(() => this.#over, { what: 'the reader is closed' });
  }
}
