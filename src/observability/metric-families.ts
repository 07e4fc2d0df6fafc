/**
 * Which metrics there are, by name. Those of prometheus-community's pgbouncer_exporter keep its names, labels and units, so
 * that dashboards and alarms go on working; what it has no name for is ostler_.
 */
import { clientConnections } from './client-connections.ts';
import type { StatsTotals } from './counters.ts';
import type { Histogram } from './histogram.ts';
import {
  counter,
  gauge,
  histogramSamples,
  single,
  type Labels,
  type MetricFamily,
  type Sample,
} from './metric-family.ts';
import type { DatabaseRow, Lists, MetricsSource, PoolRow } from './metrics-source.ts';

const US_TO_SECONDS = 1e-6;

/** A scrape is made on the event loop: so many rows a metric and no more. What is left out is in ostler_metrics_omitted_rows. */
const MAX_ROWS = 1000;
/** A histogram is some twenty lines a row. */
const MAX_HISTOGRAM_ROWS = 200;

const POOL_GAUGES: readonly (readonly [name: string, help: string, value: (row: PoolRow) => number])[] = [
  ['client_active_connections', 'Clients linked to a server, or idle', (row) => row.clActive],
  ['client_waiting_connections', 'Clients waiting for a server', (row) => row.clWaiting],
  ['client_active_cancel_connections', 'Cancel requests sent on to a server', (row) => row.clActiveCancelReq],
  ['client_waiting_cancel_connections', 'Cancel requests not sent on yet', (row) => row.clWaitingCancelReq],
  [
    'client_maxwait_seconds',
    'Age of the oldest client still waiting for a server',
    (row) => row.maxwait / 1000,
  ],
  ['server_active_connections', 'Servers linked to a client', (row) => row.svActive],
  ['server_idle_connections', 'Servers ready for a client', (row) => row.svIdle],
  ['server_used_connections', 'Servers idle for longer than server_check_delay', (row) => row.svUsed],
  ['server_testing_connections', 'Servers being reset or checked', (row) => row.svTested],
  ['server_login_connections', 'Servers logging in', (row) => row.svLogin],
  ['server_active_cancel_connections', 'Servers forwarding a cancel request', (row) => row.svActiveCancel],
  [
    'server_being_canceled_connections',
    'Servers waiting for their cancel requests',
    (row) => row.svBeingCanceled,
  ],
];

const DATABASE_GAUGES: readonly (readonly [
  name: string,
  help: string,
  value: (row: DatabaseRow) => number,
])[] = [
  ['pool_size', 'Servers a pool may have', (row) => row.poolSize],
  ['reserve_pool', 'Servers a pool may have on top when clients wait', (row) => row.reservePoolSize],
  ['max_connections', 'Servers this database may have, 0 for no limit', (row) => row.maxConnections],
  ['current_connections', 'Servers this database has', (row) => row.currentConnections],
  ['paused', '1 while paused', (row) => Number(row.paused)],
  ['disabled', '1 while disabled', (row) => Number(row.disabled)],
];

const STATS_COUNTERS: readonly (readonly [
  name: string,
  help: string,
  value: (totals: StatsTotals) => number,
])[] = [
  ['queries_pooled_total', 'Queries', (totals) => totals.queryCount],
  ['queries_duration_seconds_total', 'Time in queries', (totals) => totals.queryTime * US_TO_SECONDS],
  ['received_bytes_total', 'Bytes from clients that were forwarded', (totals) => totals.bytesReceived],
  ['sent_bytes_total', 'Bytes from servers', (totals) => totals.bytesSent],
  [
    'client_wait_seconds_total',
    'Time clients waited for servers',
    (totals) => totals.waitTime * US_TO_SECONDS,
  ],
  ['sql_transactions_pooled_total', 'Transactions', (totals) => totals.xactCount],
  [
    'server_in_transaction_seconds_total',
    'Time in transactions',
    (totals) => totals.xactTime * US_TO_SECONDS,
  ],
  ['client_parses_total', 'Prepared statements parsed by clients', (totals) => totals.clientParseCount],
  ['server_parses_total', 'Prepared statements parsed on servers', (totals) => totals.serverParseCount],
  ['binds_total', 'Prepared statements bound', (totals) => totals.bindCount],
  ['server_assignments_total', 'Servers handed to clients', (totals) => totals.serverAssignmentCount],
];

const LISTS: readonly (readonly [name: string, help: string, value: (lists: Lists) => number])[] = [
  ['databases', 'Databases', (lists) => lists.databases],
  ['users', 'Users', (lists) => lists.users],
  ['pools', 'Pools', (lists) => lists.pools],
  ['free_clients', 'Free client slots', (lists) => lists.freeClients],
  ['used_clients', 'Clients', (lists) => lists.usedClients],
  ['login_clients', 'Clients logging in', (lists) => lists.loginClients],
  ['free_servers', 'Servers without a client', (lists) => lists.freeServers],
  ['used_servers', 'Servers with a client', (lists) => lists.usedServers],
  ['cached_dns_names', 'Host names in the cache', (lists) => lists.dnsNames],
  ['cached_dns_zones', 'DNS zones in the cache', (lists) => lists.dnsZones],
  ['in_flight_dns_queries', 'DNS queries under way', (lists) => lists.dnsQueries],
];

/** Every metric but those of the process itself. */
export function metricFamilies(source: MetricsSource): MetricFamily[] {
  const omitted = new Map<string, number>();
  const rows = new RowLimit(omitted);
  return [
    gauge('pgbouncer_up', '1, for this answered', () => single(1)),
    gauge('pgbouncer_version_info', 'The version, as a label', () => [
      { labels: { version: source.version }, value: 1 },
    ]),
    ...LISTS.map(([name, help, value]) =>
      gauge(`pgbouncer_${name}`, help, () => single(value(source.lists()))),
    ),
    gauge('pgbouncer_config_max_client_connections', 'max_client_conn', () =>
      single(source.limits().maxClientConn),
    ),
    gauge('pgbouncer_config_max_user_connections', 'max_user_connections', () =>
      single(source.limits().maxUserConnections),
    ),
    ...POOL_GAUGES.map(([name, help, value]) =>
      gauge(`pgbouncer_pools_${name}`, help, () =>
        rows.take('pools', source.pools(), MAX_ROWS).map((row) => ({
          labels: { database: row.database, user: row.user },
          value: value(row),
        })),
      ),
    ),
    ...DATABASE_GAUGES.map(([name, help, value]) =>
      gauge(`pgbouncer_databases_${name}`, help, () =>
        rows.take('databases', source.databases(), MAX_ROWS).map((row) => ({
          labels: databaseLabels(row),
          value: value(row),
        })),
      ),
    ),
    ...statsFamilies(source, rows),
    clientConnections(source),
    gauge('ostler_pinned_clients', 'Clients that keep their server, once for each reason', () =>
      rows.take('pins', pinnedClients(source), MAX_ROWS),
    ),
    ...processWide(source),
    gauge('ostler_metrics_omitted_rows', 'Rows left out of this scrape because there were too many', () =>
      [...omitted].map(([table, value]) => ({ labels: { table }, value })),
    ),
  ];
}

/** By database, user and reason. */
function pinnedClients(source: MetricsSource): Iterable<Sample> {
  const samples = new Map<string, { readonly labels: Labels; value: number }>();
  for (const { database, user, reasons } of source.pins()) {
    for (const reason of reasons) {
      const key = JSON.stringify([database, user, reason]);
      const sample = samples.get(key) ?? { labels: { database, user, reason }, value: 0 };
      sample.value++;
      samples.set(key, sample);
    }
  }
  return samples.values();
}

/** Cuts a table to its bound and remembers by how much. */
class RowLimit {
  readonly #omitted: Map<string, number>;

  constructor(omitted: Map<string, number>) {
    this.#omitted = omitted;
  }

  take<Row>(table: string, rows: Iterable<Row>, limit: number): Row[] {
    const all = [...rows];
    this.#omitted.set(table, Math.max(0, all.length - limit));
    return all.slice(0, limit);
  }
}

function statsFamilies(source: MetricsSource, rows: RowLimit): MetricFamily[] {
  const perDatabase = (value: (totals: StatsTotals) => number) => (): Sample[] =>
    rows.take('stats', source.stats(), MAX_ROWS).map(([database, stats]) => ({
      labels: { database },
      value: value(stats),
    }));
  const histogram = (name: string, help: string, pick: 'wait' | 'query' | 'transaction'): MetricFamily => ({
    name,
    help,
    type: 'histogram',
    samples: () =>
      rows
        .take('histograms', source.stats(), MAX_HISTOGRAM_ROWS)
        .flatMap(([database, stats]) => histogramSamples(name, { database }, stats[pick])),
  });
  return [
    // The exporter reads SHOW STATS_TOTALS since 0.11 and so says stats_totals; before, and still in its README and in many a
    // dashboard, it is stats.
    ...STATS_COUNTERS.flatMap(([name, help, value]) => [
      counter(`pgbouncer_stats_totals_${name}`, help, perDatabase(value)),
      counter(`pgbouncer_stats_${name}`, help, perDatabase(value)),
    ]),
    counter(
      'ostler_client_logins_total',
      'Successful logins of clients',
      perDatabase((totals) => totals.clientLoginCount),
    ),
    histogram('ostler_client_wait_seconds', 'How long clients waited for a server, in vain too', 'wait'),
    histogram('ostler_query_seconds', 'How long queries took', 'query'),
    histogram('ostler_transaction_seconds', 'How long transactions held a server', 'transaction'),
  ];
}

function processWide(source: MetricsSource): MetricFamily[] {
  const { pooler } = source;
  const by = (label: string, read: { entries(): readonly (readonly [string, number])[] }) => (): Sample[] =>
    read.entries().map(([value, count]) => ({ labels: { [label]: value }, value: count }));
  const histogram = (name: string, help: string, of: Histogram): MetricFamily => ({
    name,
    help,
    type: 'histogram',
    samples: () => histogramSamples(name, {}, of),
  });
  return [
    histogram('ostler_client_login_seconds', 'How long clients took to log in', pooler.login),
    histogram(
      'ostler_server_connect_seconds',
      'How long connecting and logging in to a server took',
      pooler.serverConnect,
    ),
    counter(
      'ostler_client_errors_total',
      'Errors of our own sent to clients',
      by('sqlstate', pooler.clientErrors),
    ),
    counter('ostler_client_disconnects_total', 'Why clients left', by('reason', pooler.clientDisconnects)),
    counter('ostler_server_closes_total', 'Why servers were closed', by('reason', pooler.serverCloses)),
    counter('ostler_cancel_requests_total', 'What became of cancel requests', by('outcome', pooler.cancels)),
    counter('ostler_pins_total', 'Clients that began to keep their server', by('reason', pooler.pins)),
    counter('ostler_session_probes_total', 'Questions to servers about what a session has set', () =>
      single(pooler.sessionProbes),
    ),
    counter(
      'ostler_session_probes_needless_total',
      'Such questions after which nothing was known to have changed',
      () => single(pooler.needlessProbes),
    ),
    counter('ostler_refused_connections_total', 'Connections turned away', by('reason', pooler.refusals)),
    counter('ostler_accepted_connections_total', 'Connections accepted', () =>
      single(pooler.acceptedConnections),
    ),
    counter(
      'ostler_zero_byte_connections_total',
      'Connections that ended without a byte, as TCP health checks do',
      () => single(pooler.zeroByteConnections),
    ),
    counter('ostler_client_login_failures_total', 'Failed logins of clients', () =>
      single(pooler.loginFailures),
    ),
    counter('ostler_server_connect_attempts_total', 'Attempts to connect to a server', () =>
      single(pooler.serverConnectAttempts),
    ),
    counter('ostler_server_connect_failures_total', 'Attempts to connect to a server that failed', () =>
      single(pooler.serverConnectFailures),
    ),
    counter('ostler_log_dropped_lines_total', 'Log lines dropped because their reader was slow or gone', () =>
      single(source.droppedLogLines()),
    ),
  ];
}

function databaseLabels(row: DatabaseRow): Labels {
  return {
    name: row.name,
    host: row.host,
    port: String(row.port),
    database: row.database,
    force_user: row.forceUser ?? '',
    pool_mode: row.poolMode ?? '',
  };
}
