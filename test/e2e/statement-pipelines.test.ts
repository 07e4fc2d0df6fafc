/** Prepared statements in random pipelines, on servers that have room for few of them: the answers are those of a connection of one's own. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { sameAsDirect, tell } from '../support/as-direct.ts';
import * as m from '../support/messages.ts';
import { useStage } from '../support/stage.ts';

const stage = useStage({ settings: 'max_prepared_statements = 2', databases: { two: 'pool_size = 2' } });

/** A message, or some, named where a counterexample is printed; what it says depends on its client. */
class Step {
  readonly label: string;
  readonly bytes: (text: (statement: string) => string) => Buffer;

  constructor(label: string, bytes: Buffer | ((text: (statement: string) => string) => Buffer)) {
    this.label = label;
    this.bytes = typeof bytes === 'function' ? bytes : () => bytes;
  }

  [fc.toStringMethod](): string {
    return this.label;
  }
}

/** Two of them are the same to PostgreSQL, which compares 63 bytes. */
const LONG = 'n'.repeat(63);
const anyName = fc.constantFrom('x', 'y', 'x', 'y', `${LONG}1`, `${LONG}2`);
const own = fc.constantFrom('x', 'y', 'z');
const steps = (...all: (readonly [string, Buffer])[]): fc.Arbitrary<Step> =>
  fc.constantFrom(...all).map(([label, bytes]) => new Step(label, bytes));
const aboutName = (label: string, act: (name: string) => Buffer): fc.Arbitrary<Step> =>
  anyName.map((name) => new Step(`${label} ${name}`, act(name)));
const SYNC = new Step('Sync', m.sync);
/** What comes behind it is sent a while later, so that it may meet a batch that has failed by then. */
const FLUSH = new Step('Flush', m.flush);

function betweenFlushes(all: readonly Step[]): Step[][] {
  const parts: Step[][] = [[]];
  for (const each of all) {
    parts.at(-1)?.push(each);
    if (each === FLUSH) parts.push([]);
  }
  return parts;
}

const step: fc.Arbitrary<Step> = fc.oneof(
  fc
    .tuple(anyName, own)
    .map(([name, what]) => new Step(`Parse ${name} own ${what}`, (text) => m.parse(name, text(what)))),
  fc
    .tuple(anyName, fc.constantFrom('SELEKT', 'SELECT * FROM nowhere'))
    .map(([name, sql]) => new Step(`Parse ${name} ${sql}`, m.parse(name, sql))),
  aboutName('run', m.runNamed),
  aboutName('run', m.runNamed),
  aboutName('Describe', m.describeStatement),
  aboutName('Close', m.closeStatement),
  aboutName('DEALLOCATE', (name) => m.run(`DEALLOCATE PREPARE "${name}"`)),
  own.map((what) => new Step(`Parse "" own ${what}`, (text) => m.parse('', text(what)))),
  steps(
    ['Bind ""', m.bind()],
    ['run ""', m.runNamed('')],
    ['Describe ""', m.describeStatement()],
    ['Close ""', m.closeStatement()],
  ),
  fc.constant(FLUSH),
  fc
    .constantFrom('SELECT 1/0', 'DEALLOCATE ALL', 'BEGIN', 'ROLLBACK')
    .map((sql) => new Step(`run ${sql}`, m.run(sql))),
);
/** Ends in one ReadyForQuery. */
const batch: fc.Arbitrary<Step[]> = fc.oneof(
  { weight: 4, arbitrary: fc.array(step, { maxLength: 5 }).map((all) => all.concat(SYNC)) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(
        'DEALLOCATE ALL',
        'BEGIN',
        'ROLLBACK',
        'SELECT 1/0',
        'SELECT 1',
        'DEALLOCATE x',
        'PREPARE p AS SELECT 1; DEALLOCATE p',
        ' deallocate Y;',
      )
      .map((sql) => [new Step(`Query ${sql}`, m.query(sql))]),
  },
);
/** Batches that are sent one behind the other, without waiting for answers, and the sizes of the pieces in which they are sent. */
const pipeline = fc.record({
  batches: fc.array(batch, { minLength: 1, maxLength: 4 }),
  sizes: fc.oneof(
    fc.constant([Infinity]),
    fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 3 }),
  ),
});
const theEnd = { batches: [[new Step('the end', m.query('ROLLBACK'))]], sizes: [Infinity] };

test('dropping all statements thousands of times in one pipeline keeps nobody waiting', async () => {
  const client = await stage().login('two');
  const drop = Array.from({ length: 8000 }, () => m.query('DEALLOCATE ALL'));
  assert.equal((await client.ask(drop, drop.length)).length, 2 * drop.length);
  await client.query('BEGIN');
  const refused = Array.from({ length: 8000 }, () => m.query('DISCARD ALL'));
  assert.equal(m.errorsOf(await client.ask(refused, refused.length)).length, refused.length);
  await client.ask([m.query('ROLLBACK'), m.parse('drop', 'DEALLOCATE ALL'), m.sync], 2);
  const runs = Array.from({ length: 8000 }, () => m.run('DEALLOCATE ALL'));
  assert.equal((await client.ask([...runs, m.sync])).length, 3 * runs.length + 1);
  client.quit();
});

describe('a pool of servers that have room for two statements', () => {
  test('gives random pipelines of several clients the answers of connections of their own', async () => {
    const script = fc.array(pipeline, { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(fc.array(script, { minLength: 2, maxLength: 3 }), async (scripts) => {
        const runs = scripts.map((pipelines, n) =>
          sameAsDirect(stage(), 'two', async (client) => {
            const text = (statement: string): string => `SELECT '${statement} of client ${String(n)}'`;
            const lines: string[] = [];
            for (const { batches, sizes } of [...pipelines, theEnd]) {
              for (const sent of betweenFlushes(batches.flat())) {
                await client.sendCut(
                  sent.map(({ bytes }) => bytes(text)),
                  sizes,
                );
                if (sent.at(-1) === FLUSH) await stage().sql('SELECT 1');
              }
              lines.push(...(await tell(client.ready(batches.length))));
            }
            return lines;
          }),
        );
        await Promise.all(runs);
      }),
      { numRuns: 60 },
    );
  });
});
