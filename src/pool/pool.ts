/** One pool: hands the servers of one (database entry, pool user) to its clients, and decides which are opened and closed. */
import type { Clock } from '../base/clock.ts';
import type { ClientError } from '../protocol/errors.ts';
import type { LoginFailure, PooledClient, PooledServer, PoolPort } from './port.ts';
import type { PoolSettings } from './pool-settings.ts';
import type { ServerState, TestPurpose } from './server-state.ts';

export interface PoolCounts {
  readonly connecting: number;
  readonly idle: number;
  /** Of the idle ones, those idle for so long that they are tested before they are handed out (sv_used). */
  readonly used: number;
  readonly active: number;
  readonly tested: number;
  readonly being_canceled: number;
  readonly closing: number;
  /** Clients in line. */
  readonly waiting: number;
  /** How long the oldest one has waited, ms. */
  readonly maxWait: number;
}

export interface PoolOptions<Client, Server> {
  readonly database: string;
  readonly user: string;
  readonly port: PoolPort<Client, Server>;
  readonly settings: () => PoolSettings;
  readonly clock: Clock;
}

export declare class Pool<Client extends PooledClient, Server extends PooledServer<Client>> {
  constructor(options: PoolOptions<Client, Server>);
  readonly database: string;
  readonly user: string;
  /** Servers that take a slot: all but closed ones. */
  get size(): number;
  /** Clients that are logged in and belong here (`join`, `leave`), linked or not. */
  get clients(): number;
  join(): void;
  leave(): void;
  /** A server, active for the client; or the error it is to be told; or undefined: it waits for `grant` or `refuse`. */
  acquire(client: Client): Server | ClientError | undefined;
  /** A waiter left; harmless for one that does not wait. */
  abandon(client: Client): void;
  /** Active, tested or being cancelled no more: to the oldest waiter, else idle, or closed if its time has come. */
  release(server: Server): void;
  /** Takes a server out of its client's hands for statements of our own; `release` when they are done. */
  hold(server: Server, purpose: TestPurpose | 'cancel'): void;
  connected(server: Server): void;
  failed(server: Server, failure: LoginFailure): void;
  /** The server's socket has closed, whoever wished it. */
  closed(server: Server, reason?: string): void;
  /** Closes a server now, whatever it does. */
  close(server: Server, reason: string): void;
  /** Marks a server close_needed: closed now if idle, else at its release. */
  retire(server: Server): void;
  closeNeeded(server: Server): boolean;
  move(server: Server, next: ServerState<Client>): void;
  tick(now: number): void;
  pause(): void;
  resume(): void;
  /** Marks all servers close_needed. */
  reconnect(): void;
  /** Refuses every waiter and closes every server. */
  kill(error: ClientError, reason: string): void;
  /** From now on refuses everybody who would wait; undefined ends it. */
  refuseAll(error: ClientError | undefined): void;
  counts(): PoolCounts;
  servers(): Iterable<Server>;
  waiters(): Iterable<Client>;
}
