import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { Connection } from '../../src/net/connection.ts';
import { until } from '../support/wait.ts';
import { connectionPair, failOnFault, socketPair, Witness } from './pairs.ts';

const phases = ['login', 'relay'] as const;

/** In the relay phase it reads into buffers of its own and writes past Node's stream. */
function begin(phase: (typeof phases)[number], socket: Socket, owner: Witness): Connection {
  const connection = new Connection(socket, 'tcp', failOnFault);
  connection.owner = owner;
  if (phase === 'relay') connection.enterRelay('client');
  return connection;
}

describe('Connection', () => {
  for (const transport of ['tcp', 'unix'] as const) {
    test(`carries bytes both ways and says where the peer is (${transport})`, async () => {
      const { near, nearWitness, far, farWitness } = await connectionPair(transport);
      far.write(Buffer.from('to the near end'));
      near.write(Buffer.from('to the far end'));
      assert.equal(String(await nearWitness.hears(15)), 'to the near end');
      assert.equal(String(await farWitness.hears(14)), 'to the far end');
      assert.equal(near.unix, transport === 'unix');
      assert.equal(near.remoteAddress, transport === 'unix' ? 'unix' : '127.0.0.1');
      assert.equal(near.localAddress, transport === 'unix' ? 'unix' : '127.0.0.1');
      assert.equal(near.remotePort, far.localPort);
      assert.equal(near.tls, undefined);
      near.destroy();
      assert.equal(await farWitness.ended(), undefined);
    });
  }

  test('reads nothing before it has an owner, and loses nothing', async () => {
    const [accepted, dialled] = await socketPair();
    const near = new Connection(accepted, 'tcp', failOnFault);
    dialled.end('early');
    await until(() => accepted.readableLength === 5, { what: 'Node has read the bytes' });
    const witness = new Witness();
    near.owner = witness;
    assert.equal(await witness.ended(), undefined);
    assert.equal(String(witness.bytes), 'early');
  });

  test('tells an owner that comes too late that all is over, once', async () => {
    const [accepted, dialled] = await socketPair();
    const near = new Connection(accepted, 'tcp', failOnFault);
    near.destroy(new Error('no use'));
    await once(accepted, 'close');
    const witness = new Witness();
    near.owner = witness;
    assert.equal((await witness.ended())?.message, 'no use');
    dialled.destroy();
    assert.equal(witness.ends.length, 1);
  });

  test('passes on to a new owner from inside a call', async () => {
    const { near, far } = await connectionPair();
    const second = new Witness();
    let heard = '';
    near.owner = {
      received(chunk) {
        heard += String(chunk);
        near.owner = second;
        return true;
      },
      drained() {},
      closed() {},
    };
    far.write(Buffer.from('a'));
    await until(() => heard === 'a', { what: 'the first owner heard' });
    far.write(Buffer.from('b'));
    assert.equal(String(await second.hears(1)), 'b');
    far.destroy();
    await second.ended();
  });

  for (const phase of phases) {
    describe(`when it ends (${phase} phase)`, () => {
      test('a FIN of the peer closes it, and queued bytes still reach a peer that only half closed', async () => {
        const [accepted, dialled] = await socketPair();
        const witness = new Witness();
        const near = begin(phase, accepted, witness);
        let received = 0;
        const size = 8_000_000;
        dialled.pause();
        near.write(Buffer.alloc(size, 'x'));
        assert.ok(near.pending > 0);
        dialled.end();
        assert.equal(await witness.ended(), undefined);
        dialled.on('data', (chunk) => (received += chunk.length));
        dialled.resume();
        await once(dialled, 'end');
        assert.equal(received, size);
        assert.equal(near.write(Buffer.from('too late')), true);
        assert.equal(witness.ends.length, 1);
      });

      test('a reset is an error, told once', async () => {
        const { near, nearWitness, far } = await connectionPair();
        const [accepted, dialled] = await socketPair();
        const witness = new Witness();
        begin(phase, accepted, witness);
        dialled.resetAndDestroy();
        const error = await witness.ended();
        assert.match(error?.message ?? '', /ECONNRESET/);
        assert.equal(witness.ends.length, 1);
        far.destroy();
        assert.equal(await nearWitness.ended(), undefined);
        assert.equal(near.open, false);
      });

      test('a write to a peer that is gone is an error too, and what waits for the kernel by then is forgotten', async () => {
        const [accepted, dialled] = await socketPair();
        const witness = new Witness();
        const near = begin(phase, accepted, witness);
        dialled.pause();
        near.write(Buffer.alloc(8_000_000));
        // Nothing is read, so that only the write can tell.
        near.pause();
        dialled.resetAndDestroy();
        const error = await witness.ended();
        assert.match(error?.message ?? '', /ECONNRESET|EPIPE/);
        assert.equal(near.write(Buffer.from('nobody')), true);
        assert.equal(witness.ends.length, 1);
        assert.equal(witness.drains, 0);
      });

      test('the kernel refuses a write: an error, told after the call', async () => {
        const [accepted, dialled] = await socketPair();
        const witness = new Witness();
        const near = begin(phase, accepted, witness);
        near.pause();
        dialled.on('error', () => {});
        near.write(Buffer.from('unread'));
        dialled.resetAndDestroy();
        await once(dialled, 'close');
        // The reset may be on its way for a moment yet.
        await until(() => {
          const before = witness.ends.length;
          near.write(Buffer.from('nobody'));
          assert.equal(witness.ends.length, before);
          return !near.open || witness.ends.length > 0;
        });
        assert.match((await witness.ended())?.message ?? '', /ECONNRESET|EPIPE/);
        assert.equal(witness.ends.length, 1);
      });

      test('end flushes, waits for the peer to close, and throws away what the peer still sends', async () => {
        const [accepted, dialled] = await socketPair();
        const witness = new Witness();
        const near = begin(phase, accepted, witness);
        near.pause();
        dialled.write(Buffer.alloc(200_000));
        let last = '';
        dialled.on('data', (chunk) => (last += String(chunk)));
        dialled.on('error', failOnFault);
        dialled.removeAllListeners('end');
        near.write(Buffer.from('FATAL'));
        near.end();
        await until(() => last === 'FATAL', { what: 'the last words have arrived' });
        dialled.end(Buffer.alloc(100_000));
        assert.equal(await witness.ended(), undefined);
        assert.equal(witness.length, 0);
      });

      test('end gives up on a peer that does not close in time', async () => {
        const [accepted, dialled] = await socketPair();
        const witness = new Witness();
        const near = begin(phase, accepted, witness);
        dialled.pause();
        near.write(Buffer.alloc(8_000_000));
        const before = performance.now();
        near.end(50);
        assert.equal(await witness.ended(), undefined);
        assert.ok(performance.now() - before < 2_000);
        dialled.destroy();
      });

      test('destroy is told with its error, after the call', async () => {
        const { near, nearWitness, farWitness } = await connectionPair();
        if (phase === 'relay') near.enterRelay('server');
        near.destroy(new Error('idle for too long'));
        assert.equal(nearWitness.ends.length, 0);
        near.destroy(new Error('again'));
        near.end();
        assert.equal(near.write(Buffer.from('nobody')), true);
        assert.equal((await nearWitness.ended())?.message, 'idle for too long');
        await farWitness.ended();
        assert.equal(farWitness.length, 0);
        assert.equal(nearWitness.ends.length, 1);
      });
    });
  }

  describe('when its owner throws', () => {
    for (const phase of phases) {
      test(`it is reported and only that connection is destroyed (${phase} phase)`, async () => {
        const [accepted, dialled] = await socketPair();
        const faults: unknown[] = [];
        const near = new Connection(accepted, 'tcp', (error) => faults.push(error));
        const witness = new Witness();
        let calls = 0;
        near.owner = {
          received() {
            calls += 1;
            throw new Error('a bug');
          },
          drained: () => witness.drained(),
          closed: (error) => witness.closed(error),
        };
        if (phase === 'relay') near.enterRelay('client');
        dialled.write(Buffer.alloc(500_000));
        dialled.on('error', () => {});
        assert.equal((await witness.ended())?.message, 'a bug');
        assert.equal(calls, 1);
        assert.equal(faults.length, 1);
        dialled.destroy();
      });
    }

    test('in closed, it is only reported', async () => {
      const [accepted, dialled] = await socketPair();
      const faults: unknown[] = [];
      const near = new Connection(accepted, 'tcp', (error) => faults.push(error));
      near.owner = {
        received: () => true,
        drained() {},
        closed() {
          throw new Error('a bug in closed');
        },
      };
      dialled.destroy();
      await until(() => faults.length > 0, { what: 'the fault is reported' });
      assert.match(String(faults[0]), /a bug in closed/);
    });
  });

  for (const phase of phases) {
    describe(`with a peer that does not read (${phase} phase)`, () => {
      test('is congested until the peer reads again, and says so', async () => {
        const { near, nearWitness, far, farWitness } = await connectionPair();
        if (phase === 'relay') near.enterRelay('client');
        far.pause();
        let written = 0;
        const chunk = Buffer.alloc(65_536, 'q');
        while (!near.congested) {
          near.write(chunk);
          written += chunk.length;
          await new Promise(setImmediate);
        }
        assert.equal(nearWitness.drains, 0);
        far.resume();
        await farWitness.hears(written);
        await until(() => nearWitness.drains === 1, { what: 'drained was called' });
        assert.equal(near.congested, false);
        far.destroy();
        await nearWitness.ended();
      });

      for (const goodbye of ['end', 'destroy'] as const) {
        test(`is not congested any more after ${goodbye}, because nobody would hear that it is over`, async () => {
          const { near, nearWitness, far } = await connectionPair();
          if (phase === 'relay') near.enterRelay('client');
          far.pause();
          near.write(Buffer.alloc(16_000_000));
          assert.equal(near.congested, true);
          near[goodbye]();
          assert.equal(near.congested, false);
          far.destroy();
          await nearWitness.ended();
          assert.equal(nearWitness.drains, 0);
        });
      }

      test('says since when the peer has taken nothing, and forgets it when something goes', async () => {
        const { near, nearWitness, far, farWitness } = await connectionPair();
        if (phase === 'relay') near.enterRelay('client');
        far.pause();
        const size = 16_000_000;
        near.write(Buffer.alloc(size));
        let now = 0;
        await until(() => near.stalledSince((now += 1)), { what: 'the kernel takes no more' });
        const since = near.stalledSince(now + 1_000);
        assert.ok(since !== undefined && since < now);
        assert.equal(near.stalledSince(now + 2_000), since);
        far.resume();
        await until(() => near.stalledSince(now + 3_000) !== since, { what: 'some of it went' });
        await farWitness.hears(size);
        await until(() => near.pending === 0, { what: 'all is sent' });
        assert.equal(near.stalledSince(now + 4_000), undefined);
        far.destroy();
        await nearWitness.ended();
      });
    });
  }

  test('keeps the order of writes, whether the kernel takes them at once or not', async () => {
    const { near, nearWitness, far, farWitness } = await connectionPair();
    near.enterRelay('client');
    far.pause();
    const pieces = [1, 12_000_000, 70_000, 3].map((size, index) => Buffer.alloc(size, index));
    const taken = pieces.map((piece) => near.write(piece));
    assert.deepEqual(taken, [true, false, false, false]);
    assert.equal(near.pending, 12_070_003);
    near.cork();
    near.write(Buffer.from('corked '));
    near.uncork();
    near.write(Buffer.from('last'));
    far.resume();
    const expected = Buffer.concat([...pieces, Buffer.from('corked last')]);
    assert.equal((await farWitness.hears(expected.length)).equals(expected), true);
    await until(() => nearWitness.drains > 0, { what: 'drained was called' });
    assert.equal(near.congested, false);
    assert.equal(near.write(Buffer.from('.')), true);
    far.destroy();
    await nearWitness.ended();
  });

  test('puts corked writes into one', async () => {
    const { near, nearWitness, far, farWitness } = await connectionPair();
    near.enterRelay('client');
    near.cork();
    assert.equal(near.write(Buffer.from('one ')), false);
    near.write(Buffer.from('two'));
    near.uncork();
    assert.equal(String(await farWitness.hears(7)), 'one two');
    assert.equal(farWitness.chunks.length, 1);
    far.destroy();
    await nearWitness.ended();
  });
});
