/**
 * SCRAM-SHA-256 and SCRAM-SHA-256-PLUS on the side that logs in (RFC 5802, RFC 7677): we prove our password to PostgreSQL, and it
 * has to prove that it knows it too.
 *
 *     initial()               n,,n=,r=CNONCE                           ─▶ server
 *     challenged(message)  ◀─ r=CNONCE SNONCE,s=SALT,i=ITERATIONS
 *     proof(keys)             c=BINDING,r=CNONCE SNONCE,p=PROOF         ─▶ server
 *     verify(message)      ◀─ v=SIGNATURE
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { invariant } from '../base/assert.ts';
import { areOptional, bytesOf, isNonce, NONCE_BYTES, partsOf, valueOf } from './scram-attributes.ts';
import { clientProof, parseIterations, parseKey, parseSalt } from './scram-keys.ts';
import type { ScramKeys } from './scram-keys.ts';

/** What we say about channel binding (RFC 5802 §6). */
export type ChannelBinding =
  /** We cannot. */
  | { readonly kind: 'none' }
  /** We could, but the server did not offer it: if it did, it now knows that somebody has hidden its offer. */
  | { readonly kind: 'not-offered' }
  | { readonly kind: 'tls-server-end-point'; readonly data: Buffer };

export type Challenge =
  | { readonly kind: 'challenge'; readonly salt: Buffer; readonly iterations: number }
  | { readonly kind: 'malformed'; readonly reason: string };

export type Verification =
  { readonly kind: 'verified' } | { readonly kind: 'wrong' } | { readonly kind: 'malformed' };

export class ScramClientExchange {
  readonly #gs2Header: string;
  readonly #bindingData: Buffer;
  readonly #clientNonce: string;
  #nonce = '';
  #serverFirst = '';
  #expectedSignature: Buffer | undefined;

  constructor(binding: ChannelBinding, clientNonce: string = randomBytes(NONCE_BYTES).toString('base64')) {
    this.#gs2Header = {
      none: 'n,,',
      'not-offered': 'y,,',
      'tls-server-end-point': 'p=tls-server-end-point,,',
    }[binding.kind];
    this.#bindingData = binding.kind === 'tls-server-end-point' ? binding.data : Buffer.alloc(0);
    this.#clientNonce = clientNonce;
  }

  /** Without a user name, like libpq: PostgreSQL takes the one of the startup packet. */
  initial(): Buffer {
    return bytesOf(`${this.#gs2Header}${this.#bareFirst()}`);
  }

  challenged(serverFirst: Buffer): Challenge {
    invariant(this.#nonce === '', 'a SCRAM exchange has one challenge');
    const parts = partsOf(serverFirst);
    if (parts === undefined) return malformed('server-first-message contains a NUL');
    const [nonceText, saltText, iterationsText, ...extensions] = parts;
    const nonce = valueOf(nonceText, 'r');
    const salt = parseSalt(valueOf(saltText, 's') ?? '');
    const iterations = parseIterations(valueOf(iterationsText, 'i') ?? '');
    if (nonce === undefined || !isNonce(nonce)) return malformed('server-first-message has no nonce');
    if (!nonce.startsWith(this.#clientNonce) || nonce.length === this.#clientNonce.length) {
      return malformed('the nonce does not begin with ours and go on');
    }
    if (salt === undefined) return malformed('server-first-message has no salt');
    if (iterations === undefined) return malformed('the iteration count is missing or too high');
    if (!areOptional(extensions)) return malformed('server-first-message has a bad extension');
    this.#nonce = nonce;
    this.#serverFirst = serverFirst.toString('latin1');
    return { kind: 'challenge', salt, iterations };
  }

  proof(keys: ScramKeys): Buffer {
    invariant(this.#nonce !== '', 'a proof answers a challenge');
    const binding = Buffer.concat([Buffer.from(this.#gs2Header), this.#bindingData]).toString('base64');
    const withoutProof = `c=${binding},r=${this.#nonce}`;
    const authMessage = bytesOf(`${this.#bareFirst()},${this.#serverFirst},${withoutProof}`);
    this.#expectedSignature = keys.serverKey.sign(authMessage);
    return bytesOf(`${withoutProof},p=${clientProof(keys, authMessage).toString('base64')}`);
  }

  /** Whether the server's last word shows that it knows our password, or at least a verifier of it. */
  verify(serverFinal: Buffer): Verification {
    const expected = this.#expectedSignature;
    invariant(expected !== undefined, 'a signature follows our proof');
    const [signatureText, ...extensions] = partsOf(serverFinal) ?? [];
    const signature = parseKey(valueOf(signatureText, 'v') ?? '');
    if (signature === undefined || !areOptional(extensions)) return { kind: 'malformed' };
    return { kind: timingSafeEqual(signature, expected) ? 'verified' : 'wrong' };
  }

  #bareFirst(): string {
    return `n=,r=${this.#clientNonce}`;
  }
}

const malformed = (reason: string): { readonly kind: 'malformed'; readonly reason: string } => ({
  kind: 'malformed',
  reason,
});
