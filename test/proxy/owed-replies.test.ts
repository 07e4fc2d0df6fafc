import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Backend } from '../../src/protocol/message-types.ts';
import { Owed, OwedReplies, OWN } from '../../src/proxy/owed-replies.ts';
import { BackendModel, type Message, type Step } from './backend-model.ts';

const owedFor: Readonly<Record<Message['kind'], number | undefined>> = {
  query: Owed.query,
  functionCall: Owed.functionCall,
  sync: Owed.sync,
  parse: Owed.parse,
  bind: Owed.bind,
  describe: Owed.describe,
  execute: Owed.execute,
  close: Owed.close,
  copyDone: Owed.copyEnd,
  copyFail: Owed.copyEnd,
  copyData: undefined,
  flush: undefined,
};

type Action =
  | { readonly act: 'client'; readonly message: Message }
  /** A message of ours in front of the client's next. */
  | { readonly act: 'own'; readonly message: Message }
  /** A message of the client's that the proxy answers itself; the server would have succeeded. */
  | { readonly act: 'inject'; readonly kind: 'parse' | 'close' }
  | { readonly act: 'deliver'; readonly count: number };

/** A client, a proxy that counts what is owed, and a server; next to them the same client on a connection of its own. */
class Scene {
  readonly server = new BackendModel<'client' | 'own'>();
  readonly direct = new BackendModel<'client'>();
  readonly seenByClient: number[] = [];
  readonly owed = new OwedReplies<number>(() => undefined);
  /** A doubt came up in front of an injection. */
  #disordered = false;
  #refs = 0;

  /** Whether the run has got somewhere that no proxy would go on from. */
  get over(): boolean {
    return this.owed.lost || this.server.dead;
  }

  act(action: Action): void {
    switch (action.act) {
      case 'client':
        this.#send(action.message, 'client');
        this.direct.receive(action.message, 'client');
        break;
      case 'own':
        // Inside a copy any message but the copy's own ends the connection; a link never begins there.
        if (!this.server.inCopy) this.#send(action.message, 'own');
        break;
      case 'inject': {
        const message: Message =
          action.kind === 'parse' ? { kind: 'parse', fails: false } : { kind: 'close' };
        // In doubt nobody knows when the turn of an injection has come: the server is asked.
        if (this.owed.doubtful || this.server.inCopy) {
          this.act({ act: 'client', message });
          return;
        }
        this.direct.receive(message, 'client');
        this.owed.push(action.kind === 'parse' ? Owed.injectedParse : Owed.injectedClose, this.#refs++);
        this.#inject();
        break;
      }
      case 'deliver':
        for (let left = action.count; left > 0 && !this.owed.lost; left--) this.#deliver();
        break;
    }
    this.#check();
  }

  fence(): void {
    this.owed.push(Owed.fence | OWN);
    this.server.receive({ kind: 'close' }, 'own');
    this.#send({ kind: 'sync', fails: false }, 'own');
  }

  ownSync(): void {
    this.#send({ kind: 'sync', fails: false }, 'own');
  }

  deliverAll(): void {
    while (this.server.replies.length > 0 && !this.owed.lost) {
      this.#deliver();
      this.#check();
    }
  }

  #send(message: Message, from: 'client' | 'own'): void {
    const entry = owedFor[message.kind];
    if (entry !== undefined) this.owed.push(from === 'own' ? entry | OWN : entry, this.#refs++);
    this.server.receive(message, from);
  }

  #deliver(): void {
    const reply = this.server.replies.shift();
    if (reply === undefined) return;
    const { owed } = this;
    let own: boolean;
    if (reply.type === Backend.readyForQuery) own = owed.ready();
    else if (reply.type === Backend.errorResponse) own = owed.error();
    else own = owed.reply(reply.type);
    if (this.over) return;
    const name = String.fromCharCode(reply.type);
    assert.equal(own, reply.cause === 'own', `${name} for the ${reply.cause} is given to the other`);
    if (!own) this.seenByClient.push(reply.type);
    this.#inject();
  }

  #inject(): void {
    for (let kind = this.owed.takeInjection(); kind !== 0; kind = this.owed.takeInjection()) {
      if (this.owed.doubtful) this.#disordered = true;
      this.seenByClient.push(kind === Owed.injectedParse ? Backend.parseComplete : Backend.closeComplete);
    }
  }

  #check(): void {
    if (this.over || !this.owed.settled || this.owed.doubtful) return;
    assert.deepEqual(this.server.replies, [], 'settled, and still there are replies to come');
    assert.ok(this.server.ready, 'settled, and the server waits for a Sync');
  }

  /** The client has seen just what it would have seen alone, as far as replies have come. */
  checkClient(): void {
    if (this.#disordered) return;
    assert.deepEqual(
      this.seenByClient,
      this.direct.replies.map(({ type }) => type).slice(0, this.seenByClient.length),
    );
  }
}

const bool = (often: number): fc.Arbitrary<boolean> => fc.nat({ max: often }).map((n) => n === 0);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.constantFrom<Step>('rows', 'none', 'copyOut', 'fail'),
  fc.record({ copyFailsAfter: fc.option(fc.nat({ max: 4 }), { nil: undefined }) }),
);
const sync = bool(9).map((fails): Message => ({ kind: 'sync', fails }));
const copyData = bool(4).map((bad): Message => ({ kind: 'copyData', bad }));
const copyEnd = fc.constantFrom<Message>({ kind: 'copyDone' }, { kind: 'copyDone' }, { kind: 'copyFail' });
const query = fc.array(step, { maxLength: 3 }).map((steps): Message => ({ kind: 'query', steps }));
const execute = fc
  .record({ step, suspends: bool(5) })
  .map(({ step: runs, suspends }): Message => ({ kind: 'execute', step: runs, suspends }));
const anyMessage = fc.oneof(
  query,
  execute,
  sync,
  copyData,
  copyEnd,
  fc.constant<Message>({ kind: 'flush' }),
  fc.constant<Message>({ kind: 'close' }),
  fc
    .record({ kind: fc.constantFrom('functionCall', 'parse', 'bind'), fails: bool(5) })
    .map((message): Message => message),
  fc
    .constantFrom('statement', 'portal', 'noData', 'fail')
    .map((answer): Message => ({ kind: 'describe', answer })),
);
/** What belongs together often comes together: a copy with Syncs in it, as libpq sends them, and a batch. */
const copy = fc
  .tuple(
    fc.oneof(query, execute),
    fc.array(fc.oneof(sync, copyData), { maxLength: 4 }),
    copyEnd,
    fc.array(sync, { maxLength: 2 }),
  )
  .map(([first, inside, end, last]) => [[first], inside, [end], last].flat());
const batch = fc
  .tuple(fc.array(anyMessage, { maxLength: 4 }), sync)
  .map(([messages, last]) => [messages, [last]].flat());
const client = fc
  .oneof(
    copy,
    batch,
    anyMessage.map((message) => [message]),
  )
  .map((messages) => messages.map((message): Action => ({ act: 'client', message })));
const ownMessage = fc.constantFrom<Message>(
  { kind: 'parse', fails: false },
  { kind: 'close' },
  { kind: 'bind', fails: false },
);
const other = fc.oneof(
  fc.nat({ max: 6 }).map((count): Action => ({ act: 'deliver', count })),
  ownMessage.map((message): Action => ({ act: 'own', message })),
  fc.constantFrom<'parse' | 'close'>('parse', 'close').map((kind): Action => ({ act: 'inject', kind })),
);
const actions = fc
  .array(
    fc.oneof(
      client,
      other.map((action) => [action]),
    ),
    { maxLength: 14 },
  )
  .chain((groups) =>
    // Between the messages of a group the replies to earlier ones arrive, or not.
    fc
      .array(fc.nat({ max: 3 }), { minLength: groups.flat().length, maxLength: groups.flat().length })
      .map((counts) =>
        groups
          .flat()
          .flatMap((action, index): Action[] => [action, { act: 'deliver', count: counts[index] ?? 0 }]),
      ),
  );

/** Plays the plan and all that is owed after it, then settles by a fence what is in doubt. Says how far it got. */
function play(plan: readonly Action[]): 'ended' | 'lost' | 'fenced' | 'settled' {
  const scene = new Scene();
  const { owed, server } = scene;
  for (const action of plan) {
    scene.act(action);
    if (scene.over) return scene.owed.lost ? 'lost' : 'ended';
  }
  scene.deliverAll();
  if (scene.over) return scene.owed.lost ? 'lost' : 'ended';
  scene.checkClient();
  assert.equal(owed.copyIn, server.inCopy);
  if (server.inCopy) {
    scene.act({ act: 'client', message: { kind: 'copyFail' } });
    scene.deliverAll();
  }
  // A server that waits for a Sync gets it in front of the fence, which it would skip.
  if (!owed.settled) scene.ownSync();
  const fenced = owed.doubtful;
  if (fenced) scene.fence();
  scene.deliverAll();
  if (owed.lost) return 'lost';
  assert.equal(owed.settled, true);
  assert.equal(owed.doubtful, false);
  assert.equal(owed.size, 0);
  scene.checkClient();
  assert.equal(scene.seenByClient.length, scene.direct.replies.length, 'the client has got everything');
  return fenced ? 'fenced' : 'settled';
}

/** A scene of the client's messages alone; at `*` all replies are delivered. */
function sceneOf(...messages: readonly (Message | '*')[]): Scene {
  const scene = new Scene();
  for (const message of messages) {
    if (message === '*') scene.deliverAll();
    else scene.act({ act: 'client', message });
  }
  return scene;
}

const Say = {
  copy: { kind: 'execute', step: { copyFailsAfter: undefined }, suspends: false },
  copyQuery: { kind: 'query', steps: [{ copyFailsAfter: undefined }] },
  select: { kind: 'execute', step: 'rows', suspends: false },
  good: { kind: 'copyData', bad: false },
  bad: { kind: 'copyData', bad: true },
  done: { kind: 'copyDone' },
  query: { kind: 'query', steps: ['rows'] },
  parse: { kind: 'parse', fails: false },
  badParse: { kind: 'parse', fails: true },
  bind: { kind: 'bind', fails: false },
  sync: { kind: 'sync', fails: false },
} as const satisfies Record<string, Message>;

describe('OwedReplies', () => {
  test('knows whose every reply is and never claims too early that nothing is owed', () => {
    const ends = { ended: 0, lost: 0, fenced: 0, settled: 0 };
    fc.assert(
      fc.property(actions, (plan) => {
        ends[play(plan)]++;
      }),
      { numRuns: 20_000 },
    );
    assert.ok(ends.settled > 5000 && ends.fenced > 500 && ends.lost < ends.fenced, JSON.stringify(ends));
  });

  test('is never in doubt unless a copy failed', () => {
    const copies = (message: Message): boolean =>
      (message.kind === 'query' && message.steps.some((each) => typeof each === 'object')) ||
      (message.kind === 'execute' && typeof message.step === 'object');
    fc.assert(
      fc.property(actions, (plan) => {
        const harmless = plan.filter(
          (action) => action.act === 'inject' || action.act === 'deliver' || !copies(action.message),
        );
        assert.equal(play(harmless), 'settled');
      }),
      { numRuns: 3000 },
    );
  });

  test('forgets the Sync that a copy has read', () => {
    const { owed, server } = sceneOf(Say.copy, Say.sync, '*', Say.good, Say.done, '*');
    assert.equal(owed.size, 0);
    assert.equal(owed.settled, false, 'the copy is not committed yet');
    assert.equal(owed.doubtful, false);
    assert.equal(server.ready, false);
    assert.equal(sceneOf(Say.copy, Say.sync, '*', Say.good, Say.done, '*', Say.sync, '*').owed.settled, true);
  });

  test('is in doubt when a copy failed behind a Sync, as of libpq, until a fence is answered', () => {
    const played = sceneOf(Say.copy, Say.sync, '*', Say.bad, '*');
    assert.equal(played.owed.skipping, true);
    played.act({ act: 'client', message: Say.done });
    played.act({ act: 'client', message: Say.sync });
    played.deliverAll();
    assert.equal(played.owed.settled, true);
    assert.equal(played.owed.doubtful, true);
    played.fence();
    assert.equal(played.owed.settled, false);
    played.deliverAll();
    assert.equal(played.owed.settled, true);
    assert.equal(played.owed.doubtful, false);
  });

  test('is in doubt no longer when something sent later has been answered', () => {
    const played = sceneOf(Say.copy, Say.sync, '*', Say.bad, Say.sync, '*');
    assert.equal(played.owed.doubtful, true);
    played.act({ act: 'client', message: Say.query });
    played.deliverAll();
    assert.equal(played.owed.settled, true);
    assert.equal(played.owed.doubtful, false);
  });

  test('is lost when in doubt something is sent that may or may not be skipped', () => {
    const { owed } = sceneOf(Say.copy, Say.sync, '*', Say.bad, '*', Say.query);
    assert.equal(owed.lost, true);
  });

  test('counts no CopyDone that comes after the copy has failed', () => {
    assert.equal(sceneOf(Say.copyQuery, '*', Say.bad, '*', Say.done, '*').owed.settled, true);
    assert.equal(sceneOf(Say.copyQuery, Say.bad, Say.done, '*').owed.settled, true);
    assert.equal(sceneOf(Say.copy, Say.bad, Say.done, Say.sync, '*').owed.settled, true);
  });

  test('keeps the end of a copy whose predecessor failed before it was read', () => {
    const failed: Message = { kind: 'query', steps: [{ copyFailsAfter: 0 }] };
    const { owed } = sceneOf(failed, Say.copyQuery, Say.done, Say.query, '*');
    assert.equal(owed.settled, true);
    assert.equal(owed.doubtful, false);
  });

  test('is not settled between what was executed and the Sync that commits it', () => {
    const { owed } = sceneOf(Say.select, '*');
    assert.equal(owed.size, 0);
    assert.equal(owed.settled, false);
  });

  test('skips everything between an error and the next Sync, also what is sent later', () => {
    const { owed } = sceneOf(Say.badParse, Say.bind, '*', Say.query, Say.bind);
    assert.equal(owed.skipping, true);
    assert.equal(owed.size, 0);
    owed.push(Owed.sync);
    assert.equal(owed.skipping, false);
  });

  test('tells which references a failure has dropped, the last one first, and no others', () => {
    const dropped: [number, string][] = [];
    const owed = new OwedReplies<string>((entry, ref) => dropped.push([entry, ref]));
    owed.push(Owed.parse, 'a');
    owed.push(Owed.parse | OWN, 'b');
    owed.push(Owed.injectedParse, 'c');
    owed.push(Owed.bind);
    owed.push(Owed.sync);
    owed.push(Owed.parse, 'd');
    assert.equal(owed.reply(Backend.parseComplete), false);
    assert.equal(owed.error(), true);
    assert.deepEqual(dropped, [
      [Owed.injectedParse, 'c'],
      [Owed.parse | OWN, 'b'],
    ]);
    assert.equal(owed.ready(), false);
    assert.equal(owed.headRef, 'd');
    assert.equal(owed.error(), false);
    owed.push(Owed.parse | OWN, 'e');
    assert.deepEqual(dropped.slice(2), [
      [Owed.parse, 'd'],
      [Owed.parse | OWN, 'e'],
    ]);
  });

  test('keeps order and references however many replies are owed', () => {
    const owed = new OwedReplies<number>(() => undefined);
    let next = 0;
    let oldest = 0;
    for (let round = 0; round < 50; round++) {
      for (let count = 0; count < 7; count++) owed.push(next % 3 === 0 ? Owed.bind | OWN : Owed.bind, next++);
      for (let count = 0; count < 4; count++) {
        assert.equal(owed.headRef, oldest);
        assert.equal(owed.headIsOwn, oldest % 3 === 0);
        assert.equal(owed.reply(Backend.bindComplete), oldest++ % 3 === 0);
      }
      assert.equal(owed.size, next - oldest);
    }
  });

  test('is lost when an error answers nothing that was sent', () => {
    const owed = new OwedReplies<number>(() => undefined);
    assert.equal(owed.error(), false);
    assert.equal(owed.lost, true);
    assert.equal(owed.settled, false);
  });
});

test('a message is owed from when it is sent until it is answered or skipped', () => {
  const owed = new OwedReplies<object>(() => undefined);
  const [first, second, third] = [{}, {}, {}];
  owed.push(Owed.describe, first);
  owed.push(Owed.describe, second);
  owed.push(Owed.describe, third);
  assert.deepEqual(
    [first, second, third].map((ref) => owed.owes(ref)),
    [true, true, true],
  );
  owed.reply(Backend.noData);
  assert.deepEqual(
    [first, second, third].map((ref) => owed.owes(ref)),
    [false, true, true],
  );
  owed.error();
  assert.deepEqual(
    [first, second, third].map((ref) => owed.owes(ref)),
    [false, false, false],
  );
});
