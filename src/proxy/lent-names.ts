/**
 * Names of a client's that a server has for the time of one Query: a DEALLOCATE in it, among other statements, has to find them, and a
 * PREPARE to find them taken. What is left of them is taken back in front of the next client's bytes.
 */
import { placeholder } from '../session/prepared-statements.ts';
import { Owed, OWN } from './owed-replies.ts';
import type { ServerSession } from './server-session.ts';
import { closeAs, parseAs } from './statement-messages.ts';

export class LentNames {
  readonly #server: ServerSession;
  /** By `statementKey`. */
  readonly #keys = new Set<string>();

  constructor(server: ServerSession) {
    this.#server = server;
  }

  /** Some have not been dropped. */
  get any(): boolean {
    return this.#keys.size > 0;
  }

  /** In front of the Query. An empty statement can be prepared whatever state the session is in. */
  lend(key: string): void {
    const { owed, out } = this.#server;
    this.#close(key);
    owed.push(Owed.parse | OWN);
    out.insert(parseAs(bytesOf(key), placeholder.definition));
    this.#keys.add(key);
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
    this.#server.out.insert(closeAs(bytesOf(key)));
  }
}

const bytesOf = (key: string): Buffer => Buffer.from(key, 'latin1');
