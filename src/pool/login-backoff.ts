/** What a pool remembers of logins that fail: whether to try again yet, and what to tell those who cannot wait. */
import { ClientError } from '../protocol/errors.ts';
import type { LoginFailure } from './port.ts';

export class LoginBackoff {
  #last: { readonly failure: LoginFailure; readonly at: number } | undefined;

  /** The last login failed. Then one server at a time is asked whether it is back, not several. */
  get isFailing(): boolean {
    return this.#last !== undefined;
  }

  fail(failure: LoginFailure, now: number): void {
    this.#last = { failure, at: now };
  }

  forget(): void {
    this.#last = undefined;
  }

  /** Less than server_login_retry has passed since the failure. */
  holds(now: number, retry: number): boolean {
    return this.#last !== undefined && now - this.#last.at < retry;
  }

  /**
   * What to tell a client instead of letting it wait; undefined once a fresh attempt is due, for then it waits for the outcome of that,
   * and undefined for a failure that passes by itself.
   */
  cachedError(now: number, retry: number): ClientError | undefined {
    if (this.#last === undefined || this.#last.failure.transient || !this.holds(now, retry)) return undefined;
    const { error } = this.#last.failure;
    return new ClientError(error.message, {
      sqlState: error.sqlState,
      severity: error.severity,
      detail: `server login has been failing, cached error: ${error.detail ?? error.message} (server_login_retry)`,
      hint: error.hint,
      cause: error,
    });
  }
}
