import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import type { LogLevel } from '../../src/observability/logger.ts';
import { openLog, type LogSink } from '../../src/observability/log-sink.ts';

interface Opened {
  readonly sink: LogSink;
  /** Closes the log and gives its lines, parsed. */
  readonly lines: () => Promise<Record<string, unknown>[]>;
}

async function open(level: LogLevel): Promise<Opened> {
  let written = '';
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      written += chunk.toString();
      done();
    },
  });
  const sink = await openLog({ level, clock: new ManualClock(), stream });
  const lines = async (): Promise<Record<string, unknown>[]> => {
    await sink.close();
    const parsed: Record<string, unknown>[] = [];
    for (const line of written.split('\n').slice(0, -1)) parsed.push(JSON.parse(line));
    return parsed;
  };
  return { sink, lines };
}

/** Runs a program that logs, as the daemon would, with a reader that does `read`. */
function runLogging(program: string): ReturnType<typeof spawn> {
  const sinkModule = new URL('../../src/observability/log-sink.ts', import.meta.url).href;
  const clockModule = new URL('../../src/base/clock.ts', import.meta.url).href;
  const source = `
    import { openLog } from '${sinkModule}';
    import { systemClock } from '${clockModule}';
    const log = await openLog({ level: 'debug', clock: systemClock });
    ${program}`;
  return spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

describe('openLog', () => {
  test('writes one JSON object a line, whatever stands in it', async () => {
    const { sink, lines } = await open('info');
    sink.logger.warn({ database: 'a"b\n\u0000', error: new Error('line\nbreak') }, 'server login failed');
    const [line, ...rest] = await lines();
    assert.equal(rest.length, 0);
    assert.equal(line?.['level'], 'warn');
    assert.equal(line['msg'], 'server login failed');
    assert.equal(line['database'], 'a"b\n\u0000');
    assert.match(String(line['time']), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    assert.ok(!('pid' in line) && !('hostname' in line));
  });

  test('writes no secret', async () => {
    const { sink, lines } = await open('info');
    sink.logger.error(
      { password: 'hunter2', url: 'postgres://u:hunter2@h/d' },
      'bad url postgres://u:hunter2@h/d',
    );
    assert.ok(!JSON.stringify(await lines()).includes('hunter2'));
  });

  test('follows a change of level at once', async () => {
    const { sink, lines } = await open('warn');
    sink.logger.info({}, 'unseen');
    sink.setLevel('debug');
    sink.logger.debug({}, 'seen');
    sink.setLevel('silent');
    sink.logger.error({}, 'unseen too');
    assert.deepEqual(
      (await lines()).map((line) => line['msg']),
      ['seen'],
    );
  });

  test('collapses repeats, and tells their number at the end', async () => {
    const { sink, lines } = await open('info');
    for (let index = 0; index < 10; index += 1) sink.logger.warn({ user: 'app' }, 'login failed');
    assert.deepEqual(
      (await lines()).map((line) => line['repeated']),
      [undefined, 9],
    );
  });

  test('loses nothing when the process exits at once', async () => {
    const child = runLogging(
      `for (let i = 0; i < 20; i += 1) log.logger.debug({ i }, 'line'); process.exit(0);`,
    );
    assert.ok(child.stdout !== null);
    const output = await text(child.stdout);
    assert.equal(output.split('\n').length - 1, 20);
  });

  test('lets the process exit although its reader is gone', async () => {
    const child = runLogging(`
      setTimeout(async () => {
        for (let i = 0; i < 5000; i += 1) log.logger.debug({ filler: 'x'.repeat(200) }, 'line');
        await log.close();
        process.exit(0);
      }, 50);`);
    child.stdout?.destroy();
    const [status] = await once(child, 'exit');
    assert.equal(status, 0);
  });

  test('lets the process exit although its reader is stuck', async () => {
    const child = runLogging(`
      for (let i = 0; i < 5000; i += 1) log.logger.debug({ filler: 'x'.repeat(200) }, 'line');
      await log.close();
      process.exit(log.droppedLines() > 0 ? 0 : 3);`);
    const [status] = await once(child, 'exit');
    child.stdout?.destroy();
    assert.equal(status, 0);
  });
});
