import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FunctionSamples } from '../../src/session/function-samples.ts';

/** Of so many calls, each asked about where that is due and found to leave nothing: the numbers of those that were. */
function askedOf(samples: FunctionSamples, calls: number, names: readonly string[] = ['f']): number[] {
  const asked: number[] = [];
  for (let call = 1; call <= calls; call++) {
    if (!samples.isDue(names)) continue;
    asked.push(call);
    samples.learn(names, true);
  }
  return asked;
}

const trusted = (...names: readonly string[]): FunctionSamples => {
  const samples = new FunctionSamples();
  for (const name of names) askedOf(samples, 33, [name]);
  return samples;
};

describe('a function that nobody knows', () => {
  test('is asked about after each call until it has left nothing 32 times, then after each 16th', () => {
    const first = Array.from({ length: 32 }, (_, index) => index + 1);
    assert.deepEqual(askedOf(new FunctionSamples(), 100), [...first, 33, 49, 65, 81, 97]);
  });

  test('is asked about each time again once it has left something', () => {
    const samples = trusted('f');
    assert.equal(samples.isDue(['f']), false);
    samples.learn(['f'], false);
    assert.equal(askedOf(samples, 32).length, 32);
  });

  test('that always leaves something is always asked about', () => {
    const samples = new FunctionSamples();
    for (let call = 0; call < 100; call++) {
      assert.equal(samples.isDue(['f']), true);
      samples.learn(['f'], false);
    }
  });

  test('is asked about beside others that are trusted, which count as called all the same', () => {
    const samples = trusted('f', 'g');
    assert.equal(samples.isDue(['f', 'g']), false);
    assert.equal(samples.isDue(['f', 'new', 'g']), true);
    assert.equal(samples.isDue([]), false);
    const due: number[] = [];
    for (let call = 36; call <= 70; call++) if (samples.isDue(['f'])) due.push(call);
    assert.deepEqual(due, [49, 65]);
  });

  test('is forgotten when there are more than anybody has', () => {
    const samples = trusted('f');
    for (let index = 0; index < 2001; index++) samples.learn([`other${String(index)}`], true);
    assert.equal(samples.isDue(['f']), true);
  });
});
