/** Where the pool ends and the proxy begins: what each asks of the other's objects. */
import type { ClientError } from '../protocol/errors.ts';
import type { Pool } from './pool.ts';
import type { ServerState } from './server-state.ts';

/** A server connection. */
export interface PooledServer<Client> {
  /** Never reused: it outlives the server in `PooledClient.lastServerId`. */
  readonly id: number;
  /** Made as `{ kind: 'connecting', since: now }`; from then on written by `ServerRoster.move` only. */
  state: ServerState<Client>;
}

/** A client's place in line; exists exactly while it waits. */
export interface Waiting {
  /** When it came. */
  readonly since: number;
  /** The same on the pool's running clock, which stands still while the pool is paused. */
  readonly runningSince: number;
  /** query_wait_notify has been sent. */
  notified: boolean;
}

/** A client. Both fields are the pool's: it is the only one to write them. */
export interface PooledClient {
  /** Starts as undefined. */
  waiting: Waiting | undefined;
  /** Starts as 0. A number, because a reference would keep a closed server and its buffers alive. */
  lastServerId: number;
}

export interface LoginFailure {
  /** What a client is told: the server's own message and SQLSTATE where it gave one. */
  readonly error: ClientError;
  /** It will pass by itself (57P03 starting up, 53300 too many connections): clients wait on. */
  readonly transient: boolean;
}

/** Who holds a server, for the one who could not get it. */
export interface ClientDescription {
  /** When its transaction (session mode: its session) took the server. */
  readonly since: number;
  readonly applicationName: string | undefined;
  /** What makes it keep the server over its transactions, if it does. */
  readonly pinnedBy?: string | undefined;
}

/**
 * What a pool asks of the proxy. `connect` and `test` answer later, never from inside the call; the others may call the pool back at once.
 */
export interface PoolPort<Client extends PooledClient, Server extends PooledServer<Client>> {
  /** Starts a login. Later `pool.connected(server)` or `pool.failed(server, failure)`. */
  connect(pool: Pool<Client, Server>): Server;
  /** A waiter gets a server; it is active for that client already. */
  grant(client: Client, server: Server): void;
  /** A waiter is told why it gets none. It is out of the line already. */
  refuse(client: Client, error: ClientError): void;
  /** Runs server_check_query. Later `pool.release(server)` or `pool.closed(server)`. */
  test(server: Server): void;
  /** Sends Terminate (or gives up a login) and waits for the server's close. Later `pool.closed(server)`. */
  close(server: Server, reason: string): void;
  /** server_close_timeout has passed: nothing more is expected of this server, its slot is given away. */
  destroy(server: Server): void;
  /** query_wait_notify has passed for a waiter. */
  notify(client: Client): void;
  /** The server carries the very session state that the client needs, so that nothing has to be replayed. */
  prefers(client: Client, server: Server): boolean;
  /** query_wait_timeout of this client (it may be its login user's); 0 = for ever. */
  waitTimeout(client: Client): number;
  describe(client: Client): ClientDescription;
}
