import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { describe, test } from 'node:test';
import { LogDestination } from '../../src/observability/log-destination.ts';

/** A reader that takes each write only when told to. */
class SlowReader extends Writable {
  received = '';
  writes = 0;
  stuck = true;
  #take: (() => void) | undefined;

  constructor() {
    super({ decodeStrings: false });
  }

  override _write(text: string, _encoding: BufferEncoding, callback: () => void): void {
    this.received += text;
    this.writes += 1;
    if (this.stuck) this.#take = callback;
    else callback();
  }

  wake(): void {
    this.stuck = false;
    this.#take?.();
  }
}

describe('LogDestination', () => {
  test('gathers lines into few writes and loses none', async () => {
    const reader = new SlowReader();
    reader.wake();
    const destination = new LogDestination(reader);
    const lines = Array.from({ length: 500 }, (_, index) => `{"line":${index}}\n`);
    for (const line of lines) destination.write(line);
    await destination.close();

    assert.equal(reader.received, lines.join(''));
    assert.ok(reader.writes <= 4, `${reader.writes} writes`);
  });

  test('drops and counts what a stuck reader leaves behind, without growing', async () => {
    const reader = new SlowReader();
    const destination = new LogDestination(reader, 10_000);
    const line = `${'x'.repeat(99)}\n`;
    for (let index = 0; index < 1000; index += 1) destination.write(line);
    assert.ok(reader.writableLength <= 10_000);
    assert.equal(destination.droppedLines, 900);

    reader.wake();
    await destination.close();
    assert.equal(reader.received.length, 10_000);
  });

  test('closes although the reader is stuck', async () => {
    const destination = new LogDestination(new SlowReader());
    destination.write('line\n');
    await destination.close(5);
  });

  test('goes on without a reader, counting', async () => {
    const reader = new SlowReader();
    const destination = new LogDestination(reader);
    reader.destroy(new Error('EPIPE'));
    await new Promise((resolve) => reader.once('close', resolve));
    destination.write('line\n');
    assert.equal(destination.droppedLines, 1);
    await destination.close();
  });
});
