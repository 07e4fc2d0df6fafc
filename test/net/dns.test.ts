import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import { Resolver } from '../../src/net/dns.ts';

interface Question {
  readonly host: string;
  answer(addresses: readonly string[]): void;
  fail(error: Error): void;
}

/** A resolver whose look-ups are answered by the test. */
class Asked {
  readonly clock = new ManualClock();
  readonly questions: Question[] = [];
  ttl = 5_000;
  readonly resolver = new Resolver({
    ttl: () => this.ttl,
    clock: this.clock,
    lookUp: (host) => {
      const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
      this.questions.push({ host, answer: resolve, fail: reject });
      return promise;
    },
  });

  question(index: number): Question {
    const found = this.questions[index];
    if (found === undefined) throw new Error(`only ${this.questions.length} questions were asked`);
    return found;
  }

  async knows(host: string, addresses: readonly string[]): Promise<void> {
    const resolved = this.resolver.resolve(host);
    this.questions.at(-1)?.answer(addresses);
    await resolved;
  }
}

describe('Resolver', () => {
  test('gives literal addresses back without asking', async () => {
    const { resolver, questions } = new Asked();
    assert.deepEqual(await resolver.resolve('10.0.0.1'), ['10.0.0.1']);
    assert.deepEqual(await resolver.resolve('::1'), ['::1']);
    assert.equal(questions.length, 0);
  });

  test('shows what it remembers, for how much longer, and how many look-ups are under way', async () => {
    const asked = new Asked();
    await asked.knows('DB', ['10.0.0.1', 'fd00::1']);
    asked.clock.advance(2_000);
    const unknown = asked.resolver.resolve('nowhere');
    const known = { name: 'db', ttl: 3_000, addresses: ['10.0.0.1', 'fd00::1'] };
    const nothing = { name: 'nowhere', ttl: 0, addresses: [] };
    assert.deepEqual([...asked.resolver.hosts()], [known, nothing]);
    assert.equal(asked.resolver.hostCount, 2);
    assert.equal(asked.resolver.lookUps, 1);
    asked.question(1).fail(new Error('no such name'));
    await assert.rejects(unknown);
    assert.equal(asked.resolver.lookUps, 0);
    asked.clock.advance(4_000);
    assert.deepEqual([...asked.resolver.hosts()], [{ ...known, ttl: 0 }, nothing]);
  });

  test('finds what is in the hosts file', async () => {
    const addresses = await new Resolver({ ttl: () => 1_000 }).resolve('localhost');
    assert.ok(addresses.includes('127.0.0.1') || addresses.includes('::1'));
  });

  test('asks once for a name however many want it, in whatever case, and again after dns_max_ttl', async () => {
    const asked = new Asked();
    const both = Promise.all([asked.resolver.resolve('db'), asked.resolver.resolve('DB')]);
    assert.equal(asked.questions.length, 1);
    asked.question(0).answer(['10.0.0.1']);
    assert.deepEqual(await both, [['10.0.0.1'], ['10.0.0.1']]);
    asked.clock.advance(4_999);
    assert.deepEqual(await asked.resolver.resolve('db'), ['10.0.0.1']);
    assert.equal(asked.questions.length, 1);
    asked.clock.advance(1);
    const moved = asked.resolver.resolve('db');
    asked.question(1).answer(['10.0.0.2']);
    assert.deepEqual(await moved, ['10.0.0.2']);
  });

  test('begins with the next of several addresses each time', async () => {
    const asked = new Asked();
    const first = asked.resolver.resolve('db');
    asked.question(0).answer(['a', 'b', 'c']);
    assert.deepEqual(await first, ['a', 'b', 'c']);
    assert.deepEqual(await asked.resolver.resolve('db'), ['b', 'c', 'a']);
    assert.deepEqual(await asked.resolver.resolve('db'), ['c', 'a', 'b']);
    assert.deepEqual(await asked.resolver.resolve('db'), ['a', 'b', 'c']);
  });

  test('serves the old answer while a fresh one cannot be had, for ten minutes', async () => {
    const asked = new Asked();
    await asked.knows('db', ['10.0.0.1']);
    asked.clock.advance(5_000);
    const during = asked.resolver.resolve('db');
    asked.question(1).fail(new Error('SERVFAIL'));
    assert.deepEqual(await during, ['10.0.0.1']);
    assert.deepEqual(await asked.resolver.resolve('db'), ['10.0.0.1']);
    assert.equal(asked.questions.length, 2);
    asked.clock.advance(600_000);
    const late = asked.resolver.resolve('db');
    asked.question(2).fail(new Error('SERVFAIL'));
    await assert.rejects(late, /SERVFAIL/);
  });

  test('does not wait long for a look-up that hangs, when it has an old answer', async () => {
    const asked = new Asked();
    await asked.knows('db', ['10.0.0.1']);
    asked.clock.advance(5_000);
    assert.deepEqual(await asked.resolver.resolve('db'), ['10.0.0.1']);
    const again = asked.resolver.resolve('db');
    assert.equal(asked.questions.length, 2);
    asked.question(1).answer(['10.0.0.2']);
    assert.deepEqual(await again, ['10.0.0.2']);
  });

  test('rejects when a name was never found, and asks again next time', async () => {
    const asked = new Asked();
    const never = asked.resolver.resolve('db');
    asked.question(0).answer([]);
    await assert.rejects(never, /no address for db/);
    const later = asked.resolver.resolve('db');
    asked.question(1).answer(['10.0.0.1']);
    assert.deepEqual(await later, ['10.0.0.1']);
  });

  test('looks up two names at a time, the others in turn', async () => {
    const asked = new Asked();
    const all = Promise.all(['a', 'b', 'c', 'd'].map((host) => asked.resolver.resolve(host)));
    const hosts = (): readonly string[] => asked.questions.map(({ host }) => host);
    assert.deepEqual(hosts(), ['a', 'b']);
    asked.question(1).answer(['2']);
    await new Promise(setImmediate);
    assert.deepEqual(hosts(), ['a', 'b', 'c']);
    asked.question(0).answer(['1']);
    asked.question(2).answer(['3']);
    await new Promise(setImmediate);
    asked.question(3).answer(['4']);
    assert.deepEqual(await all, [['1'], ['2'], ['3'], ['4']]);
  });
});
