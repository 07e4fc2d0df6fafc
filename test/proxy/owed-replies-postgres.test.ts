/** OwedReplies against a real PostgreSQL: random pipelines over a raw socket, with whatever timing comes about. */
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { describe, before, test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { FrameScanner, type FrameVisitor, Verdict } from '../../src/protocol/frame-scanner.ts';
import { FrameWriter } from '../../src/protocol/frame-writer.ts';
import * as frontend from '../../src/protocol/frontend.ts';
import { Backend, Frontend } from '../../src/protocol/message-types.ts';
import { Owed, OwedReplies } from '../../src/proxy/owed-replies.ts';
import { type EmbeddedPostgres, query, usePostgres } from '../support/postgres.ts';
import { until } from '../support/wait.ts';

const owedFor: Readonly<Record<number, number | undefined>> = {
  [Frontend.query]: Owed.query,
  [Frontend.functionCall]: Owed.functionCall,
  [Frontend.sync]: Owed.sync,
  [Frontend.parse]: Owed.parse,
  [Frontend.bind]: Owed.bind,
  [Frontend.describe]: Owed.describe,
  [Frontend.execute]: Owed.execute,
  [Frontend.close]: Owed.close,
  [Frontend.copyDone]: Owed.copyEnd,
  [Frontend.copyFail]: Owed.copyEnd,
};

const SCHEMA = `
  create table good (n int);
  create table watched (n int);
  create function refuse() returns trigger language plpgsql as $$ begin raise 'not this table'; end $$;
  create trigger refuse before insert on watched execute function refuse();
  create table unique_late (n int unique deferrable initially deferred);
`;

/** `watched` refuses a copy after CopyInResponse and before it has read anything; `unique_late` fails at the commit. */
const statements = [
  'select 1',
  'select n from generate_series(1, 3) as n',
  'select 1/0',
  'not a statement',
  'begin',
  'commit',
  'rollback',
  'insert into unique_late values (1), (1)',
  'copy good to stdout',
  'copy good from stdin',
  'copy watched from stdin',
  'copy missing from stdin',
  '',
];
const manyStatements = [
  'select 1; select 2',
  'select 1; select 1/0; select 2',
  'select 1; copy good from stdin; select 2',
  'copy good from stdin; copy good from stdin',
  'copy good from stdin; copy watched from stdin; select 1',
  'begin; select 1; commit',
  ';',
];

/** A message that is named where a counterexample is printed. */
class Message {
  readonly name: string;
  readonly bytes: Buffer;

  constructor(name: string, bytes: Buffer) {
    this.name = name;
    this.bytes = bytes;
  }

  [fc.toStringMethod](): string {
    return this.name;
  }
}

const frame = (type: number, build: (writer: FrameWriter) => void = () => undefined): Buffer => {
  const writer = new FrameWriter().begin(type);
  build(writer);
  return writer.end().take();
};
const written = (build: (writer: FrameWriter) => void): Buffer => {
  const writer = new FrameWriter();
  build(writer);
  return writer.take();
};
const PG_BACKEND_PID = 2026;
const call = (oid: number): Buffer =>
  frame(Frontend.functionCall, (writer) => writer.int32(oid).int16(0).int16(0).int16(0));
const close = written((writer) => frontend.writeClose(writer, 'P', ''));

const named = {
  bindExecute: new Message(
    'Bind Execute',
    written((writer) => frontend.writeBindExecute(writer, '', [])),
  ),
  describeStatement: new Message(
    'Describe S',
    frame(Frontend.describe, (writer) => writer.text('S').cstring('')),
  ),
  describePortal: new Message(
    'Describe P',
    frame(Frontend.describe, (writer) => writer.text('P').cstring('')),
  ),
  executeOne: new Message(
    'Execute 1',
    frame(Frontend.execute, (writer) => writer.cstring('').int32(1)),
  ),
  close: new Message('Close', close),
  sync: new Message('Sync', frontend.sync()),
  flush: new Message('Flush', frame(Frontend.flush)),
  copyDone: new Message('CopyDone', frame(Frontend.copyDone)),
  copyFail: new Message('CopyFail', frontend.copyFail('no more')),
  call: new Message('FunctionCall', call(PG_BACKEND_PID)),
  badCall: new Message('bad FunctionCall', call(0)),
} as const;
const { sync, flush } = named;
const parse = (sql: string): Message =>
  new Message(
    `Parse(${sql})`,
    written((writer) => frontend.writeParse(writer, '', sql)),
  );
const simpleQuery = (sql: string): Message => new Message(`Query(${sql})`, frontend.query(sql));

const one = (arbitrary: fc.Arbitrary<Message>): fc.Arbitrary<Message[]> =>
  arbitrary.map((message) => [message]);
const statement = fc.constantFrom(...statements);
const copyStatement = fc.constantFrom(...statements.filter((sql) => /copy .* from/.test(sql)));
const copyData = fc.constantFrom('1\n', '1\n', '1\n2\n', 'x\n', '3').map(
  (text) =>
    new Message(
      `CopyData(${text})`,
      frame(Frontend.copyData, (writer) => writer.text(text)),
    ),
);
const copyEnd = fc.constantFrom(named.copyDone, named.copyDone, named.copyFail);
const inCopy = fc.oneof(copyData, copyData, fc.constantFrom(sync, flush));
const anything = fc.oneof(
  fc.constantFrom(...statements, ...manyStatements).map(simpleQuery),
  statement.map(parse),
  copyEnd,
  inCopy,
  fc.constantFrom(...Object.values(named)),
);
/** Parse, Describe, Bind, Execute. */
const batch = fc
  .tuple(
    statement.map(parse),
    fc.constantFrom([], [named.describeStatement]),
    fc.constantFrom([sync], [flush], [flush, sync]),
  )
  .map(([first, inspect, end]) => [[first], inspect, [named.bindExecute], end].flat());
/** With a Sync in front of the data too, as libpq sends it. */
const copy = fc
  .tuple(
    fc.oneof(
      copyStatement.map((sql) => [simpleQuery(sql)]),
      copyStatement.map((sql) => [parse(sql), named.bindExecute]),
      copyStatement.map((sql) => [parse(sql), named.bindExecute, sync]),
    ),
    fc.array(inCopy, { maxLength: 3 }),
    copyEnd,
    fc.constantFrom([sync], [sync], []),
  )
  .map(([begin, data, end, last]) => [begin, data, [end], last].flat());
/** Groups of messages; a message with a pause behind it waits for replies, or a moment. */
const pipelines = fc.array(
  fc.tuple(
    fc.oneof({ weight: 2, arbitrary: batch }, { weight: 2, arbitrary: copy }, one(anything)),
    fc.nat({ max: 7 }),
  ),
  { minLength: 1, maxLength: 7 },
);

/** A logged-in connection whose bytes are all counted. */
class Session implements FrameVisitor {
  readonly owed = new OwedReplies<never>(() => undefined);
  readonly received: string[] = [];
  closed = false;
  ended = false;
  readonly #socket: Socket;
  /** "Nothing is owed" was said and nothing has been sent since. */
  #claimed = false;
  #violation: string | undefined;
  #wake = (): void => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    const replies = new FrameScanner(this);
    socket.removeAllListeners();
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
    socket.on('data', (chunk) => {
      replies.scan(chunk);
      this.#wake();
    });
  }

  static async open(postgres: EmbeddedPostgres): Promise<Session> {
    const socket = new Socket();
    const { host, port, user, password } = postgres;
    const client = new pg.Client({ host, port, user, password, database: 'postgres', stream: () => socket });
    await client.connect();
    return new Session(socket);
  }

  send(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      const entry = owedFor[bytes.readUInt8(at)];
      if (entry !== undefined) {
        this.owed.push(entry);
        this.#claimed = false;
      }
      at += 1 + bytes.readInt32BE(at + 1);
    }
    this.#socket.write(bytes);
  }

  /** Until something comes or a moment has passed: whichever, the pipeline goes on from a different state. */
  pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, 4);
      this.#wake = (): void => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Proves that all is answered, by a row that nothing else gives. False if the connection has ended. */
  async finish(): Promise<boolean> {
    // Ends a copy and what a failed batch skips, and is ignored where there is nothing of the kind.
    this.send(named.copyFail.bytes);
    this.send(sync.bytes);
    this.owed.push(Owed.fence);
    this.#socket.write(close);
    this.send(sync.bytes);
    this.send(frontend.query('rollback'));
    this.send(frontend.query("select 'the end'"));
    await until(() => this.ended || this.closed, {
      what: () => `the end comes, after ${this.received.join('')}`,
    });
    return this.ended;
  }

  destroy(): void {
    this.#socket.destroy();
    assert.equal(this.#violation, undefined);
  }

  gathers(): boolean {
    return true;
  }

  head(): Verdict {
    assert.fail('everything is gathered');
  }

  part(): void {
    assert.fail('everything is gathered');
  }

  frame(type: number, chunk: Buffer, start: number, end: number): Verdict {
    const asynchronous: number[] = [
      Backend.noticeResponse,
      Backend.parameterStatus,
      Backend.notificationResponse,
    ];
    if (asynchronous.includes(type)) return Verdict.next;
    this.received.push(String.fromCharCode(type));
    const text = chunk.toString('latin1', start, end);
    // The server ends the connection of a client that says anything else inside a copy.
    if (this.#claimed && !text.includes('FATAL')) {
      this.#violation ??= `settled before the last of ${this.received.join('')}`;
    }
    if (type === Backend.errorResponse) this.owed.error();
    else if (type === Backend.readyForQuery) this.owed.ready();
    else this.owed.reply(type);
    this.#claimed = this.owed.settled && !this.owed.doubtful;
    if (type === Backend.dataRow && text.endsWith('the end')) this.ended = true;
    return Verdict.next;
  }
}

describe('OwedReplies with PostgreSQL', () => {
  const postgres = usePostgres();
  before(() => query(postgres(), SCHEMA));

  test('counts what a real server answers to random pipelines', async () => {
    const ends = { closed: 0, lost: 0, settled: 0 };
    await fc.assert(
      fc.asyncProperty(pipelines, async (groups) => {
        const session = await Session.open(postgres());
        try {
          for (const [messages, pauseBehind] of groups) {
            for (const [index, message] of messages.entries()) {
              session.send(message.bytes);
              if (index === pauseBehind) await session.pause();
            }
          }
          if (!(await session.finish())) {
            ends.closed++;
            return;
          }
          if (session.owed.lost) {
            ends.lost++;
            return;
          }
          await until(() => session.owed.settled, { what: () => session.received.join('') });
          assert.equal(session.owed.doubtful, false);
          assert.equal(session.owed.copyIn, false);
          ends.settled++;
        } finally {
          session.destroy();
        }
      }),
      { numRuns: 200 },
    );
    assert.ok(ends.settled > 100 && ends.lost < ends.settled, JSON.stringify(ends));
  });
});
