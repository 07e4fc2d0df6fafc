import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createScrape } from '../../src/observability/metrics.ts';
import { appPool, fakeSource, type FakeSource } from './fake-source.ts';

/** What pgbouncer_exporter 0.12 exposes, and its label names. `stats_` are its names before 0.11. */
const EXPORTER: readonly (readonly [labels: string, names: readonly string[]])[] = [
  [
    '',
    [
      'up',
      'databases',
      'users',
      'pools',
      'free_clients',
      'used_clients',
      'login_clients',
      'free_servers',
      'used_servers',
      'cached_dns_names',
      'cached_dns_zones',
      'in_flight_dns_queries',
      'config_max_client_connections',
      'config_max_user_connections',
    ],
  ],
  ['version', ['version_info']],
  [
    'database,user',
    [
      'pools_client_active_connections',
      'pools_client_waiting_connections',
      'pools_client_active_cancel_connections',
      'pools_client_waiting_cancel_connections',
      'pools_client_maxwait_seconds',
      'pools_server_active_connections',
      'pools_server_idle_connections',
      'pools_server_used_connections',
      'pools_server_testing_connections',
      'pools_server_login_connections',
      'pools_server_active_cancel_connections',
      'pools_server_being_canceled_connections',
    ],
  ],
  [
    'database,force_user,host,name,pool_mode,port',
    [
      'databases_pool_size',
      'databases_reserve_pool',
      'databases_max_connections',
      'databases_current_connections',
      'databases_paused',
      'databases_disabled',
    ],
  ],
  [
    'database',
    ['stats_totals_', 'stats_'].flatMap((prefix) =>
      [
        'queries_pooled_total',
        'queries_duration_seconds_total',
        'received_bytes_total',
        'sent_bytes_total',
        'client_wait_seconds_total',
        'sql_transactions_pooled_total',
        'server_in_transaction_seconds_total',
        'client_parses_total',
        'server_parses_total',
        'binds_total',
        'server_assignments_total',
      ].map((name) => prefix + name),
    ),
  ],
  ['application_name,database,state,user', ['client_connections']],
];

interface Parsed {
  readonly types: ReadonlyMap<string, string>;
  /** By the whole left side of the line: name and labels. */
  readonly values: ReadonlyMap<string, number>;
}

const LINE = /^([a-zA-Z_][a-zA-Z0-9_]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)$/;

/** Reads the text format 0.0.4, strictly: every sample belongs to a declared family, none comes twice. */
function parse(body: string): Parsed {
  const types = new Map<string, string>();
  const values = new Map<string, number>();
  for (const line of body.split('\n')) {
    if (line === '' || line.startsWith('# HELP ')) continue;
    const type = /^# TYPE (\S+) (gauge|counter|histogram|summary)$/.exec(line);
    if (type !== null) {
      assert.ok(!types.has(type[1] ?? ''), `${line} comes twice`);
      types.set(type[1] ?? '', type[2] ?? '');
      continue;
    }
    const sample = LINE.exec(line);
    assert.ok(sample !== null, `not a sample: ${line}`);
    const [, name = '', labels = '', value] = sample;
    assert.ok(types.has(name) || types.get(name.replace(/_(bucket|sum|count)$/, '')) === 'histogram', line);
    assert.ok(!values.has(name + labels), `${line} comes twice`);
    values.set(name + labels, value === '+Inf' ? Infinity : Number(value));
  }
  return { types, values };
}

async function scrape(source: FakeSource): Promise<Parsed> {
  const answer = await (await createScrape(source))();
  assert.equal(answer.contentType, 'text/plain; version=0.0.4; charset=utf-8');
  return parse(answer.body);
}

function labelNames(key: string): string {
  return [...key.matchAll(/([a-z_]+)="/g)]
    .map(([, name]) => name)
    .toSorted((a = '', b = '') => (a < b ? -1 : 1))
    .join(',');
}

describe('createScrape', () => {
  test('has every metric of pgbouncer_exporter with its labels, and no other under its prefix', async () => {
    const source = fakeSource();
    source.clientRows = [{ database: 'app', user: 'web', applicationName: 'django', state: 'active' }];
    const { values, types } = await scrape(source);

    const expected = new Map<string, string>();
    for (const [labels, names] of EXPORTER) {
      for (const name of names) expected.set(`pgbouncer_${name}`, labels);
    }
    const found = new Map<string, string>();
    for (const key of values.keys()) {
      const name = key.replace(/\{.*/, '');
      if (name.startsWith('pgbouncer_')) found.set(name, labelNames(key));
    }
    assert.deepEqual(found, expected);
    for (const name of expected.keys()) {
      assert.equal(types.get(name), name.endsWith('_total') ? 'counter' : 'gauge', name);
    }
  });

  test('gives the values of the rows, times in seconds', async () => {
    const source = fakeSource();
    source.app.queryCount = 4;
    source.app.countQueryEnd(250);
    source.app.countAssignment(1500);
    const { values } = await scrape(source);
    const database =
      'name="app",host="db.internal",port="5432",database="app_production",force_user="",pool_mode="session"';
    const expected: readonly (readonly [string, number])[] = [
      ['pgbouncer_pools_client_waiting_connections{database="app",user="web"}', 3],
      ['pgbouncer_pools_client_maxwait_seconds{database="app",user="web"}', 1.5],
      [`pgbouncer_databases_pool_size{${database}}`, 20],
      [`pgbouncer_databases_disabled{${database}}`, 1],
      ['pgbouncer_stats_totals_queries_pooled_total{database="app"}', 4],
      ['pgbouncer_stats_queries_duration_seconds_total{database="app"}', 0.25],
      ['pgbouncer_stats_totals_client_wait_seconds_total{database="app"}', 1.5],
      ['pgbouncer_used_servers', 8],
      ['pgbouncer_config_max_client_connections', 2000],
      ['pgbouncer_version_info{version="ostler 0.1.0"}', 1],
      ['ostler_pinned_clients{database="app",user="web",reason="lock"}', 1],
    ];
    for (const [key, value] of expected) assert.equal(values.get(key), value, key);
  });

  test('reads values when asked, not before', async () => {
    const source = fakeSource();
    const ask = await createScrape(source);
    source.pooler.zeroByteConnections = 9;
    source.pooler.clientErrors.add('53300');
    source.pooler.cancels.add('unknown_key');
    source.pooler.pins.add('cursor');
    const { values } = parse((await ask()).body);
    assert.equal(values.get('ostler_zero_byte_connections_total'), 9);
    assert.equal(values.get('ostler_client_errors_total{sqlstate="53300"}'), 1);
    assert.equal(values.get('ostler_cancel_requests_total{outcome="unknown_key"}'), 1);
    assert.equal(values.get('ostler_cancel_requests_total{outcome="forwarded"}'), 0);
    assert.equal(values.get('ostler_pins_total{reason="cursor"}'), 1);
  });

  test('has cumulative histograms per database', async () => {
    const source = fakeSource();
    for (const taken of [0.05, 3, 3, 70_000]) source.app.countTransactionEnd(taken);
    source.pooler.login.observe(20);
    const { values } = await scrape(source);
    const bucket = (le: string): number | undefined =>
      values.get(`ostler_transaction_seconds_bucket{database="app",le="${le}"}`);
    assert.deepEqual(
      [bucket('0.0001'), bucket('0.0025'), bucket('0.005'), bucket('60'), bucket('+Inf')],
      [1, 1, 3, 3, 4],
    );
    assert.equal(values.get('ostler_transaction_seconds_count{database="app"}'), 4);
    assert.equal(values.get('ostler_client_login_seconds_count'), 1);
    for (const name of ['ostler_client_wait_seconds', 'ostler_query_seconds']) {
      assert.equal(values.get(`${name}_count{database="app"}`), 0, name);
    }
    assert.equal(values.get('ostler_server_connect_seconds_count'), 0);
  });

  test('tells about the process, event loop included', async () => {
    const { types } = await scrape(fakeSource());
    for (const name of [
      'process_cpu_seconds_total',
      'process_resident_memory_bytes',
      'nodejs_eventloop_lag_p99_seconds',
    ]) {
      assert.ok(types.has(name), name);
    }
  });

  test('survives labels made to break the format', async () => {
    const source = fakeSource();
    const name = 'a"} 1\n# TYPE evil counter\\';
    source.clientRows = [{ database: name, user: name, applicationName: name, state: 'idle' }];
    const { values } = await scrape(source);
    const key = [...values.keys()].find((line) => line.startsWith('pgbouncer_client_connections'));
    assert.equal(key === undefined ? '' : labelNames(key), 'application_name,database,state,user');
  });

  test('bounds its labels: application names fold into one, rows are cut and counted', async () => {
    const source = fakeSource();
    source.clientRows = Array.from({ length: 5000 }, (_, index) => ({
      database: 'app',
      user: 'web',
      applicationName: `worker-${index}`,
      state: 'idle',
    }));
    source.poolRows = Array.from({ length: 1500 }, (_, index) => ({ ...appPool, user: `user${index}` }));
    const { values } = await scrape(source);
    const rowsOf = (name: string): string[] => [...values.keys()].filter((key) => key.startsWith(`${name}{`));

    const clients = rowsOf('pgbouncer_client_connections');
    assert.equal(clients.length, 51);
    assert.equal(
      clients.reduce((sum, key) => sum + (values.get(key) ?? 0), 0),
      5000,
    );
    assert.equal(rowsOf('pgbouncer_pools_server_active_connections').length, 1000);
    assert.equal(values.get('ostler_metrics_omitted_rows{table="pools"}'), 500);
  });

  test('does the work once for all who ask at the same time', async () => {
    const source = fakeSource();
    let reads = 0;
    const lists = source.lists();
    const ask = await createScrape({ ...source, lists: () => ((reads += 1), lists) });
    await Promise.all([ask(), ask(), ask()]);
    assert.equal(reads, 1, 'though eleven metrics are made from it');
    await ask();
    assert.equal(reads, 2);
  });
});
