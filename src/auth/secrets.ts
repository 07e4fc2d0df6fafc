/** Secrets as they are stored, in the three forms that PostgreSQL and PgBouncer know, and what each of them can be used for. */
import { randomBytes } from 'node:crypto';
import { unreachable } from '../base/assert.ts';
import { Derivations } from './derivations.ts';
import { preparePassword } from './saslprep.ts';
import {
  DEFAULT_ITERATIONS,
  formatVerifier,
  keysFromSaltedPassword,
  parseVerifier,
  SALT_SIZE,
  VERIFIER_PREFIX,
} from './scram-keys.ts';
import type { ScramVerifier } from './scram-keys.ts';

export type Secret =
  /** Known, but with nothing that could match: an empty text is never a password. */
  | { readonly kind: 'none' }
  | { readonly kind: 'plain'; readonly password: string }
  /** 32 hexadecimal digits: md5(password ‖ user). */
  | { readonly kind: 'md5'; readonly hash: string }
  | { readonly kind: 'scram'; readonly verifier: ScramVerifier };

export type AuthType = 'scram-sha-256' | 'md5' | 'plain' | 'trust' | 'any';

/** The form is told by its shape, as in PgBouncer: what is neither hash nor verifier is a password. */
export function parseSecret(text: string): Secret {
  if (text === '') return { kind: 'none' };
  if (/^md5[0-9a-f]{32}$/.test(text)) return { kind: 'md5', hash: text.slice('md5'.length) };
  const verifier = parseVerifier(text);
  return verifier === undefined ? { kind: 'plain', password: text } : { kind: 'scram', verifier };
}

/** A password as the verifier text that `CREATE ROLE … PASSWORD` and our own configuration accept. */
export async function scramVerifierText(
  password: string,
  iterations: number = DEFAULT_ITERATIONS,
  salt: Buffer = randomBytes(SALT_SIZE),
): Promise<string> {
  const salted = await new Derivations().saltedPassword(preparePassword(password), salt, iterations);
  return formatVerifier({ iterations, salt, ...keysFromSaltedPassword(salted) });
}

/** Why a client can never log in with this stored secret by this auth_type, and what to do; undefined if it can. */
export function clientAuthProblem(user: string, secret: Secret, authType: AuthType): string | undefined {
  switch (authType) {
    case 'trust':
    case 'any':
      return undefined;
    case 'scram-sha-256':
      if (secret.kind !== 'md5') return brokenVerifier(user, secret);
      return (
        `user ${user}: an MD5 hash cannot serve auth_type "scram-sha-256"; set users.${user}.password to the plain password ` +
        'or to a SCRAM verifier (`ostler scram-secret` makes one)'
      );
    case 'md5':
    case 'plain':
      return brokenVerifier(user, secret);
    default:
      return unreachable(authType);
  }
}

/**
 * Why ostler can never log in to a server as `user` with this stored secret, and what to do; undefined if it may work. An MD5 hash
 * may: what the server asks for is not known before it asks.
 */
export function serverLoginProblem(user: string, secret: Secret): string | undefined {
  if (secret.kind !== 'scram') return brokenVerifier(user, secret);
  return (
    `user ${user}: a SCRAM verifier cannot log in to the server; set the password of the database entry ` +
    `(databases.NAME.password) or users.${user}.password to the plain password`
  );
}

function brokenVerifier(user: string, secret: Secret): string | undefined {
  if (secret.kind !== 'plain' || !secret.password.startsWith(VERIFIER_PREFIX)) return undefined;
  return `user ${user}: the password begins like a SCRAM verifier but is not a complete one; copy it again, or set the plain password`;
}
