/**
 * Logging in to one PostgreSQL server: each of its authentication requests (messages of type `R`) goes in, what to send comes out.
 *
 *     start ─ Ok ──────────────────────────────────────────────────────────▶ ok
 *       ├─ CleartextPassword | MD5Password ─▶ answered ─ Ok ───────────────▶ ok
 *       └─ SASL ─▶ greeted ─ SASLContinue ─▶ proved ─ SASLFinal ─▶ verified ─ Ok ─▶ ok
 *
 * Any other order fails: a server that began SCRAM has to prove that it knows the password before it is believed.
 * https://www.postgresql.org/docs/current/protocol-flow.html
 */
import { unreachable } from '../base/assert.ts';
import { ClientError } from '../protocol/errors.ts';
import { SqlState } from '../protocol/sql-state.ts';
import { tlsServerEndPoint } from './channel-binding.ts';
import { md5Answer, md5Hash } from './md5.ts';
import { SCRAM_SHA_256, SCRAM_SHA_256_PLUS } from './scram-attributes.ts';
import { ScramClientExchange } from './scram-client.ts';
import type { ChannelBinding } from './scram-client.ts';
import type { Secret } from './secrets.ts';
import type { ScramKeys } from './scram-keys.ts';
import type { ServerKeys } from './verifiers.ts';

export type ServerVerdict =
  /** Send a message of type `p` with this body. */
  | { readonly kind: 'send'; readonly body: Buffer }
  /** Nothing to send: the next request follows by itself. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'ok' }
  | { readonly kind: 'failed'; readonly error: ClientError };

export interface ServerExchangeOptions {
  readonly user: string;
  readonly secret: Secret | undefined;
  /** The connection is under TLS. */
  readonly encrypted: boolean;
  /** The password may go in plain text over a connection that is not under TLS. */
  readonly allowCleartext: boolean;
  /** The server's certificate in DER, for channel binding. */
  readonly certificate?: Buffer | undefined;
  readonly keys: ServerKeys;
}

type State =
  | { readonly kind: 'start' }
  | { readonly kind: 'answered' }
  | { readonly kind: 'greeted'; readonly scram: ScramClientExchange }
  | { readonly kind: 'deriving' }
  | { readonly kind: 'proved'; readonly scram: ScramClientExchange }
  | { readonly kind: 'verified' }
  | { readonly kind: 'ended' };

/** The first four bytes of every authentication request. */
const Request = { ok: 0, cleartext: 3, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12 } as const;

export class ServerExchange {
  readonly #options: ServerExchangeOptions;
  #state: State = { kind: 'start' };

  constructor(options: ServerExchangeOptions) {
    this.#options = options;
  }

  /** A promise comes back only where keys have to be derived. */
  answer(body: Buffer): ServerVerdict | Promise<ServerVerdict> {
    const state = this.#state;
    this.#state = { kind: 'ended' };
    if (body.length < 4) return failed('malformed authentication request');
    const payload = body.subarray(4);
    const request = body.readInt32BE(0);
    const bare = request === Request.ok || request === Request.cleartext;
    if (bare && payload.length > 0) return failed('malformed authentication request');
    switch (request) {
      case Request.ok:
        if (state.kind === 'start' || state.kind === 'answered' || state.kind === 'verified')
          return { kind: 'ok' };
        return failed('failed to verify server signature', { sqlState: SqlState.invalidAuthorization });
      case Request.cleartext:
        return state.kind === 'start' ? this.#sendCleartext() : outOfOrder();
      case Request.md5:
        return state.kind === 'start' ? this.#sendMd5(payload) : outOfOrder();
      case Request.sasl:
        return state.kind === 'start' ? this.#beginSasl(payload) : outOfOrder();
      case Request.saslContinue:
        return state.kind === 'greeted' ? this.#prove(payload, state.scram) : outOfOrder();
      case Request.saslFinal:
        return state.kind === 'proved' ? this.#verify(payload, state.scram) : outOfOrder();
      default:
        return failed(`unknown/unsupported auth method: ${request}`, {
          sqlState: SqlState.featureNotSupported,
          detail:
            'The server may ask for a password (scram-sha-256, md5, cleartext) or for nothing (trust, cert).',
        });
    }
  }

  #sendCleartext(): ServerVerdict {
    const { secret, encrypted, allowCleartext } = this.#options;
    if (secret?.kind !== 'plain') return this.#wrongPasswordType('a cleartext password');
    if (!encrypted && !allowCleartext) {
      return failed('the server wants the password in cleartext over an unencrypted connection', {
        sqlState: SqlState.invalidAuthorization,
        hint: 'Encrypt the connection (server_tls_sslmode = "require" or better), or let the server use scram-sha-256.',
      });
    }
    this.#state = { kind: 'answered' };
    return { kind: 'send', body: cString(secret.password) };
  }

  #sendMd5(payload: Buffer): ServerVerdict {
    const { secret, user } = this.#options;
    if (payload.length !== 4) return failed('malformed authentication request');
    let hash: string;
    if (secret?.kind === 'md5') hash = secret.hash;
    else if (secret?.kind === 'plain') hash = md5Hash(secret.password, user);
    else return this.#wrongPasswordType('md5');
    this.#state = { kind: 'answered' };
    return { kind: 'send', body: cString(md5Answer(hash, payload)) };
  }

  #beginSasl(payload: Buffer): ServerVerdict {
    const offered = mechanismsIn(payload);
    if (offered === undefined) return failed('malformed authentication request');
    const binding = this.#binding(offered);
    const mechanism = binding.kind === 'tls-server-end-point' ? SCRAM_SHA_256_PLUS : SCRAM_SHA_256;
    if (!offered.includes(mechanism)) {
      return failed("none of the server's SASL authentication mechanisms are supported", {
        sqlState: SqlState.featureNotSupported,
      });
    }
    if (this.#options.secret?.kind !== 'plain') return this.#wrongPasswordType('scram-sha-256');
    const scram = new ScramClientExchange(binding);
    this.#state = { kind: 'greeted', scram };
    const initial = scram.initial();
    const length = Buffer.alloc(4);
    length.writeInt32BE(initial.length);
    return { kind: 'send', body: Buffer.concat([cString(mechanism), length, initial]) };
  }

  #binding(offered: readonly string[]): ChannelBinding {
    const { encrypted, certificate } = this.#options;
    const data = encrypted && certificate !== undefined ? tlsServerEndPoint(certificate) : undefined;
    if (data === undefined) return { kind: 'none' };
    return offered.includes(SCRAM_SHA_256_PLUS)
      ? { kind: 'tls-server-end-point', data }
      : { kind: 'not-offered' };
  }

  #prove(payload: Buffer, scram: ScramClientExchange): ServerVerdict | Promise<ServerVerdict> {
    const { secret, keys } = this.#options;
    if (secret?.kind !== 'plain') return this.#wrongPasswordType('scram-sha-256');
    const challenge = scram.challenged(payload);
    if (challenge.kind === 'malformed') return failed(`malformed SCRAM message: ${challenge.reason}`);
    const ready = keys.keys(secret.password, challenge.salt, challenge.iterations);
    if (!(ready instanceof Promise)) return this.#sendProof(ready, scram);
    this.#state = { kind: 'deriving' };
    return this.#proveLater(ready, scram);
  }

  async #proveLater(derivation: Promise<ScramKeys>, scram: ScramClientExchange): Promise<ServerVerdict> {
    let keys: ScramKeys;
    try {
      keys = await derivation;
    } catch (cause) {
      this.#state = { kind: 'ended' };
      return failed('bouncer resources exhaustion', { sqlState: SqlState.tooManyConnections, cause });
    }
    return this.#state.kind === 'deriving' ? this.#sendProof(keys, scram) : outOfOrder();
  }

  #sendProof(keys: ScramKeys, scram: ScramClientExchange): ServerVerdict {
    this.#state = { kind: 'proved', scram };
    return { kind: 'send', body: scram.proof(keys) };
  }

  #verify(payload: Buffer, scram: ScramClientExchange): ServerVerdict {
    const verification = scram.verify(payload);
    const options = { sqlState: SqlState.invalidAuthorization };
    switch (verification.kind) {
      case 'verified':
        this.#state = { kind: 'verified' };
        return { kind: 'wait' };
      case 'wrong':
        return failed('invalid server signature', options);
      case 'malformed':
        return failed('failed to verify server signature', options);
      default:
        return unreachable(verification);
    }
  }

  #wrongPasswordType(wanted: string): ServerVerdict {
    const { secret, user } = this.#options;
    const have = {
      none: 'nothing',
      plain: 'a plain password',
      md5: 'an MD5 hash',
      scram: 'a SCRAM verifier',
    };
    return failed('wrong password type', {
      sqlState: SqlState.invalidPassword,
      detail: `The server asks user "${user}" for ${wanted}; ${have[secret?.kind ?? 'none']} is configured.`,
      hint: `Set the password of the database entry or users.${user}.password to the plain password.`,
    });
  }
}

interface FailureOptions {
  readonly sqlState?: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly cause?: unknown;
}

const failed = (message: string, options: FailureOptions = {}): ServerVerdict => ({
  kind: 'failed',
  error: new ClientError(`server login failed: ${message}`, options),
});

const outOfOrder = (): ServerVerdict => failed('authentication request out of order');

const cString = (text: string): Buffer => Buffer.from(`${text}\0`);

/** AuthenticationSASL: zero-terminated names, and an empty one at the end. */
function mechanismsIn(payload: Buffer): string[] | undefined {
  const names = payload.toString('latin1').split('\0');
  return names.length >= 3 && names.at(-1) === '' && names.at(-2) === '' ? names.slice(0, -2) : undefined;
}
