/**
 * SCRAM verifiers of the users who log in here, and SCRAM keys for our logins to servers: each derived once, then kept.
 *
 * A user who does not exist gets a verifier too, with the salt and iterations that a real one of that name would have. Salts are
 * HMAC(secret, user): the same in every login, and in every process that has the same secret (scram_mock_secret).
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { DerivedCache } from './derivations.ts';
import type { Derivations } from './derivations.ts';
import { HmacKey } from './hmac.ts';
import { preparePassword } from './saslprep.ts';
import { DEFAULT_ITERATIONS, keysFromSaltedPassword, SALT_SIZE } from './scram-keys.ts';
import type { ScramKeys, ScramVerifier } from './scram-keys.ts';
import type { Secret } from './secrets.ts';

const MAX_CACHED = 10_000;

export interface VerifiersOptions {
  readonly derivations: Derivations;
  readonly iterations?: number;
  /** Makes salts stable over restarts and alike in several processes; random for this process if not given. */
  readonly mockSecret?: string | undefined;
}

export class Verifiers {
  /** For plain passwords, and so for unknown users: a change holds for the next login. */
  iterations: number;
  readonly #derivations: Derivations;
  readonly #saltKey: HmacKey;
  readonly #mockStoredKey = new HmacKey(randomBytes(32));
  readonly #mockServerKey = new HmacKey(randomBytes(32));
  readonly #cache = new DerivedCache<ScramVerifier>(MAX_CACHED);
  #preparation = 0;

  constructor({ derivations, iterations = DEFAULT_ITERATIONS, mockSecret }: VerifiersOptions) {
    this.#derivations = derivations;
    this.iterations = iterations;
    this.#saltKey = new HmacKey(mockSecret === undefined ? randomBytes(32) : Buffer.from(mockSecret));
  }

  /** The verifier of a user whose password is stored as plain text; a changed password is another verifier. */
  verifier(user: string, password: string): ScramVerifier | Promise<ScramVerifier> {
    const { iterations } = this;
    return this.#cache.get([user, password, iterations], async () => {
      const salt = this.#saltOf(user);
      return { iterations, salt, ...(await this.#keys(password, salt, iterations)) };
    });
  }

  /** The verifier of a user who can never log in; made anew each time, so that made-up names fill no memory. */
  mock(user: string): ScramVerifier {
    return {
      iterations: this.iterations,
      salt: this.#saltOf(user),
      storedKey: this.#mockStoredKey,
      serverKey: this.#mockServerKey,
    };
  }

  /** Whether a password that came in plain text is the one behind a verifier. Costs a derivation each time. */
  async matches(verifier: ScramVerifier, password: Buffer): Promise<boolean> {
    const { serverKey } = await this.#keys(password, verifier.salt, verifier.iterations);
    return timingSafeEqual(serverKey.bytes, verifier.serverKey.bytes);
  }

  /**
   * Derives the verifiers of all who may log in, ahead of their logins: the first one of a real user then takes no longer than that of
   * an unknown one. One at a time, so that a login which needs its own now hardly waits; a later call takes the place of this one.
   */
  async prepare(users: Iterable<readonly [user: string, secret: Secret]>): Promise<void> {
    this.#preparation += 1;
    const preparation = this.#preparation;
    for (const [user, secret] of users) {
      if (secret.kind !== 'plain') continue;
      try {
        await this.verifier(user, secret.password);
      } catch {
        // Too many logins derive just now: this user's own login will have to.
      }
      if (this.#preparation !== preparation) return;
    }
  }

  #saltOf(user: string): Buffer {
    return this.#saltKey.sign(Buffer.from(user)).subarray(0, SALT_SIZE);
  }

  async #keys(password: string | Buffer, salt: Buffer, iterations: number): Promise<ScramKeys> {
    const prepared = preparePassword(password);
    return keysFromSaltedPassword(await this.#derivations.saltedPassword(prepared, salt, iterations));
  }
}

/** Keys for logins to servers. A server's salt and iterations stay as long as its user's password, so one derivation serves them all. */
export class ServerKeys {
  readonly #derivations: Derivations;
  readonly #cache: DerivedCache<ScramKeys>;

  constructor({ derivations, limit = 1000 }: { readonly derivations: Derivations; readonly limit?: number }) {
    this.#derivations = derivations;
    this.#cache = new DerivedCache(limit);
  }

  keys(password: string, salt: Buffer, iterations: number): ScramKeys | Promise<ScramKeys> {
    return this.#cache.get([password, salt.toString('base64'), iterations], async () =>
      keysFromSaltedPassword(
        await this.#derivations.saltedPassword(preparePassword(password), salt, iterations),
      ),
    );
  }
}
