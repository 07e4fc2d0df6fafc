/**
 * A session through the pooler is like one on a connection of its own: random scripts are played on both, and every answer,
 * every reported parameter and all that can be seen of the session must be equal, while others use the servers in between.
 *
 *     OSTLER_SCRIPTS=5000 OSTLER_SCRIPTS_TIME=600000 node --test test/session-state/differential.test.ts
 *
 * OSTLER_SEED and OSTLER_PATH play again what has failed, OSTLER_ONLY names the kinds of statements that scripts are made of
 * (`vocabulary.ts`, besides: strangers, brought, batches).
 */
import { describe, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { type Entry, SERVERS, type Tally, usePlaygrounds } from './playground.ts';
import { type Outcome, play } from './runner.ts';
import { script } from './steps.ts';

const scripts = Number(process.env['OSTLER_SCRIPTS'] ?? 15);
/** Others are played where it is said: here a failure is to be one of the change that is tested. */
const seed = Number(process.env['OSTLER_SEED'] ?? 1);
/** As a failure prints it: plays that script alone. */
const path = process.env['OSTLER_PATH'];
/** In ms, how long the scripts of one mode may take, and with them the search for a shorter one that fails. */
const timeLimit = Number(process.env['OSTLER_SCRIPTS_TIME'] ?? 8000);

interface Mode extends Entry {
  /** Of the scripts. */
  readonly share: number;
}

const MODES: readonly Mode[] = [
  // Nothing can differ here: it shows that scripts, oracle and comparison are right.
  { name: 'session_mode', lasting: true, restores: false, pooling: 'pool_mode = "session"', share: 0.1 },
  { name: 'track', lasting: false, restores: true, pooling: 'session_state = "track"', share: 1 },
  { name: 'strict', lasting: false, restores: true, pooling: 'session_state = "strict"', share: 0.5 },
  {
    name: 'plain',
    lasting: false,
    restores: true,
    plain: true,
    pooling: 'session_state = "track"',
    share: 0.5,
  },
  {
    name: 'far',
    lasting: false,
    restores: true,
    far: true,
    pooling: 'session_state = "track"',
    // It takes its time.
    share: 0.15,
  },
  { name: 'pin', lasting: true, restores: true, pooling: 'session_state = "pin"', share: 0.2 },
];

for (const server of SERVERS) {
  describe(`with ${server.name}`, { skip: server.missing ?? false }, () => {
    const playground = usePlaygrounds(server, MODES);

    for (const mode of MODES) {
      test(`a session in ${mode.name} is like one on a connection of its own`, async (t) => {
        const numRuns = Math.ceil(scripts * mode.share);
        t.diagnostic(`seed ${String(seed)}`);
        const outcomes: Outcome[] = [];
        const place = await playground(mode);
        await fc.assert(
          fc.asyncProperty(script, async (each) => {
            outcomes.push(await play(each, place));
          }),
          {
            numRuns,
            seed,
            ...(path === undefined ? {} : { path, endOnFailure: true }),
            plugins: [fc.interruptAfterTimeLimit(timeLimit)],
          },
        );
        t.diagnostic(`${String(outcomes.length)} of ${String(numRuns)} scripts played`);
        tell(t, outcomes, await place.tally());
      });
    }
  });
}

function tell(t: TestContext, outcomes: readonly Outcome[], { rests, asked, needless }: Tally): void {
  const sum = (count: (outcome: Outcome) => number): string =>
    String(outcomes.reduce((total, outcome) => total + count(outcome), 0));
  t.diagnostic(
    `${sum(({ steps }) => steps)} steps, ${sum(({ looks }) => looks)} looks, ${sum(({ cut }) => Number(cut))} scripts cut short by a statement that was prepared again, or could not be`,
  );
  // That no question was missing where one was due is what the scripts have shown.
  t.diagnostic(
    `${String(rests)} times at rest, ${String(asked)} questions, ${String(needless)} needless (${percent(needless, asked)})`,
  );
}

const percent = (part: number, whole: number): string =>
  `${whole === 0 ? '0' : ((100 * part) / whole).toFixed(0)} %`;
