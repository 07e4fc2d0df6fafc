/** A proxy without bytes: clients and servers that do what the test says, and a record of everything the pool asked for. */
import { ManualClock } from '../../src/base/clock.ts';
import { ClientError } from '../../src/protocol/errors.ts';
import type { Pool } from '../../src/pool/pool.ts';
import { PoolSet, type PoolPlan } from '../../src/pool/pool-set.ts';
import type { PoolSettings } from '../../src/pool/pool-settings.ts';
import type { LoginFailure, PooledClient, PooledServer, Waiting } from '../../src/pool/port.ts';
import type { ServerState } from '../../src/pool/server-state.ts';

export class FakeClient implements PooledClient {
  waiting: Waiting | undefined;
  lastServerId = 0;
  readonly name: string;
  server: FakeServer | undefined;
  error: ClientError | undefined;
  notices = 0;

  constructor(name: string) {
    this.name = name;
  }
}

export class FakeServer implements PooledServer<FakeClient> {
  readonly id: number;
  readonly pool: FakePool;
  state: ServerState<FakeClient>;

  constructor(id: number, pool: FakePool, now: number) {
    this.id = id;
    this.pool = pool;
    this.state = { kind: 'connecting', since: now };
  }
}

export type FakePool = Pool<FakeClient, FakeServer>;

export const ordinarySettings: PoolSettings = {
  poolSize: 2,
  minPoolSize: 0,
  reservePoolSize: 0,
  reservePoolTimeout: 5000,
  forcedUser: false,
  serverRoundRobin: false,
  serverLifetime: 3_600_000,
  serverIdleTimeout: 600_000,
  serverCheckDelay: 30_000,
  serverLoginRetry: 15_000,
  serverLoginConcurrency: 4,
  serverCloseTimeout: 5000,
  queryWaitNotify: 5000,
};

export class FakeProxy {
  readonly clock = new ManualClock();
  readonly pools: PoolSet<FakeClient, FakeServer>;
  settings = ordinarySettings;
  maxDbConnections = 0;
  maxUserConnections = 0;
  waitTimeout = 120_000;
  dropAfter = 0;
  /** Backends as PostgreSQL counts them: from the start of a login until the socket has closed or is given up. */
  readonly backends = new Set<FakeServer>();
  readonly destroyed: FakeServer[] = [];
  /** Clients in the order in which they got a server. */
  readonly served: FakeClient[] = [];
  /** Servers that carry the state a client needs, by the client. */
  readonly preferred = new Map<FakeClient, FakeServer>();
  closesAtOnce = false;
  onConnect: (server: FakeServer) => void = () => {};
  onGrant: (client: FakeClient, server: FakeServer) => void = () => {};
  onRefuse: (client: FakeClient) => void = () => {};
  #lastId = 0;

  constructor(random: () => number = () => 0.5) {
    this.pools = new PoolSet({
      clock: this.clock,
      plan: () => this.#plan(),
      maxDbConnections: () => this.maxDbConnections,
      maxUserConnections: () => this.maxUserConnections,
      random,
    });
  }

  /** The client asks the pool; what came of it is in its fields. */
  acquire(pool: FakePool, client = new FakeClient('a client')): FakeClient {
    const answer = pool.acquire(client);
    if (answer instanceof ClientError) client.error = answer;
    else if (answer !== undefined) this.#serve(client, answer);
    return client;
  }

  release(client: FakeClient): void {
    const { server } = client;
    client.server = undefined;
    if (server !== undefined) server.pool.release(server);
  }

  connected(server: FakeServer): void {
    server.pool.connected(server);
  }

  failed(server: FakeServer, failure: LoginFailure): void {
    this.backends.delete(server);
    server.pool.failed(server, failure);
  }

  closed(server: FakeServer): void {
    this.backends.delete(server);
    if (server.state.kind === 'active') server.state.client.server = undefined;
    server.pool.closed(server);
  }

  /** All servers in a state, oldest first. */
  in(kind: ServerState<FakeClient>['kind']): FakeServer[] {
    return [...this.backends].filter(({ state }) => state.kind === kind);
  }

  connectAll(): void {
    for (const server of this.in('connecting')) this.connected(server);
  }

  closeAll(): void {
    for (const server of this.in('closing')) this.closed(server);
  }

  /** Lets time pass, and the sweep run at its end. */
  pass(milliseconds: number): void {
    this.clock.advance(milliseconds);
    this.pools.tick(this.clock.now());
  }

  #serve(client: FakeClient, server: FakeServer): void {
    client.server = server;
    this.served.push(client);
  }

  #plan(): PoolPlan<FakeClient, FakeServer> {
    return {
      settings: () => this.settings,
      dropAfter: () => this.dropAfter,
      port: {
        connect: (pool) => {
          this.#lastId += 1;
          const server = new FakeServer(this.#lastId, pool, this.clock.now());
          this.backends.add(server);
          this.onConnect(server);
          return server;
        },
        grant: (client, server) => {
          this.#serve(client, server);
          this.onGrant(client, server);
        },
        refuse: (client, error) => {
          client.error = error;
          this.onRefuse(client);
        },
        test: () => {},
        close: (server) => {
          if (this.closesAtOnce) this.closed(server);
        },
        destroy: (server) => {
          this.backends.delete(server);
          this.destroyed.push(server);
        },
        notify: (client) => {
          client.notices += 1;
        },
        prefers: (client, server) => this.preferred.get(client) === server,
        waitTimeout: () => this.waitTimeout,
        describe: (client) => ({
          since: client.server?.state.kind === 'active' ? client.server.state.since : this.clock.now(),
          applicationName: client.name,
        }),
      },
    };
  }
}

export function loginFailure(sqlState: string, message: string): LoginFailure {
  return {
    error: new ClientError(message, { sqlState }),
    transient: sqlState === '57P03' || sqlState === '53300',
  };
}

/** Why a server is being closed; undefined if it is not. */
export function closeReason(server: FakeServer | undefined): string | undefined {
  return server?.state.kind === 'closing' ? server.state.reason : undefined;
}

/** What a client was told. A function, because the compiler would believe that an earlier look still holds. */
export function told(client: FakeClient): ClientError | undefined {
  return client.error;
}
