/**
 * SCRAM-SHA-256 on the side that checks (RFC 5802, RFC 7677): a client proves its password to us, and we prove that we know it too.
 *
 *     client  n,,n=,r=CNONCE            ─▶ first()
 *             ◀─ r=CNONCE SNONCE,s=SALT,i=ITERATIONS
 *     client  c=biws,r=CNONCE SNONCE,p=PROOF ─▶ final()
 *             ◀─ v=SIGNATURE
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { invariant } from '../base/assert.ts';
import { sha256 } from './hmac.ts';
import { areOptional, bytesOf, isNonce, NONCE_BYTES, partsOf, valueOf } from './scram-attributes.ts';
import { clientKeyOf, parseKey } from './scram-keys.ts';
import type { ScramVerifier } from './scram-keys.ts';

export type FirstResult =
  | { readonly kind: 'continue'; readonly message: Buffer }
  | { readonly kind: 'malformed'; readonly reason: string };

export type FinalResult =
  | { readonly kind: 'accepted'; readonly message: Buffer }
  | { readonly kind: 'wrong-proof' }
  | { readonly kind: 'malformed'; readonly reason: string };

export class ScramServerExchange {
  readonly #verifier: ScramVerifier;
  readonly #serverNonce: string;
  #gs2Header = '';
  #nonce = '';
  /** `client-first-message-bare,server-first-message`: the beginning of AuthMessage. */
  #signedSoFar = '';

  constructor(verifier: ScramVerifier, serverNonce: string = randomBytes(NONCE_BYTES).toString('base64')) {
    this.#verifier = verifier;
    this.#serverNonce = serverNonce;
  }

  /** The user name in the message is ignored, as by PostgreSQL: the startup packet has said who wants to log in. */
  first(clientFirst: Buffer): FirstResult {
    invariant(this.#nonce === '', 'a SCRAM exchange has one first message');
    const parts = partsOf(clientFirst);
    if (parts === undefined) return malformed('client-first-message contains a NUL');
    const [flag, authorizationIdentity, name, nonceText, ...extensions] = parts;
    // "y" says that the client would bind to the channel if we could. That is true, we do not offer SCRAM-SHA-256-PLUS; if we
    // did, it would mean that somebody between us had hidden the offer.
    if (flag !== 'n' && flag !== 'y') return malformed('channel binding is not supported');
    if (authorizationIdentity !== '') return malformed('an authorization identity is not supported');
    if (valueOf(name, 'm') !== undefined) return malformed('a mandatory extension is not supported');
    const nonce = valueOf(nonceText, 'r');
    if (valueOf(name, 'n') === undefined || nonce === undefined || !isNonce(nonce)) {
      return malformed('client-first-message has no user name and nonce');
    }
    if (!areOptional(extensions)) return malformed('client-first-message has a bad extension');

    const { salt, iterations } = this.#verifier;
    this.#gs2Header = `${flag},,`;
    this.#nonce = nonce + this.#serverNonce;
    const serverFirst = `r=${this.#nonce},s=${salt.toString('base64')},i=${iterations}`;
    this.#signedSoFar = `${parts.slice(2).join(',')},${serverFirst}`;
    return { kind: 'continue', message: bytesOf(serverFirst) };
  }

  final(clientFinal: Buffer): FinalResult {
    invariant(this.#nonce !== '', 'a SCRAM exchange begins with its first message');
    const parts = partsOf(clientFinal);
    if (parts === undefined) return malformed('client-final-message contains a NUL');
    const proof = parseKey(valueOf(parts.pop(), 'p') ?? '');
    const [binding, nonce, ...extensions] = parts;
    if (proof === undefined) return malformed('client-final-message has no proof');
    if (valueOf(binding, 'c') !== Buffer.from(this.#gs2Header).toString('base64')) {
      return malformed('channel binding data do not belong to client-first-message');
    }
    if (valueOf(nonce, 'r') !== this.#nonce) return malformed('the nonce does not match');
    if (!areOptional(extensions)) return malformed('client-final-message has a bad extension');

    const { storedKey, serverKey } = this.#verifier;
    const authMessage = bytesOf(`${this.#signedSoFar},${parts.join(',')}`);
    const clientKey = clientKeyOf(proof, storedKey, authMessage);
    if (!timingSafeEqual(sha256(clientKey), storedKey.bytes)) return { kind: 'wrong-proof' };
    return { kind: 'accepted', message: bytesOf(`v=${serverKey.sign(authMessage).toString('base64')}`) };
  }
}

const malformed = (reason: string): { readonly kind: 'malformed'; readonly reason: string } => ({
  kind: 'malformed',
  reason,
});
