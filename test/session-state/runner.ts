/** Plays a script on both sides, the same step at the same time, and compares whatever can be seen after each. */
import assert from 'node:assert/strict';
import type { Parameters } from '../support/raw-client.ts';
import { Observer, sameLines, withoutKnown } from './observer.ts';
import { lookAt } from './oracle.ts';
import type { Playground } from './playground.ts';
import {
  type Exchange,
  inventory,
  type Return,
  resetsAmid,
  resetsSomething,
  ROLLBACK,
  type Script,
  type Talk,
  told,
  type Who,
} from './steps.ts';
import { PASS, Stranger } from './stranger.ts';

interface Twins {
  readonly direct: Observer;
  readonly pooled: Observer;
  /** Something that they brought at login is set. */
  readonly bring: boolean;
}

export interface Outcome {
  readonly steps: number;
  /** At both sessions, which were equal. */
  readonly looks: number;
  /** A statement was, or could not be, prepared again where PostgreSQL alone does not need to; nothing can be compared from there on. */
  readonly cut: boolean;
}

/** Throws at the first difference; what came through the pooler is the actual, what PostgreSQL says is the expected. */
export async function play(script: Script, playground: Playground): Promise<Outcome> {
  await playground.makeNew();
  const performance = new Performance(playground);
  try {
    return await performance.play(script);
  } finally {
    await performance.end();
  }
}

class Cut extends Error {}
const hasStalePlan = (answers: readonly string[]): boolean =>
  answers.some((line) => /^E .*C:0A000 .*M:cached plan/.test(line));

/** In a transaction that has failed, as `status` says or one of the answers, nothing is prepared: what a statement is that its server has not got, nobody can tell. */
function cannotBePrepared(expected: readonly string[], actual: readonly string[], status: string): boolean {
  const at = actual.findIndex((line, n) => line !== expected[n]);
  const before = expected.slice(0, at).findLast((line) => line.startsWith('Z ')) ?? `Z ${status}`;
  return before === 'Z E' && /^E .*C:25P02 /.test(actual[at] ?? '');
}

class Performance {
  readonly #playground: Playground;
  readonly #stranger: Stranger;
  readonly #twins = new Map<Who, Twins>();
  #steps = 0;
  #looks = 0;

  constructor(playground: Playground) {
    this.#playground = playground;
    this.#stranger = new Stranger(playground.pooled);
  }

  async play({ brings, steps }: Script): Promise<Outcome> {
    let cut = false;
    try {
      await this.#login(1, brings[0]);
      await this.#login(2, brings[1]);
      for (const step of steps) {
        this.#steps++;
        const title = `step ${String(this.#steps)} (${told(step)})`;
        if (step.kind === 'return') await this.#return(step, title);
        else await this.#talk(step, title);
      }
      await this.#finish(1);
      await this.#finish(2);
    } catch (error) {
      if (!(error instanceof Cut)) throw error;
      cut = true;
    }
    return { steps: this.#steps, looks: this.#looks, cut };
  }

  async end(): Promise<void> {
    this.#stranger.leave();
    await Promise.all([...this.#twins.keys()].map((who) => this.#leave(who, 'quit')));
  }

  // --- steps -----------------------------------------------------------------------------------------------------------

  async #login(who: Who, brings: Parameters): Promise<void> {
    const { direct: straight, pooled: through } = this.#playground;
    const [direct, pooled] = await Promise.all([
      Observer.login(straight, brings),
      Observer.login(through, brings),
    ]);
    this.#twins.set(who, { direct, pooled, bring: Object.keys(brings).length > 0 });
    sameLines(pooled.parameters, direct.parameters, `what ${String(who)} is told at login`);
  }

  async #leave(who: Who, how: Return['farewell']): Promise<void> {
    const { direct, pooled } = this.#of(who);
    this.#twins.delete(who);
    await Promise.all([direct.leave(how), pooled.leave(how)]);
  }

  async #return({ who, farewell, brings }: Return, title: string): Promise<void> {
    await this.#leave(who, farewell);
    await this.#login(who, brings);
    await this.#look(who, title);
  }

  async #talk(step: Talk, title: string): Promise<void> {
    const { bring } = this.#of(step.who);
    if (bring && (resetsAmid(step) || (!this.#playground.restores && resetsSomething(step)))) return;
    // What was brought comes back with the next exchange; until then the server has reported its own default.
    const reports = !bring || this.#playground.restores || !resetsSomething(step);
    await this.#exchange(step.who, step.exchanges, title, { pauseAfter: step.pauseAfter, reports });
    for (const act of step.strangers) await this.#stranger.do(act);
    if (step.look) await this.#look(step.who, title);
  }

  async #finish(who: Who): Promise<void> {
    if (this.#of(who).direct.status !== 'I') await this.#exchange(who, ROLLBACK, `the last ROLLBACK`);
    await this.#look(who, `the end of ${String(who)}`);
    await this.#exchange(who, inventory, `the statements of ${String(who)} at the end`);
  }

  // --- what steps are made of --------------------------------------------------------------------------------------------

  async #exchange(
    who: Who,
    exchanges: readonly Exchange[],
    title: string,
    { pauseAfter = Infinity, reports = true } = {},
  ): Promise<void> {
    const { direct, pooled } = this.#of(who);
    const { status } = direct;
    const messages = exchanges.flat().map((message) => message.bytes(who));
    direct.send(messages);
    pooled.send(messages.slice(0, pauseAfter));
    if (pauseAfter < messages.length) {
      await this.#stranger.do(PASS);
      pooled.send(messages.slice(pauseAfter));
    }
    const answersOf = (session: Observer): Promise<string[]> =>
      session.answers(exchanges.length).catch((error: unknown) => [String(error)]);
    let [expected, actual] = await Promise.all([answersOf(direct), answersOf(pooled)]);
    if (hasStalePlan(expected) && !hasStalePlan(actual)) throw new Cut();
    if (cannotBePrepared(expected, actual, status)) throw new Cut();
    if (!reports) [expected, actual] = [withoutKnown(expected), withoutKnown(actual)];
    sameLines(actual, expected, `answers differ at ${title}`);
  }

  /** Outside a transaction through another server than the last, which somebody has used in between. */
  async #look(who: Who, title: string): Promise<void> {
    const { direct, pooled } = this.#of(who);
    if (direct.status === 'E') return;
    await this.#stranger.do(PASS);
    const [expected, actual] = await Promise.all([lookAt(direct), lookAt(pooled)]);
    sameLines(actual, expected, `sessions differ at ${title}`);
    sameLines(pooled.parameters, direct.parameters, `reported parameters differ at ${title}`);
    this.#looks++;
  }

  #of(who: Who): Twins {
    const twins = this.#twins.get(who);
    assert.ok(twins, 'both are logged in');
    return twins;
  }
}
