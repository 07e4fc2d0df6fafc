import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { InternedMap } from '../../src/session/interned-map.ts';
import { questionsOf } from '../../src/session/questions.ts';
import { isIdentity, type SessionState } from '../../src/session/replay.ts';
import { isCustom, settledState } from '../../src/session/settled-state.ts';
import { Suspicion } from '../../src/session/suspicion.ts';
import { Hint, noHints } from '../../src/sql/hints.ts';

/** What a server has where nothing has been set. */
const usual: ReadonlyMap<string, string> = new Map([
  ['work_mem', '4'],
  ['timezone', 'utc'],
  ['role', 'none'],
  ['session_authorization', 'app'],
]);
const names = ['work_mem', 'timezone', 'role', 'app.user', 'app.tenant'];
const standardOf = (name: string): string => usual.get(name) ?? '';

/** A server's session: what is set there; a custom setting that was never set is not there. */
class Backend {
  readonly #values = new Map<string, string>();
  readonly #setHere = new Set<string>();

  set(name: string, value: string): void {
    this.#values.set(name, value);
    this.#setHere.add(name);
  }

  reset(name: string): void {
    this.#values.set(name, standardOf(name));
    this.#setHere.delete(name);
  }

  resetAll(): void {
    for (const name of this.#values.keys()) if (!isIdentity(name)) this.reset(name);
  }

  /** As a replay does. */
  become(state: SessionState): void {
    for (const name of this.#values.keys()) this.reset(name);
    for (const [name, value] of state) this.set(name, value);
  }

  /** Of the settings in PostgreSQL's list. */
  isSetHere(name: string): boolean {
    return this.#setHere.has(name) && !isCustom(name) && !isIdentity(name);
  }

  /** null: there is no such setting. */
  get(name: string): string | null {
    return this.#values.get(name) ?? usual.get(name) ?? null;
  }
}

type Command =
  | { readonly kind: 'set'; readonly name: string; readonly value: string }
  | { readonly kind: 'reset'; readonly name: string }
  | { readonly kind: 'resetAll' };

const someName = fc.constantFrom(...names);
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({
    kind: fc.constant('set'),
    name: someName,
    value: fc.constantFrom('1', '2', 'set by connect_query', 'brought', 'usual'),
  }),
  fc.record({ kind: fc.constant('reset'), name: someName }),
  fc.record({ kind: fc.constant('resetAll') }),
);

/** What runs between two points of rest, and on which server. */
const turn = fc.record({
  server: fc.constantFrom(0, 1),
  commands: fc.array(command, { minLength: 1, maxLength: 4 }),
});

const suspicionOf = (commands: readonly Command[]): Suspicion => {
  const suspicion = new Suspicion();
  for (const { kind, ...named } of commands) {
    if (kind === 'resetAll') suspicion.bits |= Hint.resetAll;
    else if ('name' in named) {
      const resets = kind === 'reset' ? [named.name] : [];
      suspicion.add({ ...noHints, bits: Hint.settings, names: [named.name], resets });
    }
  }
  return suspicion;
};

/** What is set to what is usual cannot be told from a RESET of the same name at the same time, but where it is a setting that was brought. */
const isAmbiguous = (commands: readonly Command[], brought: readonly string[]): boolean =>
  commands.some(
    (one) =>
      one.kind === 'set' &&
      one.value === 'usual' &&
      (!brought.includes(one.name) || isCustom(one.name) || isIdentity(one.name)) &&
      commands.some(
        (other) => other.kind === 'resetAll' || (other.kind === 'reset' && other.name === one.name),
      ),
  );

const allOf = (some: readonly string[], value: string): SessionState =>
  InternedMap.of(some.map((name) => [name, value]));

/** One client on servers that it shares, and what it would see on a connection of its own. */
class World {
  readonly #base: SessionState;
  readonly #brought: SessionState;
  readonly #servers: { readonly backend: Backend; state: SessionState | undefined }[];
  readonly #direct = new Map<string, string>();
  #client: SessionState;

  constructor(base: SessionState, brought: SessionState) {
    this.#base = base;
    this.#brought = brought;
    this.#client = brought;
    this.#servers = [0, 1].map(() => {
      const backend = new Backend();
      backend.become(base);
      return { backend, state: InternedMap.empty };
    });
    for (const name of names) this.#resetDirectly(name);
  }

  play(index: number, commands: readonly Command[]): void {
    const server = this.#servers[index];
    if (server === undefined) throw new Error('there are two servers');
    const { backend } = server;
    if (server.state !== this.#client) backend.become(this.#client.over(this.#base));
    server.state = this.#client;
    for (const one of commands) {
      if (one.kind === 'resetAll') backend.resetAll();
      else if (one.kind === 'reset') backend.reset(one.name);
      else backend.set(one.name, one.value === 'usual' ? standardOf(one.name) : one.value);
      this.#runDirectly(one);
    }
    const suspicion = suspicionOf(commands);
    const questions = questionsOf({
      suspicion,
      state: this.#client,
      brought: this.#brought,
      base: this.#base,
      pin: undefined,
      functionsDue: false,
      usualMissing: () => false,
    });
    // A RESET ALL of what is as it was at login: nothing is asked.
    if (questions === undefined) server.state = undefined;
    else {
      const settled = settledState({
        values: new Map(questions.names.map((name) => [name, backend.get(name)])),
        usual: (name) => usual.get(name),
        base: this.#base,
        brought: this.#brought,
        resetAll: (suspicion.bits & Hint.resetAll) !== 0,
        resets: suspicion.resets,
        setHere: new Set(questions.setHere.filter((name) => backend.isSetHere(name))),
      });
      server.state = settled.server;
      this.#client = settled.client;
    }
  }

  /** What the client means, what it would have, what the servers are thought to have and what they have: pairs that are to be equal. */
  compare(): void {
    const meant = this.#client.over(this.#base);
    assert.deepEqual(
      names.map((name) => [name, meant.get(name) ?? standardOf(name)]),
      names.map((name) => [name, this.#direct.get(name)]),
    );
    for (const { backend, state } of this.#servers) {
      const known = state?.over(this.#base);
      if (known === undefined) continue;
      assert.deepEqual(
        names.map((name) => [name, known.get(name) ?? standardOf(name)]),
        names.map((name) => [name, backend.get(name) ?? '']),
      );
    }
  }

  /** To what its login has made of it: what the client brings is the default of its own connection. */
  #resetDirectly(name: string): void {
    this.#direct.set(name, this.#brought.get(name) ?? this.#base.get(name) ?? standardOf(name));
  }

  #runDirectly(one: Command): void {
    if (one.kind === 'set')
      this.#direct.set(one.name, one.value === 'usual' ? standardOf(one.name) : one.value);
    else if (one.kind === 'reset') this.#resetDirectly(one.name);
    else for (const name of names) if (!isIdentity(name)) this.#resetDirectly(name);
  }
}

describe('a settled state', () => {
  test('gives a client on any server what it would see on a connection of its own, and is what the server has', () => {
    fc.assert(
      fc.property(
        fc.subarray(names),
        fc.subarray(names),
        fc.array(turn, { maxLength: 8 }),
        (base, brought, turns) => {
          const world = new World(allOf(base, 'set by connect_query'), allOf(brought, 'brought'));
          for (const { server, commands } of turns) {
            fc.pre(!isAmbiguous(commands, brought));
            world.play(server, commands);
            world.compare();
          }
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('has nothing in it where everything is usual, so that such a client suits every server', () => {
    const { client, server } = settledState({
      values: new Map([...usual, ['app.never', null], ['app.reset', '']]),
      usual: (name) => usual.get(name),
      base: InternedMap.empty,
      brought: InternedMap.empty,
      resetAll: false,
      resets: new Set(),
      setHere: new Set(),
    });
    assert.equal(client, InternedMap.empty);
    assert.equal(server, InternedMap.empty);
  });

  test('keeps a value of which it is not known what is usual', () => {
    const { client, server } = settledState({
      values: new Map([['work_mem', '4']]),
      usual: () => undefined,
      base: InternedMap.empty,
      brought: InternedMap.empty,
      resetAll: true,
      resets: new Set(['work_mem']),
      setHere: new Set(),
    });
    assert.deepEqual([...client], [['work_mem', '4']]);
    assert.equal(server, client);
  });

  test('tells custom settings by their dot', () => {
    assert.deepEqual(['app.user', 'a.b.c', 'work_mem', 'role'].map(isCustom), [true, true, false, false]);
  });
});
