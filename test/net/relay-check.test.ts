import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { relayWorks } from '../../src/net/relay-check.ts';
import { canReadInto, canWritePast, distrustRelay } from '../../src/net/relay-socket.ts';
import { connectionPair } from './pairs.ts';

describe('relayWorks', () => {
  test('finds that this Node reads into our buffers, and lets us write past its streams', async () => {
    assert.equal(await relayWorks(), true);
    assert.equal(canReadInto(), true);
    assert.equal(canWritePast(), true);
  });

  for (const [told, value] of [
    ['none', 0],
    ['all', 1],
  ] as const) {
    test(`notices a Node that tells of ${told} of the writes that they have to wait`, async () => {
      const strange = `
        const { WriteWrap } = process.binding('stream_wrap');
        process.binding = () => ({ WriteWrap, kLastWriteWasAsync: 0, streamBaseState: Int32Array.of(${value}) });
      `;
      const checks = import.meta.resolve('../../src/net/relay-check.ts');
      const { stdout } = await promisify(execFile)(process.execPath, [
        `--import=data:text/javascript,${encodeURIComponent(strange)}`,
        '--experimental-strip-types',
        '--input-type=module',
        `--eval=const { relayWorks } = await import('${checks}'); console.log(await relayWorks());`,
      ]);
      assert.equal(stdout, 'false\n');
    });
  }

  test('says no without trying once it is distrusted, and connections carry on the ordinary way', async () => {
    distrustRelay();
    assert.equal(await relayWorks(), false);
    assert.equal(canWritePast(), false);
    const { near, nearWitness, far, farWitness } = await connectionPair();
    near.enterRelay('client');
    far.enterRelay('server');
    far.write(Buffer.alloc(200_000, 'z'));
    assert.equal((await nearWitness.hears(200_000)).equals(Buffer.alloc(200_000, 'z')), true);
    near.end();
    await farWitness.ended();
    await nearWitness.ended();
  });
});
