/**
 * Authenticating one client, message by message, whatever its auth_type:
 *
 *     start() ─▶ ok | refused
 *             ├▶ cleartext ─ answer() ─▶ ok | refused
 *             ├▶ md5 ─────── answer() ─▶ ok | refused
 *             └▶ sasl ────── answer() ─▶ continue ─ answer() ─▶ final | refused
 *
 * A user who does not exist, or has no usable secret, goes the same way with the same work and meets the same refusal as one with
 * a wrong password. Nothing that a client sends makes this throw.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { invariant, unreachable } from '../base/assert.ts';
import { ClientError } from '../protocol/errors.ts';
import { SqlState } from '../protocol/sql-state.ts';
import { sha256 } from './hmac.ts';
import { isMd5Answer, md5Hash } from './md5.ts';
import { SCRAM_SHA_256 } from './scram-attributes.ts';
import { ScramServerExchange } from './scram-server.ts';
import type { ScramVerifier } from './scram-keys.ts';
import type { AuthType, Secret } from './secrets.ts';
import type { Verifiers } from './verifiers.ts';

/** Far above any password or token, far below what could hurt. */
const MAX_ANSWER_SIZE = 65_536;

/** `reason` is for the log: it tells what the client must not learn, and never holds a secret. */
export interface Refusal {
  readonly kind: 'refused';
  readonly error: ClientError;
  readonly reason: string;
}

export type ClientRequest =
  | { readonly kind: 'ok' }
  | { readonly kind: 'cleartext' }
  | { readonly kind: 'md5'; readonly salt: Buffer }
  | { readonly kind: 'sasl'; readonly mechanisms: readonly string[] }
  | Refusal;

export type ClientVerdict =
  /** Send AuthenticationSASLContinue and wait for the next answer. */
  | { readonly kind: 'continue'; readonly data: Buffer }
  /** Send AuthenticationSASLFinal; the client is in. */
  | { readonly kind: 'final'; readonly data: Buffer }
  | { readonly kind: 'ok' }
  | Refusal;

export interface ClientExchangeOptions {
  readonly user: string;
  readonly authType: AuthType;
  /** Undefined for a user who does not exist. */
  readonly secret: Secret | undefined;
  readonly verifiers: Verifiers;
}

type State =
  | { readonly kind: 'new' }
  | { readonly kind: 'cleartext' }
  | { readonly kind: 'md5'; readonly salt: Buffer }
  | { readonly kind: 'sasl-initial' }
  | { readonly kind: 'sasl-response'; readonly scram: ScramServerExchange }
  | { readonly kind: 'deriving' }
  | { readonly kind: 'done' };

export class ClientExchange {
  readonly #user: string;
  readonly #authType: AuthType;
  readonly #secret: Secret | undefined;
  readonly #verifiers: Verifiers;
  #state: State = { kind: 'new' };

  constructor({ user, authType, secret, verifiers }: ClientExchangeOptions) {
    this.#user = user;
    this.#authType = authType;
    this.#secret = secret;
    this.#verifiers = verifiers;
  }

  /** What to ask the client for. */
  start(): ClientRequest {
    invariant(this.#state.kind === 'new', 'an exchange starts once');
    switch (this.#authType) {
      case 'any':
        this.#state = { kind: 'done' };
        return { kind: 'ok' };
      case 'trust':
        this.#state = { kind: 'done' };
        if (this.#secret !== undefined) return { kind: 'ok' };
        return refused('"trust" authentication failed', SqlState.invalidAuthorization, this.#whyNot());
      case 'plain':
        this.#state = { kind: 'cleartext' };
        return { kind: 'cleartext' };
      case 'md5': {
        // A verifier cannot answer an MD5 challenge, so its user is asked for SCRAM, as by PgBouncer and PostgreSQL.
        if (this.#secret?.kind === 'scram') return this.#startSasl();
        const salt = randomBytes(4);
        this.#state = { kind: 'md5', salt };
        return { kind: 'md5', salt };
      }
      case 'scram-sha-256':
        return this.#startSasl();
      default:
        return unreachable(this.#authType);
    }
  }

  /**
   * Takes the body of a PasswordMessage, SASLInitialResponse or SASLResponse (all of type `p`). A promise comes back only where a
   * password has to be derived; an answer given before it is settled is a protocol violation of the client.
   */
  answer(body: Buffer): ClientVerdict | Promise<ClientVerdict> {
    const state = this.#state;
    if (state.kind === 'new' || state.kind === 'deriving' || state.kind === 'done') {
      this.#state = { kind: 'done' };
      return violation('unexpected password message', 'the client answered without being asked');
    }
    this.#state = { kind: 'done' };
    if (body.length > MAX_ANSWER_SIZE)
      return violation('password message is too long', `${body.length} bytes`);
    switch (state.kind) {
      case 'cleartext':
        return this.#checkCleartext(body);
      case 'md5':
        return this.#checkMd5(body, state.salt);
      case 'sasl-initial':
        return this.#beginScram(body);
      case 'sasl-response':
        return this.#endScram(body, state.scram);
      default:
        return unreachable(state);
    }
  }

  #startSasl(): ClientRequest {
    this.#state = { kind: 'sasl-initial' };
    return { kind: 'sasl', mechanisms: [SCRAM_SHA_256] };
  }

  #checkCleartext(body: Buffer): ClientVerdict | Promise<ClientVerdict> {
    const password = passwordIn(body);
    if (password === undefined) return brokenPassword();
    if (password.length === 0) {
      return refused('empty password returned by client', SqlState.invalidPassword, 'empty password');
    }
    const secret = this.#secret;
    switch (secret?.kind) {
      case 'plain':
        return this.#passwordVerdict(same(password, Buffer.from(secret.password)));
      case 'md5':
        return this.#passwordVerdict(
          same(Buffer.from(md5Hash(password, this.#user)), Buffer.from(secret.hash)),
        );
      case 'scram':
        this.#state = { kind: 'deriving' };
        return this.#afterDerivation(this.#verifiers.matches(secret.verifier, password), (matches) =>
          this.#passwordVerdict(matches),
        );
      case 'none':
      case undefined:
        return this.#passwordVerdict(same(password, randomBytes(32)));
      default:
        return unreachable(secret);
    }
  }

  #checkMd5(body: Buffer, salt: Buffer): ClientVerdict {
    const answer = passwordIn(body);
    if (answer === undefined) return brokenPassword();
    const secret = this.#secret;
    let hash: string;
    if (secret?.kind === 'md5') hash = secret.hash;
    else if (secret?.kind === 'plain') hash = md5Hash(secret.password, this.#user);
    else hash = md5Hash(randomBytes(16), this.#user);
    return this.#passwordVerdict(isMd5Answer(answer, hash, salt));
  }

  #passwordVerdict(matches: boolean): ClientVerdict {
    if (matches && this.#secret !== undefined && this.#secret.kind !== 'none') return { kind: 'ok' };
    return refused('password authentication failed', SqlState.invalidPassword, this.#whyNot());
  }

  #beginScram(body: Buffer): ClientVerdict | Promise<ClientVerdict> {
    const response = parseSaslInitialResponse(body);
    if (response === undefined) {
      return violation(SASL_FAILED, 'SASLInitialResponse is malformed');
    }
    if (response.mechanism !== SCRAM_SHA_256) {
      return violation(
        'client selected an invalid SASL authentication mechanism',
        'the client selected a mechanism that was not offered',
      );
    }
    const verifier = this.#verifier();
    const { data } = response;
    if (!(verifier instanceof Promise)) return this.#challenge(verifier, data);
    this.#state = { kind: 'deriving' };
    return this.#afterDerivation(verifier, (derived) => this.#challenge(derived, data));
  }

  #challenge(verifier: ScramVerifier, clientFirst: Buffer): ClientVerdict {
    const scram = new ScramServerExchange(verifier);
    const result = scram.first(clientFirst);
    if (result.kind === 'malformed') return violation(SASL_FAILED, result.reason);
    this.#state = { kind: 'sasl-response', scram };
    return { kind: 'continue', data: result.message };
  }

  #endScram(body: Buffer, scram: ScramServerExchange): ClientVerdict {
    const result = scram.final(body);
    switch (result.kind) {
      case 'accepted':
        // The keys of a mock verifier are random, so this only guards against a mistake of ours.
        if (!this.#canScram()) return refused(SASL_FAILED, SqlState.invalidPassword, this.#whyNot());
        return { kind: 'final', data: result.message };
      case 'wrong-proof':
        return refused(SASL_FAILED, SqlState.invalidPassword, this.#whyNot());
      case 'malformed':
        return violation(SASL_FAILED, result.reason);
      default:
        return unreachable(result);
    }
  }

  #canScram(): boolean {
    return this.#secret?.kind === 'plain' || this.#secret?.kind === 'scram';
  }

  #verifier(): ScramVerifier | Promise<ScramVerifier> {
    const secret = this.#secret;
    if (secret?.kind === 'scram') return secret.verifier;
    if (secret?.kind === 'plain') return this.#verifiers.verifier(this.#user, secret.password);
    return this.#verifiers.mock(this.#user);
  }

  /** The caller has moved to `deriving`; if that is no longer so, the client has answered out of turn and been refused. */
  async #afterDerivation<Value>(
    derivation: Promise<Value>,
    judge: (value: Value) => ClientVerdict,
  ): Promise<ClientVerdict> {
    let value: Value;
    try {
      value = await derivation;
    } catch (error) {
      this.#state = { kind: 'done' };
      return refused('bouncer resources exhaustion', SqlState.tooManyConnections, String(error));
    }
    if (this.#state.kind !== 'deriving') return violation(SASL_FAILED, 'the exchange has ended meanwhile');
    this.#state = { kind: 'done' };
    return judge(value);
  }

  #whyNot(): string {
    if (this.#secret === undefined) return `no such user: ${this.#user}`;
    if (this.#secret.kind === 'none') return 'the user has no password';
    if (this.#secret.kind === 'md5' && this.#authType === 'scram-sha-256') {
      return 'SCRAM authentication failed: user has MD5 secret';
    }
    return 'wrong password';
  }
}

const SASL_FAILED = 'SASL authentication failed';

function refused(message: string, sqlState: string, reason: string): Refusal {
  return { kind: 'refused', error: new ClientError(message, { sqlState }), reason };
}

const violation = (message: string, reason: string): Refusal =>
  refused(message, SqlState.protocolViolation, reason);

const brokenPassword = (): Refusal =>
  violation('password authentication failed', 'PasswordMessage is malformed');

/** Takes the same time for every length and content of `expected`. */
const same = (given: Buffer, expected: Buffer): boolean => timingSafeEqual(sha256(given), sha256(expected));

/** The one zero-terminated string that a PasswordMessage consists of. */
function passwordIn(body: Buffer): Buffer | undefined {
  const end = body.indexOf(0);
  return end === body.length - 1 && end !== -1 ? body.subarray(0, end) : undefined;
}

/** SASLInitialResponse: mechanism as a string, int32 length (−1 for none), that many bytes. */
function parseSaslInitialResponse(
  body: Buffer,
): { readonly mechanism: string; readonly data: Buffer } | undefined {
  const end = body.indexOf(0);
  const start = end + 1 + 4;
  if (end === -1 || start > body.length) return undefined;
  const data = body.subarray(start);
  if (body.readInt32BE(end + 1) !== data.length) return undefined;
  return { mechanism: body.toString('latin1', 0, end), data };
}
