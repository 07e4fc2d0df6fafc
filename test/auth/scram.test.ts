import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Derivations } from '../../src/auth/derivations.ts';
import { preparePassword } from '../../src/auth/saslprep.ts';
import { ScramClientExchange } from '../../src/auth/scram-client.ts';
import { clientProof, keysFromSaltedPassword, MAX_ITERATIONS } from '../../src/auth/scram-keys.ts';
import type { ScramKeys } from '../../src/auth/scram-keys.ts';
import { ScramServerExchange } from '../../src/auth/scram-server.ts';

const derivations = new Derivations();
const keysOf = async (password: string, salt: Buffer, iterations: number): Promise<ScramKeys> =>
  keysFromSaltedPassword(await derivations.saltedPassword(preparePassword(password), salt, iterations));

/** The example exchange of RFC 7677 §3. */
const RFC = {
  salt: Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'),
  iterations: 4096,
  clientNonce: 'rOprNGfwEbeRWgbNEkqO',
  serverNonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  clientFirst: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
  serverFirst: 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
  withoutProof: 'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  proof: 'dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
};
const keys = await keysOf('pencil', RFC.salt, RFC.iterations);
const verifier = {
  salt: RFC.salt,
  iterations: RFC.iterations,
  storedKey: keys.storedKey,
  serverKey: keys.serverKey,
};

describe('ScramServerExchange', () => {
  const started = (): ScramServerExchange => {
    const exchange = new ScramServerExchange(verifier, RFC.serverNonce);
    assert.equal(exchange.first(Buffer.from(RFC.clientFirst)).kind, 'continue');
    return exchange;
  };

  test('speaks the example of RFC 7677', () => {
    const exchange = new ScramServerExchange(verifier, RFC.serverNonce);
    const first = exchange.first(Buffer.from(RFC.clientFirst));
    assert.deepEqual(first, { kind: 'continue', message: Buffer.from(RFC.serverFirst) });
    const final = exchange.final(Buffer.from(`${RFC.withoutProof},p=${RFC.proof}`));
    assert.deepEqual(final, { kind: 'accepted', message: Buffer.from(RFC.serverFinal) });
  });

  test('refuses channel binding, another identity, mandatory extensions and what is malformed', () => {
    const firsts = [
      'p=tls-server-end-point,,n=,r=abc',
      'p=tls-unique,,n=,r=abc',
      'n,a=admin,n=,r=abc',
      'n,,m=x,n=,r=abc',
      'n,,n=,r=abc,m=x',
      'n,,n=,r=abc,',
      'n,,n=,r=abc,1=x',
      'n,,n=,r=',
      'n,,n=,r=a b',
      'n,,n=,r=\u00e9',
      'n,,n=',
      'n,,r=abc,n=',
      'n,n=,r=abc',
      'x,,n=,r=abc',
      'N,,n=,r=abc',
      ',,n=,r=abc',
      'n,,n=a\0b,r=abc',
      '',
    ];
    for (const first of firsts) {
      assert.equal(new ScramServerExchange(verifier).first(Buffer.from(first)).kind, 'malformed', first);
    }
  });

  test('accepts a client that could bind to the channel, and holds it to having said so', () => {
    for (const [flag, claimed, kind] of [
      ['y', 'y,,', 'accepted'],
      ['n', 'n,,', 'accepted'],
      ['n', 'y,,', 'malformed'],
      ['y', 'n,,', 'malformed'],
      ['n', 'p=tls-server-end-point,,', 'malformed'],
    ] as const) {
      const exchange = new ScramServerExchange(verifier, 'S');
      const first = exchange.first(Buffer.from(`${flag},,n=,r=C`));
      assert.equal(first.kind, 'continue');
      const withoutProof = `c=${Buffer.from(claimed).toString('base64')},r=CS`;
      const proof = clientProof(keys, Buffer.from(`n=,r=C,${first.message.toString()},${withoutProof}`));
      const final = exchange.final(Buffer.from(`${withoutProof},p=${proof.toString('base64')}`));
      assert.equal(final.kind, kind);
    }
  });

  test('ignores optional extensions, but signs them', () => {
    const exchange = new ScramServerExchange(verifier, 'S');
    const first = exchange.first(Buffer.from('n,,n=,r=C,x=1'));
    assert.equal(first.kind, 'continue');
    const withoutProof = 'c=biws,r=CS,y=2';
    const proof = clientProof(keys, Buffer.from(`n=,r=C,x=1,${first.message.toString()},${withoutProof}`));
    assert.equal(
      exchange.final(Buffer.from(`${withoutProof},p=${proof.toString('base64')}`)).kind,
      'accepted',
    );
  });

  test('refuses a nonce that is not the one of this exchange, and a proof that is none', () => {
    const finals = [
      `${RFC.withoutProof}x,p=${RFC.proof}`,
      `c=biws,r=${RFC.clientNonce},p=${RFC.proof}`,
      `${RFC.withoutProof},p=${RFC.proof},x=1`,
      `${RFC.withoutProof},p=${RFC.proof}\n`,
      `${RFC.withoutProof},p=${RFC.proof.slice(0, -1)}`,
      `${RFC.withoutProof},p=${RFC.proof.slice(4)}`,
      `${RFC.withoutProof},m=x,p=${RFC.proof}`,
      RFC.withoutProof,
      `p=${RFC.proof}`,
      '',
    ];
    for (const final of finals) assert.equal(started().final(Buffer.from(final)).kind, 'malformed', final);
  });

  test('tells a well-formed proof by somebody else from a right one', () => {
    const other = Buffer.alloc(32, 7).toString('base64');
    assert.deepEqual(started().final(Buffer.from(`${RFC.withoutProof},p=${other}`)), { kind: 'wrong-proof' });
  });
});

describe('ScramClientExchange', () => {
  const challenged = (serverFirst: string): string => {
    const exchange = new ScramClientExchange({ kind: 'none' }, 'C');
    return exchange.challenged(Buffer.from(serverFirst)).kind;
  };

  test('proves the password as RFC 7677 does', () => {
    const authMessage = Buffer.from(`${RFC.clientFirst.slice(3)},${RFC.serverFirst},${RFC.withoutProof}`);
    assert.equal(clientProof(keys, authMessage).toString('base64'), RFC.proof);
  });

  test('and the checking side understand each other, whatever the salt and the password', async () => {
    const salts = fc.uint8Array({ minLength: 1, maxLength: 64 }).map((array) => Buffer.from(array));
    await fc.assert(
      fc.asyncProperty(
        fc.string(),
        salts,
        fc.integer({ min: 1, max: 3 }),
        async (password, salt, iterations) => {
          const known = await keysOf(password, salt, iterations);
          const server = new ScramServerExchange({ iterations, salt, ...known });
          const client = new ScramClientExchange({ kind: 'none' });
          const first = server.first(client.initial());
          assert.equal(first.kind, 'continue');
          assert.deepEqual(client.challenged(first.message), { kind: 'challenge', salt, iterations });
          const final = server.final(client.proof(known));
          assert.equal(final.kind, 'accepted');
          assert.deepEqual(client.verify(final.message), { kind: 'verified' });
        },
      ),
    );
  });

  test('refuses a challenge that is malformed, not for it, or too costly', () => {
    assert.equal(challenged('r=CS,s=c2FsdA==,i=4096'), 'challenge');
    assert.equal(challenged(`r=CS,s=c2FsdA==,i=${MAX_ITERATIONS},x=1`), 'challenge');
    const bad = [
      'r=C,s=c2FsdA==,i=4096',
      'r=XS,s=c2FsdA==,i=4096',
      'r=C S,s=c2FsdA==,i=4096',
      'r=CS,s=,i=4096',
      'r=CS,s=c2FsdA,i=4096',
      'r=CS,s=c2FsdA==,i=0',
      'r=CS,s=c2FsdA==,i=-1',
      'r=CS,s=c2FsdA==,i=1e3',
      `r=CS,s=c2FsdA==,i=${MAX_ITERATIONS + 1}`,
      'r=CS,s=c2FsdA==,i=99999999999999999999',
      'r=CS,s=c2FsdA==',
      'm=x,r=CS,s=c2FsdA==,i=4096',
      'r=CS,s=c2FsdA==,i=4096,m=x',
      'e=other-error',
      '',
    ];
    for (const message of bad) assert.equal(challenged(message), 'malformed', message);
  });

  test('survives whatever a server sends', () => {
    const message = fc.oneof(
      fc.uint8Array({ maxLength: 80 }).map((array) => Buffer.from(array)),
      fc.string().map((text) => Buffer.from(`r=CS,${text}`)),
    );
    fc.assert(
      fc.property(message, message, (first, final) => {
        const exchange = new ScramClientExchange({ kind: 'none' }, 'C');
        if (exchange.challenged(first).kind === 'malformed') {
          const next = new ScramClientExchange({ kind: 'none' }, 'C');
          next.challenged(Buffer.from('r=CS,s=c2FsdA==,i=4096'));
          next.proof(keys);
          assert.notEqual(next.verify(final).kind, 'verified');
        }
      }),
    );
  });

  test('binds to the channel by the certificate, and says when it could have', () => {
    const bindingOf = (exchange: ScramClientExchange): string => {
      exchange.challenged(Buffer.from('r=CS,s=c2FsdA==,i=4096'));
      const [binding = ''] = exchange.proof(keys).toString().split(',');
      return Buffer.from(binding.slice(2), 'base64').toString('latin1');
    };
    const bound = new ScramClientExchange({ kind: 'tls-server-end-point', data: Buffer.from('hash') }, 'C');
    assert.equal(bound.initial().toString(), 'p=tls-server-end-point,,n=,r=C');
    assert.equal(bindingOf(bound), 'p=tls-server-end-point,,hash');
    const able = new ScramClientExchange({ kind: 'not-offered' }, 'C');
    assert.equal(able.initial().toString(), 'y,,n=,r=C');
    assert.equal(bindingOf(able), 'y,,');
  });
});

describe('preparePassword', () => {
  const prepared = (password: string): string => preparePassword(password).toString();

  test('normalises as the examples of RFC 4013', () => {
    assert.equal(prepared('I\u00ADX'), 'IX');
    assert.equal(prepared('user'), 'user');
    assert.equal(prepared('\u00AA'), 'a');
    assert.equal(prepared('\u2168'), 'IX');
  });

  test('takes a password raw that SASLprep refuses', () => {
    for (const password of ['\u0007', '\u0627\u0031', '\u00AD', '\u0221', ''])
      assert.equal(prepared(password), password);
  });

  test('takes bytes raw that are not UTF-8', () => {
    const bytes = Buffer.from([0xff, 0x41]);
    assert.deepEqual(preparePassword(bytes), bytes);
  });
});
