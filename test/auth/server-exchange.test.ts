import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { tlsServerEndPoint } from '../../src/auth/channel-binding.ts';
import { Derivations } from '../../src/auth/derivations.ts';
import { md5Answer, md5Hash } from '../../src/auth/md5.ts';
import { ScramServerExchange } from '../../src/auth/scram-server.ts';
import { parseSecret, scramVerifierText } from '../../src/auth/secrets.ts';
import { ServerExchange } from '../../src/auth/server-exchange.ts';
import type { ServerVerdict } from '../../src/auth/server-exchange.ts';
import { ServerKeys } from '../../src/auth/verifiers.ts';
import { certificates } from './certificates.ts';
import { cString, request } from './messages.ts';

const keys = new ServerKeys({ derivations: new Derivations() });
const plain = parseSecret('pencil');
const md5 = parseSecret(`md5${md5Hash('pencil', 'app')}`);
const verifier = parseSecret(await scramVerifierText('pencil', 2));

type Options = Partial<ConstructorParameters<typeof ServerExchange>[0]>;
const exchange = (options: Options = {}): ServerExchange =>
  new ServerExchange({
    user: 'app',
    secret: plain,
    encrypted: false,
    allowCleartext: false,
    keys,
    ...options,
  });

const OK = request(0);
const CLEARTEXT = request(3);
const MD5 = request(5, Buffer.from([1, 2, 3, 4]));
const sasl = (...mechanisms: string[]): Buffer => request(10, Buffer.from(`${mechanisms.join('\0')}\0\0`));

async function sent(verdict: ServerVerdict | Promise<ServerVerdict>): Promise<Buffer> {
  const { kind, ...rest } = await verdict;
  assert.equal(kind, 'send');
  assert.ok('body' in rest);
  return rest.body;
}

async function failure(verdict: ServerVerdict | Promise<ServerVerdict>): Promise<string> {
  const settled = await verdict;
  assert.equal(settled.kind, 'failed');
  return settled.error.message;
}

/** Mechanism and data of SASLInitialResponse. */
const initialOf = (body: Buffer): [string, string] => {
  const end = body.indexOf(0);
  return [body.toString('latin1', 0, end), body.toString('latin1', end + 5)];
};

/** A login up to our proof, and the server's true last word. */
async function proved(login: ServerExchange): Promise<Buffer> {
  assert.equal(verifier.kind, 'scram');
  const server = new ScramServerExchange(verifier.verifier);
  const [, initial] = initialOf(await sent(login.answer(sasl('SCRAM-SHA-256'))));
  const first = server.first(Buffer.from(initial));
  assert.equal(first.kind, 'continue');
  const final = server.final(await sent(login.answer(request(11, first.message))));
  assert.equal(final.kind, 'accepted');
  return final.message;
}

describe('ServerExchange', () => {
  test('takes a server that asks for nothing', () => {
    assert.deepEqual(exchange({ secret: undefined }).answer(OK), { kind: 'ok' });
  });

  test('answers an MD5 challenge from a password or a hash', async () => {
    for (const secret of [plain, md5]) {
      const login = exchange({ secret });
      const answer = md5Answer(md5Hash('pencil', 'app'), Buffer.from([1, 2, 3, 4]));
      assert.deepEqual(await sent(login.answer(MD5)), cString(answer));
      assert.deepEqual(login.answer(OK), { kind: 'ok' });
    }
  });

  test('sends the password in cleartext only under TLS, or where that is allowed', async () => {
    for (const options of [{ encrypted: true }, { allowCleartext: true }]) {
      assert.deepEqual(await sent(exchange(options).answer(CLEARTEXT)), cString('pencil'));
    }
    assert.match(await failure(exchange().answer(CLEARTEXT)), /^server login failed: .*cleartext/);
  });

  test('logs in by SCRAM, and waits for the signature', async () => {
    const login = exchange();
    const signature = await proved(login);
    assert.deepEqual(login.answer(request(12, signature)), { kind: 'wait' });
    assert.deepEqual(login.answer(OK), { kind: 'ok' });
  });

  test('answers at once when the keys are known', async () => {
    await proved(exchange());
    const login = exchange();
    const [, initial] = initialOf(await sent(login.answer(sasl('SCRAM-SHA-256'))));
    assert.equal(verifier.kind, 'scram');
    const first = new ScramServerExchange(verifier.verifier).first(Buffer.from(initial));
    assert.equal(first.kind, 'continue');
    assert.ok(!(login.answer(request(11, first.message)) instanceof Promise));
  });

  test('does not believe a server that skips its signature, at any point', async () => {
    const early = exchange();
    await early.answer(sasl('SCRAM-SHA-256'));
    assert.equal(await failure(early.answer(OK)), 'server login failed: failed to verify server signature');
    const late = exchange();
    await proved(late);
    assert.equal(await failure(late.answer(OK)), 'server login failed: failed to verify server signature');
  });

  test('does not believe a server with a wrong signature', async () => {
    const login = exchange();
    await proved(login);
    const wrong = Buffer.from(`v=${Buffer.alloc(32).toString('base64')}`);
    assert.equal(
      await failure(login.answer(request(12, wrong))),
      'server login failed: invalid server signature',
    );
    assert.equal((await login.answer(OK)).kind, 'failed');
    const broken = exchange();
    await proved(broken);
    assert.equal(
      await failure(broken.answer(request(12, Buffer.from('e=other-error')))),
      'server login failed: failed to verify server signature',
    );
  });

  test('never gives the password away to a server that asks twice', async () => {
    for (const second of [CLEARTEXT, MD5, sasl('SCRAM-SHA-256')]) {
      for (const first of [MD5, sasl('SCRAM-SHA-256')]) {
        const login = exchange({ encrypted: true });
        await sent(login.answer(first));
        assert.match(await failure(login.answer(second)), /out of order/);
      }
    }
  });

  test('says what it has, what the server wants and what to set where the secret does not serve', async () => {
    const cases = [
      [verifier, sasl('SCRAM-SHA-256'), /for scram-sha-256; a SCRAM verifier/],
      [md5, sasl('SCRAM-SHA-256'), /for scram-sha-256; an MD5 hash/],
      [undefined, sasl('SCRAM-SHA-256'), /for scram-sha-256; nothing/],
      [verifier, MD5, /for md5; a SCRAM verifier/],
      [md5, CLEARTEXT, /for a cleartext password; an MD5 hash/],
      [parseSecret(''), MD5, /for md5; nothing/],
    ] as const;
    for (const [secret, asked, detail] of cases) {
      const verdict = await exchange({ secret, encrypted: true }).answer(asked);
      assert.equal(verdict.kind, 'failed');
      assert.equal(verdict.error.message, 'server login failed: wrong password type');
      assert.match(verdict.error.detail ?? '', detail);
      assert.match(verdict.error.hint ?? '', /users\.app\.password/);
    }
  });

  test('binds to the channel under TLS where the server offers it', async () => {
    const certificate = certificates.ecdsaSha384;
    const login = exchange({ encrypted: true, certificate });
    const [mechanism, initial] = initialOf(
      await sent(login.answer(sasl('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'))),
    );
    assert.equal(mechanism, 'SCRAM-SHA-256-PLUS');
    assert.match(initial, /^p=tls-server-end-point,,n=,r=/);
    const nonce = initial.slice(initial.indexOf('r=') + 2);
    const final = await sent(login.answer(request(11, Buffer.from(`r=${nonce}S,s=c2FsdA==,i=1`))));
    const binding = Buffer.from(/^c=([^,]*),/.exec(final.toString())?.[1] ?? '', 'base64');
    const expected = Buffer.concat([
      Buffer.from('p=tls-server-end-point,,'),
      tlsServerEndPoint(certificate) ?? Buffer.alloc(0),
    ]);
    assert.deepEqual(binding, expected);
  });

  test('says so where it could bind to the channel and the server does not offer it', async () => {
    const flag = async (options: Options, ...mechanisms: string[]): Promise<string> =>
      initialOf(await sent(exchange(options).answer(sasl(...mechanisms))))
        .join(' ')
        .replace(/,,.*/, '');
    const certificate = certificates.rsaSha512;
    assert.equal(await flag({ encrypted: true, certificate }, 'SCRAM-SHA-256'), 'SCRAM-SHA-256 y');
    assert.equal(await flag({}, 'SCRAM-SHA-256'), 'SCRAM-SHA-256 n');
    const both = ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'];
    assert.equal(await flag({}, ...both), 'SCRAM-SHA-256 n');
    assert.equal(
      await flag({ encrypted: true, certificate: certificates.ed25519 }, ...both),
      'SCRAM-SHA-256 n',
    );
  });

  test('fails where the server knows none of our mechanisms, or another way to log in', async () => {
    const none = "server login failed: none of the server's SASL authentication mechanisms are supported";
    assert.equal(await failure(exchange().answer(sasl('OAUTHBEARER'))), none);
    assert.equal(await failure(exchange().answer(sasl('SCRAM-SHA-256-PLUS'))), none);
    assert.equal(
      await failure(exchange().answer(request(7))),
      'server login failed: unknown/unsupported auth method: 7',
    );
  });

  test('fails, and does not throw, whatever a server sends instead', async () => {
    const bytes = fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array));
    const code = fc.constantFrom(3, 5, 7, 10, 11, 12);
    const message = fc.oneof(
      bytes,
      fc.tuple(code, bytes).map(([kind, payload]) => request(kind, payload)),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(message, { minLength: 1, maxLength: 3 }),
        async (scram, messages) => {
          const login = exchange({ encrypted: true });
          if (scram) await proved(login);
          let failedBefore = false;
          for (const body of messages) {
            const verdict = await login.answer(body);
            assert.ok(verdict.kind === 'failed' || verdict.kind === 'send' || body.equals(OK));
            assert.ok(!failedBefore || verdict.kind === 'failed');
            failedBefore = verdict.kind === 'failed';
          }
          if (scram) assert.equal((await login.answer(OK)).kind, 'failed');
        },
      ),
    );
  });
});
