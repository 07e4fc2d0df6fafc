/**
 * Names of a client's that a server has for the time of one Query: a DEALLOCATE in it, among other statements, has to find them, and a
 * PREPARE to find them taken. What is left of them is taken back in front of the next client's bytes.
 */
import { Owed, OWN } from './owed-replies.ts';
import { restored } from './restoring.ts';
import type { ServerSession } from './server-session.ts';
import { closeAs, parseAs } from './statement-messages.ts';

/**
 * What stands for them: neither SELECT nor nothing, so that EXECUTE does not find, but fails as it does without them (26000); and nothing
 * that takes a snapshot to be parsed.
 */
const lent = Buffer.from('EXECUTE ostler_not_by_sql\0\0\0');

export class LentNames {
  readonly #server: ServerSession;
  /** By `statementKey`; plain ASCII. */
  readonly #keys = new Set<string>();

  constructor(server: ServerSession) {
    this.#server = server;
  }

  /** Some have not been dropped. */
  get any(): boolean {
    return this.#keys.size > 0;
  }

  /** In front of the Query. The server would skip that too if it failed here, and never say that it is ready: so it counts as a replay. */
  lend(keys: ReadonlySet<string>): void {
    const { owed, out, restoring } = this.#server;
    let left = keys.size;
    for (const key of keys) {
      this.#close(key);
      owed.push(Owed.parse | OWN, --left === 0 ? restored : undefined);
      out.insert(parseAs(key, lent));
      this.#keys.add(key);
    }
    restoring.lent();
  }

  /** The server has dropped what stood for it. */
  dropped(key: string): void {
    this.#keys.delete(key);
  }

  /** The client ends the name itself. Whether the server skips that nobody knows yet: it is taken back again later. */
  ended(key: string): void {
    if (this.#keys.has(key)) this.#close(key);
  }

  takeBack(): void {
    for (const key of this.#keys) this.#close(key);
    this.#keys.clear();
  }

  /** Every statement of the server is gone. */
  clear(): void {
    this.#keys.clear();
  }

  #close(key: string): void {
    this.#server.owed.push(Owed.close | OWN);
    this.#server.out.insert(closeAs(key));
  }
}
