import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DerivedCache, Derivations } from '../../src/auth/derivations.ts';
import { formatVerifier } from '../../src/auth/scram-keys.ts';
import { parseSecret, scramVerifierText } from '../../src/auth/secrets.ts';
import { ServerKeys, Verifiers } from '../../src/auth/verifiers.ts';

/** Counts how often PBKDF2 is asked for. */
class CountedDerivations extends Derivations {
  count = 0;

  override saltedPassword(password: Buffer, salt: Buffer, iterations: number): Promise<Buffer> {
    this.count += 1;
    return super.saltedPassword(password, salt, iterations);
  }
}

describe('Verifiers', () => {
  test('derives a user once, for all who ask before and after it is done', async () => {
    const derivations = new CountedDerivations();
    const verifiers = new Verifiers({ derivations, iterations: 2 });
    const pending = [verifiers.verifier('app', 'x'), verifiers.verifier('app', 'x')];
    assert.ok(pending.every((verifier) => verifier instanceof Promise));
    const [first, second] = await Promise.all(pending);
    assert.equal(first, second);
    assert.equal(verifiers.verifier('app', 'x'), first);
    assert.equal(derivations.count, 1);
  });

  test('makes another verifier of another password, user or iteration count', async () => {
    const verifiers = new Verifiers({ derivations: new Derivations(), iterations: 2 });
    const text = async (user: string, password: string): Promise<string> =>
      formatVerifier(await verifiers.verifier(user, password));
    const texts = [await text('app', 'x'), await text('app', 'y'), await text('bpp', 'x')];
    verifiers.iterations = 3;
    texts.push(await text('app', 'x'));
    assert.equal(new Set(texts).size, 4);
    assert.match(texts.at(-1) ?? '', /\$3:/);
  });

  test('makes what PostgreSQL would make of that salt', async () => {
    const verifiers = new Verifiers({ derivations: new Derivations(), iterations: 5 });
    const verifier = await verifiers.verifier('app', 'pass\u00A0word');
    assert.equal(formatVerifier(verifier), await scramVerifierText('pass word', 5, verifier.salt));
  });

  test('salts a user alike in every process that has the same secret, known or not', async () => {
    const options = { derivations: new Derivations(), iterations: 2, mockSecret: 'shared' };
    const one = new Verifiers(options);
    const other = new Verifiers(options);
    const { salt } = await one.verifier('app', 'x');
    assert.equal(salt.length, 16);
    assert.deepEqual(other.mock('app').salt, salt);
    assert.equal(other.mock('app').iterations, 2);
    assert.notDeepEqual(other.mock('bpp').salt, salt);
    const stranger = new Verifiers({ derivations: new Derivations(), iterations: 2 });
    assert.notDeepEqual(stranger.mock('app').salt, salt);
  });

  test('tells whether a plain password belongs to a verifier', async () => {
    const verifiers = new Verifiers({ derivations: new Derivations() });
    const secret = parseSecret(await scramVerifierText('pencil', 2));
    assert.equal(secret.kind, 'scram');
    assert.equal(await verifiers.matches(secret.verifier, Buffer.from('pencil')), true);
    assert.equal(await verifiers.matches(secret.verifier, Buffer.from('pencils')), false);
  });

  test('has prepared users ready at their first login', async () => {
    const derivations = new CountedDerivations();
    const verifiers = new Verifiers({ derivations, iterations: 2 });
    await verifiers.prepare([
      ['app', parseSecret('x')],
      ['old', parseSecret(`md5${'0'.repeat(32)}`)],
      ['bpp', parseSecret('y')],
    ]);
    assert.ok(!(verifiers.verifier('app', 'x') instanceof Promise));
    assert.ok(!(verifiers.verifier('bpp', 'y') instanceof Promise));
    assert.equal(derivations.count, 2);
  });

  test('stops preparing users of a configuration that has been replaced', async () => {
    const verifiers = new Verifiers({ derivations: new Derivations(), iterations: 2 });
    const stale = verifiers.prepare([
      ['app', parseSecret('x')],
      ['gone', parseSecret('y')],
    ]);
    await verifiers.prepare([['app', parseSecret('x')]]);
    await stale;
    assert.ok(verifiers.verifier('gone', 'y') instanceof Promise);
  });
});

describe('ServerKeys', () => {
  test('derives once for each password, salt and iteration count', async () => {
    const derivations = new CountedDerivations();
    const keys = new ServerKeys({ derivations });
    const salt = Buffer.from('salt');
    const first = await keys.keys('x', salt, 2);
    assert.equal(keys.keys('x', Buffer.from('salt'), 2), first);
    await keys.keys('x', salt, 3);
    await keys.keys('x', Buffer.from('other'), 2);
    await keys.keys('y', salt, 2);
    assert.equal(derivations.count, 4);
  });
});

describe('Derivations', () => {
  test('never runs more at a time than allowed, and all in the end', async () => {
    const derivations = new Derivations({ concurrency: 2 });
    let most = 0;
    const all = Array.from({ length: 12 }, async (_, index) => {
      const derivation = derivations.saltedPassword(Buffer.from('x'), Buffer.from([index]), 100);
      most = Math.max(most, derivations.running);
      const key = await derivation;
      most = Math.max(most, derivations.running);
      return key.toString('hex');
    });
    assert.equal(new Set(await Promise.all(all)).size, 12);
    assert.equal(most, 2);
    assert.equal(derivations.running, 0);
  });

  test('rejects beyond the number that may wait', async () => {
    const derivations = new Derivations({ concurrency: 1, maxWaiting: 1 });
    const derive = (): Promise<Buffer> => derivations.saltedPassword(Buffer.from('x'), Buffer.from('s'), 1);
    const accepted = [derive(), derive()];
    await assert.rejects(derive(), /too many passwords/);
    await Promise.all(accepted);
    await derive();
  });
});

describe('DerivedCache', () => {
  test('forgets what was unused for longest beyond its limit', async () => {
    const cache = new DerivedCache<string>(2);
    const get = (key: string): string | Promise<string> => cache.get([key], () => Promise.resolve(key));
    await get('a');
    await get('b');
    assert.equal(get('a'), 'a');
    await get('c');
    assert.equal(cache.size, 2);
    assert.equal(get('a'), 'a');
    assert.ok(get('b') instanceof Promise);
  });

  test('does not keep a failure', async () => {
    const cache = new DerivedCache<string>(2);
    const failing = cache.get(['a'], () => Promise.reject(new Error('busy')));
    await assert.rejects(Promise.resolve(failing), /busy/);
    assert.equal(cache.size, 0);
    assert.equal(await cache.get(['a'], () => Promise.resolve('a')), 'a');
  });
});
