import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ClientExchange } from '../../src/auth/client-exchange.ts';
import type { ClientRequest, ClientVerdict } from '../../src/auth/client-exchange.ts';
import { Derivations } from '../../src/auth/derivations.ts';
import { md5Answer, md5Hash } from '../../src/auth/md5.ts';
import { ScramClientExchange } from '../../src/auth/scram-client.ts';
import { parseSecret, scramVerifierText } from '../../src/auth/secrets.ts';
import type { AuthType, Secret } from '../../src/auth/secrets.ts';
import { ServerExchange } from '../../src/auth/server-exchange.ts';
import { ServerKeys, Verifiers } from '../../src/auth/verifiers.ts';
import { cString, meet, saslInitialResponse } from './messages.ts';

const derivations = new Derivations();
const verifiers = new Verifiers({ derivations, iterations: 2 });
const keys = new ServerKeys({ derivations });
const AUTH_TYPES: readonly AuthType[] = ['scram-sha-256', 'md5', 'plain', 'trust', 'any'];
const PASSWORD = 'sesame ü';
const USER = 'app';
const stored = {
  plain: parseSecret(PASSWORD),
  md5: parseSecret(`md5${md5Hash(PASSWORD, USER)}`),
  scram: parseSecret(await scramVerifierText(PASSWORD, 2)),
  none: parseSecret(''),
  unknown: undefined,
};

const exchange = (authType: AuthType, secret: Secret | undefined, user = USER): ClientExchange =>
  new ClientExchange({ user, authType, secret, verifiers });

const loginWith = (password: string): ServerExchange =>
  new ServerExchange({
    user: USER,
    secret: { kind: 'plain', password },
    encrypted: false,
    allowCleartext: true,
    keys,
  });

function refusalOf(step: ClientRequest | ClientVerdict): {
  message: string;
  sqlState: string;
  reason: string;
} {
  assert.equal(step.kind, 'refused');
  return { message: step.error.message, sqlState: step.error.sqlState, reason: step.reason };
}

describe('ClientExchange', () => {
  // The table of what works with which stored secret; PgBouncer's, but for the empty one.
  const works: Record<keyof typeof stored, Record<AuthType, boolean>> = {
    plain: { 'scram-sha-256': true, md5: true, plain: true, trust: true, any: true },
    md5: { 'scram-sha-256': false, md5: true, plain: true, trust: true, any: true },
    scram: { 'scram-sha-256': true, md5: true, plain: true, trust: true, any: true },
    none: { 'scram-sha-256': false, md5: false, plain: false, trust: true, any: true },
    unknown: { 'scram-sha-256': false, md5: false, plain: false, trust: false, any: true },
  };
  for (const form of ['plain', 'md5', 'scram', 'none', 'unknown'] as const) {
    for (const authType of AUTH_TYPES) {
      const expected = works[form][authType];
      test(`${expected ? 'admits' : 'refuses'} the right password by ${authType} where the stored secret is: ${form}`, async () => {
        const { checked, login } = await meet(exchange(authType, stored[form]), loginWith(PASSWORD));
        if (expected) assert.deepEqual(login, { kind: 'ok' });
        else assert.equal(checked.kind, 'refused');
      });
      if (authType === 'trust' || authType === 'any') continue;
      test(`refuses a wrong password by ${authType} where the stored secret is: ${form}`, async () => {
        const { checked } = await meet(exchange(authType, stored[form]), loginWith('open'));
        assert.equal(refusalOf(checked).sqlState, '28P01');
      });
    }
  }

  const checkingType = fc.constantFrom<AuthType>('scram-sha-256', 'md5', 'plain');
  const storePassword = async (password: string, asVerifier: boolean): Promise<Secret> =>
    parseSecret(asVerifier ? await scramVerifierText(password, 2) : password);

  test('admits whoever has the password, whatever characters it is made of', async () => {
    const password = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 12 })
      .filter((text) => !text.includes('\0'));
    await fc.assert(
      fc.asyncProperty(password, checkingType, fc.boolean(), async (right, authType, asVerifier) => {
        const { login } = await meet(
          exchange(authType, await storePassword(right, asVerifier)),
          loginWith(right),
        );
        assert.deepEqual(login, { kind: 'ok' });
      }),
    );
  });

  test('refuses whoever has another password', async () => {
    // ASCII only: SASLprep makes some others equal.
    const password = fc.string({ minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(
        password,
        password,
        checkingType,
        fc.boolean(),
        async (right, other, type, asVerifier) => {
          fc.pre(right !== other);
          const { checked } = await meet(
            exchange(type, await storePassword(right, asVerifier)),
            loginWith(other),
          );
          assert.equal(checked.kind, 'refused');
        },
      ),
    );
  });

  test('shows an unknown user what it shows to a wrong password, message by message', async () => {
    for (const authType of ['scram-sha-256', 'md5', 'plain'] as const) {
      const known = await meet(exchange(authType, stored.plain), loginWith('wrong'));
      for (const form of [
        'unknown',
        'none',
        ...(authType === 'scram-sha-256' ? ['md5' as const] : []),
      ] as const) {
        const unknown = await meet(exchange(authType, stored[form]), loginWith('wrong'));
        assert.deepEqual(unknown.kinds, known.kinds);
        const [seen, expected] = [refusalOf(unknown.checked), refusalOf(known.checked)];
        assert.equal(seen.message, expected.message);
        assert.equal(seen.sqlState, expected.sqlState);
        assert.notEqual(seen.reason, expected.reason);
      }
    }
  });

  test('challenges an unknown user with a message of the same shape, and a salt that stays', async () => {
    const challenge = async (secret: Secret | undefined, user: string): Promise<string> => {
      const check = exchange('scram-sha-256', secret, user);
      check.start();
      const initial = new ScramClientExchange({ kind: 'none' }, 'nonce').initial();
      const step = await check.answer(saslInitialResponse('SCRAM-SHA-256', initial));
      assert.equal(step.kind, 'continue');
      return step.data.toString();
    };
    const shape = /^r=nonce[A-Za-z0-9+/]{24},s=([A-Za-z0-9+/]{22}==),i=2$/;
    const known = await challenge(stored.plain, 'alice');
    const unknown = await challenge(undefined, 'alice');
    assert.match(known, shape);
    assert.match(unknown, shape);
    assert.equal(shape.exec(known)?.[1], shape.exec(unknown)?.[1]);
    assert.notEqual(shape.exec(await challenge(undefined, 'bob'))?.[1], shape.exec(unknown)?.[1]);
  });

  test('answers at once where no password has to be derived', async () => {
    const initial = saslInitialResponse('SCRAM-SHA-256', new ScramClientExchange({ kind: 'none' }).initial());
    await verifiers.verifier(USER, PASSWORD);
    for (const form of ['plain', 'scram', 'unknown', 'none'] as const) {
      const check = exchange('scram-sha-256', stored[form]);
      check.start();
      assert.ok(!(check.answer(initial) instanceof Promise), form);
    }
  });

  test('says why in the log, and never to the client', async () => {
    const reason = async (authType: AuthType, secret: Secret | undefined): Promise<string> =>
      refusalOf((await meet(exchange(authType, secret), loginWith('wrong'))).checked).reason;
    assert.equal(await reason('scram-sha-256', undefined), 'no such user: app');
    assert.equal(await reason('scram-sha-256', stored.plain), 'wrong password');
    assert.match(await reason('scram-sha-256', stored.md5), /MD5/);
    assert.match(await reason('md5', stored.none), /no password/);
  });

  test("refuses an unknown user under trust with PgBouncer's text", () => {
    assert.deepEqual(refusalOf(exchange('trust', undefined).start()), {
      message: '"trust" authentication failed',
      sqlState: '28000',
      reason: 'no such user: app',
    });
  });

  test('refuses an empty password, and a message that is no password', async () => {
    const answer = async (body: Buffer): Promise<{ message: string; sqlState: string }> => {
      const check = exchange('plain', stored.plain);
      check.start();
      const { message, sqlState } = refusalOf(await check.answer(body));
      return { message, sqlState };
    };
    assert.deepEqual(await answer(cString('')), {
      message: 'empty password returned by client',
      sqlState: '28P01',
    });
    for (const body of ['', PASSWORD, `${PASSWORD}\0\0`, `${PASSWORD}\0x`]) {
      assert.equal((await answer(Buffer.from(body))).sqlState, '08P01');
    }
    assert.equal((await answer(Buffer.alloc(70_000, 97))).sqlState, '08P01');
  });

  test('does not take an MD5 answer for another challenge', () => {
    const check = exchange('md5', stored.plain);
    const asked = check.start();
    assert.equal(asked.kind, 'md5');
    const other = Buffer.from(asked.salt.map((byte) => byte ^ 1));
    const answer = check.answer(cString(md5Answer(md5Hash(PASSWORD, USER), other)));
    assert.ok(!(answer instanceof Promise));
    assert.equal(answer.kind, 'refused');
  });

  test('refuses a SASL mechanism that was not offered', async () => {
    const check = exchange('scram-sha-256', stored.plain);
    check.start();
    const step = await check.answer(saslInitialResponse('SCRAM-SHA-256-PLUS', Buffer.from('n,,n=,r=x')));
    assert.equal(refusalOf(step).message, 'client selected an invalid SASL authentication mechanism');
  });

  test('refuses SASLInitialResponse with a length that is not its own', async () => {
    for (const length of [-1, 0, 8, 10, 2 ** 31 - 1]) {
      const check = exchange('scram-sha-256', stored.plain);
      check.start();
      const step = await check.answer(saslInitialResponse('SCRAM-SHA-256', Buffer.from('n,,n=,r=x'), length));
      assert.equal(refusalOf(step).sqlState, '08P01');
    }
  });

  test('refuses an answer that nobody asked for: before the start, during a derivation, after the end', async () => {
    assert.equal(
      refusalOf(await exchange('plain', stored.plain).answer(cString(PASSWORD))).sqlState,
      '08P01',
    );

    const fresh = new ClientExchange({
      user: 'fresh',
      authType: 'scram-sha-256',
      secret: { kind: 'plain', password: 'fresh' },
      verifiers,
    });
    fresh.start();
    const initial = saslInitialResponse('SCRAM-SHA-256', Buffer.from('n,,n=,r=x'));
    const pending = fresh.answer(initial);
    assert.ok(pending instanceof Promise);
    assert.equal(refusalOf(await fresh.answer(initial)).sqlState, '08P01');
    assert.equal((await pending).kind, 'refused');

    const done = exchange('plain', stored.plain);
    done.start();
    assert.equal((await done.answer(cString(PASSWORD))).kind, 'ok');
    assert.equal((await done.answer(cString(PASSWORD))).kind, 'refused');
  });

  test('refuses, and does not fail, when too many passwords wait to be derived', async () => {
    const busy = new Verifiers({ derivations: new Derivations({ concurrency: 0, maxWaiting: 0 }) });
    const check = new ClientExchange({
      user: USER,
      authType: 'plain',
      secret: stored.scram,
      verifiers: busy,
    });
    check.start();
    assert.equal(refusalOf(await check.answer(cString('x'))).message, 'bouncer resources exhaustion');
  });

  test('turns whatever bytes a client sends into a refusal', async () => {
    const authType = fc.constantFrom<AuthType>('scram-sha-256', 'md5', 'plain');
    const form = fc.constantFrom('plain', 'md5', 'scram', 'none', 'unknown');
    const bytes = fc.uint8Array({ maxLength: 80 }).map((array) => Buffer.from(array));
    const text = fc
      .string({ maxLength: 40 })
      .map((data) => saslInitialResponse('SCRAM-SHA-256', Buffer.from(data)));
    await fc.assert(
      fc.asyncProperty(authType, form, fc.oneof(bytes, text), bytes, async (type, kind, first, second) => {
        const check = exchange(type, stored[kind]);
        check.start();
        const step = await check.answer(first);
        const last = step.kind === 'continue' ? await check.answer(second) : step;
        assert.equal(last.kind, 'refused');
      }),
    );
  });

  test('never admits a client whose last SCRAM message was changed', async () => {
    const mutation = fc.tuple(
      fc.nat(),
      fc.constantFrom('flip', 'cut', 'insert'),
      fc.integer({ min: 1, max: 255 }),
    );
    await fc.assert(
      fc.asyncProperty(mutation, async ([position, change, byte]) => {
        const check = exchange('scram-sha-256', stored.scram);
        check.start();
        const scram = new ScramClientExchange({ kind: 'none' });
        const first = await check.answer(saslInitialResponse('SCRAM-SHA-256', scram.initial()));
        assert.equal(first.kind, 'continue');
        const challenge = scram.challenged(first.data);
        assert.equal(challenge.kind, 'challenge');
        const valid = scram.proof(await keys.keys(PASSWORD, challenge.salt, challenge.iterations));
        const at = position % valid.length;
        const changed = Buffer.concat([
          valid.subarray(0, at),
          Buffer.from(change === 'cut' ? [] : [change === 'flip' ? valid.readUInt8(at) ^ byte : byte]),
          valid.subarray(change === 'insert' ? at : at + 1),
        ]);
        const last = await check.answer(changed);
        assert.equal(last.kind, 'refused');
      }),
    );
  });
});
