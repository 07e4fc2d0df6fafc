import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { md5Answer, md5Hash } from '../../src/auth/md5.ts';
import { formatVerifier, MAX_ITERATIONS } from '../../src/auth/scram-keys.ts';
import {
  clientAuthProblem,
  parseSecret,
  scramVerifierText,
  serverLoginProblem,
} from '../../src/auth/secrets.ts';

/** Made by PostgreSQL 15: `CREATE ROLE app PASSWORD 'pencil'`. */
const VERIFIER =
  'SCRAM-SHA-256$4096:tYRJeUdrXx+Z0GjNoxyTQg==$hhi+NlKXu2zUChH2FfDO0STBdxAuKs9AFShhmBA6XOs=:inoBZOGltSlPhY8PgH5TowEjl7qS29QXCjlaMlvv5G0=';
const SALT = Buffer.from('tYRJeUdrXx+Z0GjNoxyTQg==', 'base64');
/** The same by PostgreSQL 15 for a password that SASLprep changes. */
const PREPARED = {
  password: 'I\u00ADX pass\u00A0word \u2168',
  salt: Buffer.from('iUhJvCQLem0XbS0PLEOydw==', 'base64'),
  verifier:
    'SCRAM-SHA-256$4096:iUhJvCQLem0XbS0PLEOydw==$EkMHaaLJOJn7bcHmO4tmIXMyyf6GSLKZhqDyDhX575I=:26vywfcamyj8vWjtfN/+2Ma8CvT/LHAomBJTzFoITS4=',
};
const MD5 = 'md5b15721e6326bc6e9a7c72a38963ec03d';

describe('parseSecret', () => {
  test('tells the three forms apart by their shape', () => {
    assert.equal(parseSecret(VERIFIER).kind, 'scram');
    assert.deepEqual(parseSecret(MD5), { kind: 'md5', hash: MD5.slice(3) });
    assert.deepEqual(parseSecret('pencil'), { kind: 'plain', password: 'pencil' });
  });

  test('takes an empty text for no secret', () => {
    assert.deepEqual(parseSecret(''), { kind: 'none' });
  });

  test('takes what is not quite a hash for a password', () => {
    for (const text of [
      'md5',
      MD5.toUpperCase(),
      `md5${MD5.slice(3).toUpperCase()}`,
      MD5.slice(0, -1),
      `${MD5}0`,
    ]) {
      assert.deepEqual(parseSecret(text), { kind: 'plain', password: text });
    }
  });

  test('takes what is not quite a verifier for a password', () => {
    const broken = [
      VERIFIER.slice(0, -1),
      `${VERIFIER}=`,
      `${VERIFIER}\n`,
      `${VERIFIER}:x`,
      VERIFIER.replace('4096', '0'),
      VERIFIER.replace('4096', '+1'),
      VERIFIER.replace('4096', '04096'),
      VERIFIER.replace('4096', String(MAX_ITERATIONS + 1)),
      VERIFIER.replace('TQg==', 'TQh=='),
      VERIFIER.replace('tYRJeUdrXx+Z0GjNoxyTQg==', ''),
      VERIFIER.replace('hhi+', ''),
      VERIFIER.replace('SCRAM-SHA-256', 'scram-sha-256'),
      VERIFIER.replace('hhi+', 'hhi-'),
    ];
    for (const text of broken) assert.equal(parseSecret(text).kind, 'plain', text);
  });

  test('reads every verifier back as it was written', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ minLength: 1 }),
        fc.integer({ min: 1, max: 3 }),
        fc.uint8Array({ minLength: 1, maxLength: 40 }),
        async (password, iterations, salt) => {
          const text = await scramVerifierText(password, iterations, Buffer.from(salt));
          const secret = parseSecret(text);
          assert.equal(secret.kind, 'scram');
          assert.equal(formatVerifier(secret.verifier), text);
        },
      ),
    );
  });
});

describe('scramVerifierText', () => {
  test('makes the verifier that PostgreSQL makes', async () => {
    assert.equal(await scramVerifierText('pencil', 4096, SALT), VERIFIER);
    assert.equal(await scramVerifierText(PREPARED.password, 4096, PREPARED.salt), PREPARED.verifier);
  });

  test('salts each one anew', async () => {
    assert.notEqual(await scramVerifierText('pencil', 1), await scramVerifierText('pencil', 1));
  });
});

describe('md5', () => {
  test('hashes as PostgreSQL stores it', () => {
    assert.equal(`md5${md5Hash('pencil', 'old')}`, MD5);
  });

  test('answers with bytes of the salt, not with text', () => {
    assert.equal(
      md5Answer(MD5.slice(3), Buffer.from([0, 255, 128, 10])),
      'md5b62431812eaf8654114dde3be8adf64b',
    );
  });
});

describe('clientAuthProblem', () => {
  test('names an MD5 hash under scram-sha-256, and says what to set', () => {
    const problem = clientAuthProblem('app', parseSecret(MD5), 'scram-sha-256');
    assert.match(problem ?? '', /user app: an MD5 hash cannot serve .*users\.app\.password/);
    assert.equal(clientAuthProblem('app', parseSecret(MD5), 'md5'), undefined);
    assert.equal(clientAuthProblem('app', parseSecret(MD5), 'plain'), undefined);
  });

  test('names a verifier that was cut short, without showing it', () => {
    const cut = VERIFIER.slice(0, 60);
    const problem = clientAuthProblem('app', parseSecret(cut), 'scram-sha-256') ?? '';
    assert.match(problem, /begins like a SCRAM verifier/);
    assert.ok(!problem.includes(cut));
    assert.equal(serverLoginProblem('app', parseSecret(cut)), problem);
  });

  test('has nothing against what works', () => {
    for (const authType of ['scram-sha-256', 'md5', 'plain', 'trust', 'any'] as const) {
      for (const text of ['pencil', VERIFIER, '']) {
        assert.equal(clientAuthProblem('app', parseSecret(text), authType), undefined);
      }
    }
    assert.equal(clientAuthProblem('app', parseSecret(MD5), 'trust'), undefined);
  });
});

describe('serverLoginProblem', () => {
  test('names a verifier, and says what to set', () => {
    const problem = serverLoginProblem('app', parseSecret(VERIFIER)) ?? '';
    assert.match(problem, /user app: a SCRAM verifier cannot log in to the server.*users\.app\.password/);
  });

  test('has nothing against what may work', () => {
    for (const text of ['pencil', MD5, ''])
      assert.equal(serverLoginProblem('app', parseSecret(text)), undefined);
  });
});
