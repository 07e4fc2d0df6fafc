/** A short piece of the pooler's own work on some server of a pool, which stands in line for it like a client. */
import type { ClientError } from '../protocol/errors.ts';
import { ClientError as Failure } from '../protocol/errors.ts';
import type { ClientDescription, Waiting } from '../pool/port.ts';
import type { SessionState } from '../session/replay.ts';
import { InternedMap } from '../session/interned-map.ts';
import type { PoolUser } from './pool-user.ts';
import type { ServerSession } from './server-session.ts';

/** Runs on a server that nobody else uses; calls `done` when the server owes nothing. */
export type Work = (server: ServerSession, done: () => void) => void;

export interface ErrandPool {
  acquire(user: PoolUser): ServerSession | ClientError | undefined;
  release(server: ServerSession): void;
}

export class Errand implements PoolUser {
  waiting: Waiting | undefined;
  lastServerId = 0;
  readonly sessionState: SessionState = InternedMap.empty;
  readonly waitTimeout: number;
  readonly #pool: ErrandPool;
  readonly #work: Work;
  readonly #settle: (error: ClientError | undefined) => void;
  readonly #since = performance.now();

  private constructor(
    pool: ErrandPool,
    waitTimeout: number,
    work: Work,
    settle: (error: ClientError | undefined) => void,
  ) {
    this.#pool = pool;
    this.waitTimeout = waitTimeout;
    this.#work = work;
    this.#settle = settle;
  }

  /** `waitTimeout` in ms. @throws {ClientError} what a client in its place would be told */
  static run(pool: ErrandPool, waitTimeout: number, work: Work): Promise<void> {
    return new Promise((resolve, reject) => {
      const errand = new Errand(pool, waitTimeout, work, (error) => {
        if (error === undefined) resolve();
        else reject(error);
      });
      const found = pool.acquire(errand);
      if (found instanceof Failure) reject(found);
      else if (found !== undefined) errand.granted(found);
    });
  }

  granted(server: ServerSession): void {
    server.whenLost = () => this.#settle(new Failure('server conn crashed?', { sqlState: '08006' }));
    this.#work(server, () => {
      server.whenLost = undefined;
      this.#pool.release(server);
      this.#settle(undefined);
    });
  }

  refused(error: ClientError): void {
    this.#settle(error);
  }

  waitingLong(): void {
    // Nobody to tell: the client has not been greeted yet.
  }

  describe(): ClientDescription {
    return { since: this.#since, applicationName: 'ostler' };
  }
}
