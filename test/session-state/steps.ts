/** What the sessions of a script do, one step after the other, as values that read like a transcript when a script fails. */
import fc from 'fast-check';
import * as m from '../support/messages.ts';
import type { Parameters } from '../support/raw-client.ts';
import { isWanted } from './kinds.ts';
import { type Act, acts } from './stranger.ts';
import { brought, prepared, resets, statement, STATEMENT_NAMES, values } from './vocabulary.ts';

/** One message of a client's; what it says may depend on which session says it. */
export class Message {
  readonly name: string;
  /** The SQL that it brings, if any. */
  readonly sql: string;
  /** Runs something. */
  readonly runs: boolean;
  readonly #build: (sql: string) => Buffer;

  constructor(name: string, build: (sql: string) => Buffer, { sql = '', runs = false } = {}) {
    this.name = name;
    this.sql = sql;
    this.runs = runs;
    this.#build = build;
  }

  bytes(me: Who): Buffer {
    return this.#build(this.sql.replaceAll('{me}', String(me)));
  }
}

export type Who = 1 | 2;

/** Messages of which the last one, a Query or a Sync, is answered with ReadyForQuery. */
export type Exchange = readonly Message[];

/** Exchanges in one write, or two; then perhaps strangers on the same pool, and a look at all that can be seen of the session. */
export interface Talk {
  readonly kind: 'talk';
  readonly who: Who;
  readonly exchanges: readonly Exchange[];
  /** Strangers come in between after so many messages; never if there are no more. */
  readonly pauseAfter: number;
  readonly strangers: readonly Act[];
  readonly look: boolean;
}

/** The session ends as it is, and another begins in its place. */
export interface Return {
  readonly kind: 'return';
  readonly who: Who;
  readonly farewell: 'quit' | 'end' | 'reset';
  readonly brings: Parameters;
}

export type Step = Talk | Return;

export class Script {
  readonly brings: readonly [Parameters, Parameters];
  readonly steps: readonly Step[];

  constructor(brings: readonly [Parameters, Parameters], steps: readonly Step[]) {
    this.brings = brings;
    this.steps = steps;
  }

  [fc.toStringMethod](): string {
    const logins = this.brings.map((brings, n) => `${String(n + 1)} logs in ${JSON.stringify(brings)}`);
    return `\n${[...logins, ...this.steps.map(told)].join('\n')}\n`;
  }
}

/** A step on one line, or two. */
export function told(step: Step): string {
  if (step.kind === 'return')
    return `${String(step.who)} leaves (${step.farewell}) and returns ${JSON.stringify(step.brings)}`;
  const messages = step.exchanges.flat().map(({ name }) => name);
  if (step.pauseAfter < messages.length) messages.splice(step.pauseAfter, 0, '… strangers …');
  const strangers =
    step.strangers.length === 0 ? '' : `\n  strangers: ${step.strangers.map(({ name }) => name).join(', ')}`;
  return `${String(step.who)}: ${messages.join(' ')}${strangers}${step.look ? '\n  look' : ''}`;
}

export const resetsSomething = ({ exchanges }: Talk): boolean =>
  exchanges.flat().some(({ sql }) => resets(sql));

/**
 * Resets in one go with other statements, or tells what it has reset to. A server that does not know what the session has brought puts back its own
 * default, and nothing can be put in between.
 */
export function resetsAmid(step: Talk): boolean {
  const messages = step.exchanges.flat();
  const seesMore =
    messages.filter(({ runs }) => runs).length > 1 || messages.some(({ sql }) => /;|NULL, false/.test(sql));
  return seesMore && resetsSomething(step);
}

// --- messages ------------------------------------------------------------------------------------------------------

const short = (name: string): string => (name.length > 9 ? `${name.slice(0, 2)}…${name.slice(-1)}` : name);

const query = (sql: string): Message => new Message(`Query(${sql})`, m.query, { sql, runs: true });
const parse = (name: string, sql: string): Message =>
  new Message(`Parse(${short(name)}: ${sql})`, (mine) => m.parse(name, mine), { sql });
const run = (statementName: string, bound: readonly string[], describes: boolean, maxRows = 0): Message =>
  new Message(
    `Bind(${[short(statementName), ...bound].join(', ')})${describes ? ' Describe' : ''} Execute(${maxRows === 0 ? '' : String(maxRows)})`,
    () =>
      Buffer.concat([
        m.bind({ statement: statementName, values: bound }),
        ...(describes ? [m.describePortal()] : []),
        m.execute('', maxRows),
      ]),
    { runs: true },
  );
const describe = (name: string): Message =>
  new Message(`Describe(${short(name)})`, () => m.describeStatement(name));
const close = (name: string): Message => new Message(`Close(${short(name)})`, () => m.closeStatement(name));
const sync = new Message('Sync', () => m.sync);
const flush = new Message('Flush', () => m.flush);
/** SQL makes the cursor; to the protocol it is a portal. */
const fetchCursor = new Message('Execute(portal hc, 1)', () => m.execute('hc', 1), { runs: true });
const closeCursor = new Message('Close(portal hc)', () => m.closePortal('hc'));

export const ROLLBACK: readonly Exchange[] = [[query('ROLLBACK')]];

/** Asks of every name whether there is a statement. */
export const inventory: readonly Exchange[] = STATEMENT_NAMES.map((name) => [describe(name), sync]);

// --- arbitraries -----------------------------------------------------------------------------------------------------

const simple: fc.Arbitrary<Exchange> = fc
  .oneof(
    { weight: 6, arbitrary: statement },
    {
      weight: 1,
      arbitrary: fc.array(statement, { minLength: 2, maxLength: 3 }).map((all) => all.join('; ')),
    },
  )
  .map((sql) => [query(sql)]);

const once: fc.Arbitrary<Exchange> = fc
  .tuple(statement, fc.boolean())
  .map(([sql, describes]) => [parse('', sql), run('', [], describes), sync]);

const name = fc.constantFrom(...STATEMENT_NAMES, 'a', 'b');
const operation: fc.Arbitrary<Message> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(name, values, fc.boolean(), fc.constantFrom(0, 0, 1)).map((all) => run(...all)),
  },
  { weight: 3, arbitrary: fc.tuple(name, prepared).map(([to, sql]) => parse(to, sql)) },
  { weight: 1, arbitrary: name.map(describe) },
  { weight: 1, arbitrary: name.map(close) },
  { weight: 1, arbitrary: fc.constantFrom(fetchCursor, closeCursor, flush) },
);
const batch: fc.Arbitrary<Exchange> = fc
  .array(operation, { minLength: 1, maxLength: 4 })
  .map((operations) => operations.concat(sync));

const exchange = fc.oneof(
  { weight: 4, arbitrary: simple },
  { weight: 1, arbitrary: once },
  { weight: isWanted('batches') ? 2 : 0, arbitrary: batch },
);

const who = fc.constantFrom<Who>(1, 1, 2);
const talk: fc.Arbitrary<Talk> = fc.record({
  kind: fc.constant('talk'),
  who,
  exchanges: fc.oneof(
    { weight: 4, arbitrary: exchange.map((only) => [only]) },
    { weight: 1, arbitrary: fc.array(exchange, { minLength: 2, maxLength: 4 }) },
  ),
  pauseAfter: fc.oneof(
    { weight: 3, arbitrary: fc.constant(Infinity) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 4 }) },
  ),
  strangers: fc.array(acts, { maxLength: 2 }),
  look: fc.boolean(),
});
const leaveAndReturn: fc.Arbitrary<Return> = fc.record({
  kind: fc.constant('return'),
  who,
  farewell: fc.constantFrom('quit', 'end', 'reset'),
  brings: brought,
});

export const script: fc.Arbitrary<Script> = fc
  .tuple(
    fc.tuple(brought, brought),
    fc.array(fc.oneof({ weight: 15, arbitrary: talk }, { weight: 1, arbitrary: leaveAndReturn }), {
      minLength: 1,
      maxLength: 14,
    }),
  )
  .map(([brings, steps]) => new Script(brings, steps));
