import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  FakeClient,
  type FakePool,
  FakeProxy,
  type FakeServer,
  loginFailure,
  ordinarySettings,
} from './fake-proxy.ts';

const DATABASES = ['app', 'reports'];
const USERS = ['alice', 'bob'];
const refused = loginFailure('28P01', 'password authentication failed for user "alice"');
const starting = loginFailure('57P03', 'the database system is starting up');

/** Each step picks what it acts on by an index into what there is. */
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('arrive' as const), at: fc.nat(15) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('leave' as const), at: fc.nat(15) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('release' as const), at: fc.nat(15) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('hold' as const), at: fc.nat(15) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('connect' as const), at: fc.nat(15) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('finish' as const), at: fc.nat(15) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('finish closing' as const), at: fc.nat(15) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('die' as const), at: fc.nat(15) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), at: fc.nat(15) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail for now' as const), at: fc.nat(15) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      at: fc.constantFrom(1, 300, 4000, 16_000, 31_000, 700_000, 4e6),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('pause' as const, 'resume' as const), at: fc.nat(2) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('reconnect' as const, 'retire' as const), at: fc.nat(15) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('resize' as const, 'limit' as const), at: fc.nat(15) }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const traits = fc.record({
  closesAtOnce: fc.boolean(),
  releasesAtOnce: fc.boolean(),
  returnsAtOnce: fc.boolean(),
  settings: fc.record({
    poolSize: fc.integer({ min: 0, max: 3 }),
    minPoolSize: fc.integer({ min: 0, max: 2 }),
    reservePoolSize: fc.integer({ min: 0, max: 2 }),
    serverRoundRobin: fc.boolean(),
    serverLifetime: fc.constantFrom(0, 3_600_000),
    serverCheckDelay: fc.constantFrom(undefined, 0, 30_000),
    serverLoginConcurrency: fc.integer({ min: 1, max: 3 }),
  }),
  maxDbConnections: fc.integer({ min: 0, max: 4 }),
  maxUserConnections: fc.integer({ min: 0, max: 4 }),
});
type Traits = typeof traits extends fc.Arbitrary<infer T> ? T : never;

/** The pools under test, with what an outsider knows about them: who came when, and how many backends PostgreSQL sees. */
class World {
  readonly proxy = new FakeProxy();
  readonly pools: readonly FakePool[];
  /** Clients that wait, by pool, in the order in which they came. */
  readonly lines = new Map<FakePool, FakeClient[]>();
  readonly linked = new Set<FakeClient>();
  readonly answered = new Set<FakeClient>();
  /** How deep releases at once may nest. */
  #depth = 0;

  constructor({
    closesAtOnce,
    releasesAtOnce,
    returnsAtOnce,
    settings,
    maxDbConnections,
    maxUserConnections,
  }: Traits) {
    const { proxy } = this;
    proxy.closesAtOnce = closesAtOnce;
    proxy.settings = { ...ordinarySettings, ...settings };
    proxy.maxDbConnections = maxDbConnections;
    proxy.maxUserConnections = maxUserConnections;
    this.pools = DATABASES.flatMap((database) => USERS.map((user) => proxy.pools.open(database, user)));
    for (const pool of this.pools) {
      this.lines.set(pool, []);
      pool.join();
    }
    proxy.onConnect = (server) => this.#checkLimits(server);
    proxy.onGrant = (client, server) => {
      assert.equal(this.line(server.pool)[0], client, 'the first in line is served first');
      this.line(server.pool).shift();
      this.linked.add(client);
      if (releasesAtOnce && this.#depth < 3) {
        this.#depth += 1;
        this.release(client);
        this.#depth -= 1;
      }
    };
    proxy.onRefuse = (client) => {
      const pool = this.pools.find((each) => this.line(each).includes(client));
      assert.ok(pool !== undefined, 'only who waits is refused through the port');
      this.line(pool).splice(this.line(pool).indexOf(client), 1);
      if (returnsAtOnce) this.arrive(pool);
    };
  }

  line(pool: FakePool): FakeClient[] {
    const line = this.lines.get(pool);
    assert.ok(line !== undefined);
    return line;
  }

  arrive(pool: FakePool): void {
    const client = new FakeClient('model');
    const line = this.line(pool);
    const ahead = line.length;
    line.push(client);
    this.proxy.acquire(pool, client);
    if (client.waiting !== undefined) return;
    if (line.includes(client)) line.splice(line.indexOf(client), 1);
    if (client.server !== undefined) {
      assert.equal(ahead, 0, 'nobody jumps the line');
      this.linked.add(client);
    } else {
      assert.ok(client.error !== undefined, 'who neither waits nor has a server was told why');
    }
  }

  release(client: FakeClient): void {
    this.linked.delete(client);
    this.proxy.release(client);
  }

  #checkLimits({ pool }: FakeServer): void {
    const backends = [...this.proxy.backends];
    const { settings, maxDbConnections, maxUserConnections } = this.proxy;
    const { poolSize, reservePoolSize } = settings;
    if (poolSize > 0) {
      const mine = backends.filter((server) => server.pool === pool).length;
      assert.ok(mine <= poolSize + reservePoolSize, 'pool_size holds');
    }
    const inDatabase = backends.filter((server) => server.pool.database === pool.database).length;
    assert.ok(maxDbConnections === 0 || inDatabase <= maxDbConnections, 'max_db_connections holds');
    const ofUser = backends.filter((server) => server.pool.user === pool.user).length;
    assert.ok(maxUserConnections === 0 || ofUser <= maxUserConnections, 'max_user_connections holds');
  }

  check(): void {
    for (const pool of this.pools) this.#checkPool(pool);
    for (const client of this.linked) {
      const state = client.server?.state;
      if (state?.kind === 'active')
        assert.equal(state.client, client, 'a server is active for the client that has it');
      else assert.ok(state === undefined || state.kind === 'closing' || state.kind === 'closed');
    }
  }

  #checkPool(pool: FakePool): void {
    const now = this.proxy.clock.now();
    const servers = [...this.proxy.backends].filter((server) => server.pool === pool);
    assert.deepEqual(
      new Set(pool.servers()),
      new Set(servers),
      'the pool knows the servers that PostgreSQL sees, and no other',
    );
    const counts = pool.counts();
    for (const kind of ['connecting', 'idle', 'active', 'tested', 'being_canceled', 'closing'] as const) {
      assert.equal(
        counts[kind],
        servers.filter(({ state }) => state.kind === kind).length,
        `the count of ${kind} agrees`,
      );
    }
    assert.deepEqual(pool.waiters(), this.line(pool), 'exactly those wait who came and were not answered');
    assert.equal(counts.waiting, this.line(pool).length);

    if (pool.isPaused) {
      assert.equal(counts.idle + counts.connecting, 0, 'a paused pool keeps no server that nobody uses');
    } else if (counts.waiting > counts.connecting + counts.tested) {
      assert.equal(counts.idle, 0, 'nobody waits beside an idle server');
      assert.ok(
        pool.demand.wanted(now) <= 0 || pool.demand.limits.some((limit) => limit.isFull),
        'nobody waits while a server may be opened',
      );
    }
  }

  /** Everything goes well from now on: then nobody is left in line. */
  settle(): void {
    this.proxy.pools.resume();
    for (const database of DATABASES) this.proxy.pools.resume(database);
    for (let round = 0; round < 200 && this.pools.some((pool) => pool.waiting > 0); round += 1) {
      this.proxy.connectAll();
      for (const kind of ['tested', 'being_canceled'] as const) {
        for (const server of this.proxy.in(kind)) server.pool.release(server);
      }
      for (const client of Array.from(this.linked)) this.release(client);
      this.proxy.closeAll();
      this.proxy.pass(100);
      this.check();
    }
    for (const pool of this.pools) assert.equal(pool.waiting, 0, 'nobody waits for ever');
  }
}

function pick<T>(items: readonly T[], at: number): T | undefined {
  return items.length === 0 ? undefined : items[at % items.length];
}

function run(world: World, { do: action, at }: Step): void {
  const { proxy } = world;
  const pool = world.pools[at % world.pools.length];
  assert.ok(pool !== undefined);
  switch (action) {
    case 'arrive':
      world.arrive(pool);
      return;
    case 'leave': {
      const line = world.line(pool);
      const client = pick(line, at);
      if (client === undefined) return;
      line.splice(line.indexOf(client), 1);
      pool.abandon(client);
      return;
    }
    case 'release': {
      const client = pick([...world.linked], at);
      if (client !== undefined) world.release(client);
      return;
    }
    case 'hold': {
      const client = pick([...world.linked], at);
      if (client === undefined) return;
      world.linked.delete(client);
      const { server } = client;
      client.server = undefined;
      if (server?.state.kind === 'active')
        server.pool.hold(server, pick(['reset', 'clean', 'cancel'], at) ?? 'reset');
      return;
    }
    case 'connect': {
      const server = pick(proxy.in('connecting'), at);
      if (server !== undefined) proxy.connected(server);
      return;
    }
    case 'finish': {
      const server = pick([...proxy.in('tested'), ...proxy.in('being_canceled')], at);
      if (server !== undefined) server.pool.release(server);
      return;
    }
    case 'finish closing': {
      const server = pick(proxy.in('closing'), at);
      if (server !== undefined) proxy.closed(server);
      return;
    }
    case 'die': {
      const server = pick([...proxy.backends], at);
      if (server !== undefined) proxy.closed(server);
      return;
    }
    case 'fail':
    case 'fail for now': {
      const server = pick(proxy.in('connecting'), at);
      if (server !== undefined) proxy.failed(server, action === 'fail' ? refused : starting);
      return;
    }
    case 'pass':
      proxy.pass(at);
      return;
    case 'pause':
      proxy.pools.pause(pick([undefined, ...DATABASES], at));
      return;
    case 'resume':
      proxy.pools.resume(pick([undefined, ...DATABASES], at));
      return;
    case 'reconnect':
      proxy.pools.reconnect(pick(DATABASES, at));
      return;
    case 'retire': {
      const server = pick([...proxy.backends], at);
      server?.pool.retire(server);
      return;
    }
    case 'resize':
      proxy.settings = { ...proxy.settings, poolSize: at % 4 };
      proxy.pass(1);
      return;
    case 'limit':
      proxy.maxDbConnections = at % 5;
      proxy.pass(1);
      return;
  }
}

describe('Pools under any sequence of events', () => {
  test('keep every limit, every order and every client', () => {
    fc.assert(
      fc.property(traits, fc.array(step, { maxLength: 80, size: 'max' }), (given, steps) => {
        const world = new World(given);
        for (const each of steps) {
          run(world, each);
          world.check();
        }
        world.settle();
      }),
      { numRuns: 1500 },
    );
  });
});
