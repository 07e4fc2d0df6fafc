import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { relayWorks } from '../../src/net/relay-check.ts';
import { canReadInto, canWritePast, distrustRelay } from '../../src/net/relay-socket.ts';
import { connectionPair } from './pairs.ts';

describe('relayWorks', () => {
  test('finds that this Node reads into our buffers, and lets us write past its streams', async () => {
    assert.equal(await relayWorks(), true);
    assert.equal(canReadInto(), true);
    assert.equal(canWritePast(), true);
  });

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
