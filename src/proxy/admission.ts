/**
 * Which connections may become clients: max_client_conn, the room in which the others are told why not, and the refusal of everybody while
 * the pooler ends.
 */
import type { Connection, ConnectionOwner } from '../net/connection.ts';
import type { PoolerStats } from '../observability/counters.ts';
import { errorResponse } from '../protocol/backend.ts';
import { ClientError } from '../protocol/errors.ts';
import { SqlState } from '../protocol/sql-state.ts';

export class Admission {
  /** Ends each login in progress: the client is told why. */
  readonly loginsInProgress = new Set<(error: ClientError) => void>();
  /** How many connections beyond max_client_conn there are descriptors for. */
  room: number;
  readonly #stats: PoolerStats;
  readonly #maxClients: () => number;
  #connections = 0;
  /** The connections that max_client_conn counts. */
  readonly #places = new Set<Connection>();
  #refusal: ClientError | undefined;

  /** `maxClients` is max_client_conn, asked each time. */
  constructor(stats: PoolerStats, room: number, maxClients: () => number) {
    this.#stats = stats;
    this.room = room;
    this.#maxClients = maxClients;
  }

  /** Sockets of clients, logged in or not. */
  get connections(): number {
    return this.#connections;
  }

  /** What new clients are told at the moment, instead of being let in. */
  get refusal(): ClientError | undefined {
    return this.#refusal;
  }

  /** A client has connected. False for one that there is no room to hear: it has been told so, and is being closed. */
  accept(connection: Connection): boolean {
    this.#stats.acceptedConnections++;
    this.#connections++;
    connection.onOver = () => {
      this.#connections--;
      this.#places.delete(connection);
    };
    const limit = this.#maxClients();
    if (this.#connections <= limit + this.room) return true;
    this.#stats.refusals.add('max_client_conn');
    connection.owner = deaf;
    connection.write(errorResponse(tooMany(limit)));
    // One that waits for it to read would take a descriptor meanwhile, and there are no more.
    connection.end(0);
    return false;
  }

  /**
   * Gives a connection its place among max_client_conn, unless it is `exempt`, as the console's are. Not before its startup packet: were
   * those counted that are yet to be refused, a burst a little above the limit would be refused as a whole.
   *
   * @throws {ClientError} why it gets none
   */
  admit(connection: Connection, exempt: boolean): void {
    if (exempt) return;
    if (this.#refusal !== undefined) {
      this.#stats.refusals.add('shutdown');
      throw this.#refusal;
    }
    const limit = this.#maxClients();
    if (this.#places.size >= limit) {
      this.#stats.refusals.add('max_client_conn');
      throw tooMany(limit);
    }
    this.#places.add(connection);
  }

  /** New clients, and those who are logging in, are told `error` from now on; undefined lets them in again. */
  refuseAll(error: ClientError | undefined): void {
    this.#refusal = error;
    if (error === undefined) return;
    for (const giveUp of this.loginsInProgress) giveUp(error);
  }
}

/** Owns a connection that is being closed. */
const deaf: ConnectionOwner = { received: () => true, drained: () => {}, closed: () => {} };

const tooMany = (limit: number): ClientError =>
  new ClientError('no more connections allowed (max_client_conn)', {
    sqlState: SqlState.tooManyConnections,
    detail: `max_client_conn is ${limit}.`,
  });
