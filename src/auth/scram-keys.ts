/**
 * What SCRAM-SHA-256 (RFC 5802 §3, RFC 7677) computes with: the keys of one who knows the password, and the verifier of one
 * who checks it.
 *
 *     SaltedPassword = PBKDF2(password, salt, iterations)
 *       ├─ HMAC "Client Key" ─▶ ClientKey ─ SHA-256 ─▶ StoredKey ┐
 *       └─ HMAC "Server Key" ─▶ ServerKey ───────────────────────┴─▶ the verifier, with salt and iterations
 */
import { decodeBase64 } from './base64.ts';
import { HmacKey, sha256 } from './hmac.ts';

/** Beyond this a peer (or a typo) costs us seconds of CPU; PostgreSQL's default is 4096. */
export const MAX_ITERATIONS = 1_000_000;
export const DEFAULT_ITERATIONS = 4096;
export const SALT_SIZE = 16;
const MAX_SALT_SIZE = 1024;
const KEY_SIZE = 32;

export interface ScramKeys {
  readonly clientKey: Buffer;
  readonly storedKey: HmacKey;
  readonly serverKey: HmacKey;
}

export interface ScramVerifier {
  readonly iterations: number;
  readonly salt: Buffer;
  readonly storedKey: HmacKey;
  readonly serverKey: HmacKey;
}

export function keysFromSaltedPassword(saltedPassword: Buffer): ScramKeys {
  const salted = new HmacKey(saltedPassword);
  const clientKey = salted.sign(Buffer.from('Client Key'));
  return {
    clientKey,
    storedKey: new HmacKey(sha256(clientKey)),
    serverKey: new HmacKey(salted.sign(Buffer.from('Server Key'))),
  };
}

/** ClientProof: only who knows ClientKey can make it, and it is worth nothing in another exchange. */
export function clientProof(keys: ScramKeys, authMessage: Buffer): Buffer {
  return xor(keys.clientKey, keys.storedKey.sign(authMessage));
}

/** A proof taken apart again: the ClientKey it was made with, if the verifier's StoredKey belongs to it. */
export function clientKeyOf(proof: Buffer, storedKey: HmacKey, authMessage: Buffer): Buffer {
  return xor(proof, storedKey.sign(authMessage));
}

/** Reads an iteration count, as it stands in a verifier or a server's message; undefined if it is none that we accept. */
export function parseIterations(text: string): number | undefined {
  if (!/^[1-9][0-9]{0,9}$/.test(text)) return undefined;
  const iterations = Number(text);
  return iterations <= MAX_ITERATIONS ? iterations : undefined;
}

export function parseSalt(text: string): Buffer | undefined {
  const salt = decodeBase64(text);
  return salt !== undefined && salt.length > 0 && salt.length <= MAX_SALT_SIZE ? salt : undefined;
}

/** Reads a proof, a signature or a key: 32 bytes in base64. */
export function parseKey(text: string): Buffer | undefined {
  const key = decodeBase64(text);
  return key?.length === KEY_SIZE ? key : undefined;
}

/** How a verifier begins as text; a password hardly ever does. */
export const VERIFIER_PREFIX = 'SCRAM-SHA-256$';

/** Reads `SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY`, the form of pg_authid.rolpassword; undefined if it is not one. */
export function parseVerifier(text: string): ScramVerifier | undefined {
  if (!text.startsWith(VERIFIER_PREFIX)) return undefined;
  const parts = /^([^:$]*):([^:$]*)\$([^:$]*):([^:$]*)$/.exec(text.slice(VERIFIER_PREFIX.length));
  const [, iterationsText = '', saltText = '', storedText = '', serverText = ''] = parts ?? [];
  const iterations = parseIterations(iterationsText);
  const salt = parseSalt(saltText);
  const storedKey = parseKey(storedText);
  const serverKey = parseKey(serverText);
  if (iterations === undefined || salt === undefined || storedKey === undefined || serverKey === undefined) {
    return undefined;
  }
  return { iterations, salt, storedKey: new HmacKey(storedKey), serverKey: new HmacKey(serverKey) };
}

export function formatVerifier({ iterations, salt, storedKey, serverKey }: ScramVerifier): string {
  const base64 = (bytes: Buffer): string => bytes.toString('base64');
  return `${VERIFIER_PREFIX}${iterations}:${base64(salt)}$${base64(storedKey.bytes)}:${base64(serverKey.bytes)}`;
}

function xor(left: Buffer, right: Buffer): Buffer {
  const result = Buffer.from(left);
  for (const [at, byte] of right.entries()) result[at] = left.readUInt8(at) ^ byte;
  return result;
}
