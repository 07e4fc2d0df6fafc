/** What metrics and health are told is what the console shows, seen at their own port. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import type pg from 'pg';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { freePort } from '../support/ports.ts';
import { connect, type EmbeddedPostgres, query, startPostgres, type Target } from '../support/postgres.ts';
import { until } from '../support/wait.ts';

let postgres: EmbeddedPostgres;
let daemon: Daemon;
let httpPort = 0;
const clients: pg.Client[] = [];

before(async () => {
  postgres = await startPostgres();
  const { host, port, user, password } = postgres;
  httpPort = await freePort();
  daemon = await startDaemon({
    config: `[ostler]
listen_addr = "127.0.0.1"
listen_port = 0
http_port = ${httpPort}
auth_type = "trust"
admin_users = ["${user}"]
server_connect_timeout = "2s"
[databases.app]
host = "${host}"
port = ${port}
dbname = "postgres"
pool_size = 1
[databases.down]
host = "127.0.0.1"
port = ${await freePort()}
[users.${user}]
password = ${JSON.stringify(password)}
`,
  });
  await until(() =>
    get('/live').then(
      () => true,
      () => false,
    ),
  );
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((each) => each.end().catch(() => undefined)));
});

after(async () => {
  assert.equal(await daemon.stop(), 0);
  await postgres.stop();
});

const through = (database: string): Target => ({
  ...postgres,
  host: '127.0.0.1',
  port: daemon.port,
  database,
});

const client = async (applicationName: string): Promise<pg.Client> => {
  const made = await connect(through('app'), { application_name: applicationName });
  clients.push(made);
  return made;
};

const get = async (path: string): Promise<string> =>
  (await fetch(`http://127.0.0.1:${httpPort}${path}`)).text();

async function metric(name: string): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const line of (await get('/metrics')).split('\n')) {
    const [, series = '', labels = '', value = ''] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (series === name) found[labels] = Number(value);
  }
  return found;
}

interface Health {
  readonly status: string;
  readonly databases: readonly {
    readonly name: string;
    readonly status: string;
    readonly servers: Readonly<Record<string, number>>;
    readonly clients: Readonly<Record<string, number>>;
    readonly last_connect_seconds_ago: number | null;
    readonly last_error: { readonly message: string; readonly sqlstate: string } | null;
  }[];
}

const isHealth = (value: unknown): value is Health =>
  typeof value === 'object' && value !== null && 'databases' in value;

async function health(database: string): Promise<Health['databases'][number]> {
  const report: unknown = JSON.parse(await get('/health'));
  assert.ok(isHealth(report));
  const found = report.databases.find(({ name }) => name === database);
  assert.ok(found !== undefined);
  return found;
}

describe('a scrape', () => {
  test('tells of pools, databases, clients and lists under the names of the exporter', async () => {
    const { user } = postgres;
    const busy = await client('busy');
    const waiter = await client('waiter');
    await busy.query('BEGIN');
    const answer = waiter.query('SELECT 1');
    const pool = `database="app",user="${user}"`;
    await until(async () => (await metric('pgbouncer_pools_client_waiting_connections'))[pool] === 1);
    const expected = {
      pgbouncer_pools_client_active_connections: [pool, 1],
      pgbouncer_pools_server_active_connections: [pool, 1],
      pgbouncer_pools_server_idle_connections: [pool, 0],
      pgbouncer_used_clients: ['', 2],
      pgbouncer_databases: ['', 3],
      pgbouncer_config_max_client_connections: ['', 2000],
    } as const;
    for (const [name, [labels, value]] of Object.entries(expected)) {
      assert.equal((await metric(name))[labels], value, name);
    }
    assert.ok(((await metric('pgbouncer_pools_client_maxwait_seconds'))[pool] ?? 0) > 0);
    const sizes = Object.entries(await metric('pgbouncer_databases_pool_size'));
    assert.equal(sizes.find(([labels]) => labels.includes('name="app"'))?.[1], 1);
    const states = Object.keys(await metric('pgbouncer_client_connections')).join('\n');
    assert.match(states, /application_name="waiter",state="waiting"/);
    const [labels] = Object.keys(await metric('pgbouncer_version_info'));
    assert.match(labels ?? '', /^version="PgBouncer /);
    await busy.query('COMMIT');
    await answer;
  });

  test('counts what SHOW STATS_TOTALS counts', async () => {
    const one = await client('counter');
    const earlier = (await metric('pgbouncer_stats_queries_pooled_total'))['database="app"'] ?? NaN;
    for (let count = 0; count < 5; count++) await one.query('SELECT 1');
    const rows = await query(through('pgbouncer'), 'SHOW STATS_TOTALS');
    const shown = Number(rows.find(({ database }) => database === 'app')?.['query_count']);
    assert.equal((await metric('pgbouncer_stats_queries_pooled_total'))['database="app"'], shown);
    assert.equal(shown, earlier + 5);
  });
});

describe('the health of a database', () => {
  test('is ok when its last connect succeeded', async () => {
    const one = await client('healthy');
    await one.query('BEGIN');
    const app = await health('app');
    assert.deepEqual([app.status, app.last_error], ['ok', null]);
    assert.equal(app.servers['active'], 1);
    assert.ok((app.clients['active'] ?? 0) >= 1);
    assert.ok((app.last_connect_seconds_ago ?? NaN) >= 0);
    await one.query('COMMIT');
  });

  test('is failing, with the reason, when its server cannot be reached', async () => {
    assert.equal((await health('down')).status, 'unknown');
    await assert.rejects(connect(through('down')));
    const down = await health('down');
    assert.equal(down.status, 'failing');
    assert.equal(down.last_connect_seconds_ago, null);
    assert.ok(down.last_error !== null && down.last_error.message.length > 0);
  });

  test('says who is paused and disabled', async () => {
    const console = through('pgbouncer');
    await query(console, 'PAUSE app');
    assert.equal((await health('app')).status, 'paused');
    await query(console, 'RESUME app');
    await query(console, 'DISABLE app');
    assert.equal((await health('app')).status, 'disabled');
    await query(console, 'ENABLE app');
    assert.equal((await health('app')).status, 'ok');
  });
});
