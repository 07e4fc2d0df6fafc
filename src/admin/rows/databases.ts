/** SHOW DATABASES: one row for each database that clients may ask for, or have asked for through the "*" entry. */
import type { DatabaseEntry } from '../../config/config.ts';
import type { DatabaseRow } from '../../observability/metrics-source.ts';
import { byName, CONSOLE_NAME, type RowSource } from './source.ts';

export interface DatabaseStatus extends DatabaseRow {
  readonly minPoolSize: number;
  /** ms. */
  readonly serverLifetime: number;
  readonly maxClientConnections: number;
  readonly currentClientConnections: number;
}

/** Ordered by name, the console's own among them. */
export function databaseRows(source: RowSource): DatabaseStatus[] {
  const rows = databaseNames(source).flatMap((name) => databaseStatus(source, name) ?? []);
  rows.push(consoleDatabase(source));
  return rows.toSorted((a, b) => byName(a.name, b.name));
}

/** Of the configuration, and those that the "*" entry stands in for at present. */
export function databaseNames({ pooler }: RowSource): string[] {
  const names = new Set(pooler.config.databases.keys());
  for (const { database } of pooler.proxyPools()) names.add(database);
  return [...names];
}

function databaseStatus({ pooler }: RowSource, name: string): DatabaseStatus | undefined {
  const entry: DatabaseEntry | undefined = pooler.entry(name);
  if (entry === undefined) return undefined;
  const settings = pooler.settings();
  return {
    name,
    host: entry.host,
    port: entry.port,
    database: entry.dbname ?? name,
    forceUser: entry.user,
    poolMode: entry.pool_mode,
    poolSize: entry.pool_size ?? settings.default_pool_size,
    minPoolSize: entry.min_pool_size ?? settings.min_pool_size,
    reservePoolSize: entry.reserve_pool_size ?? settings.reserve_pool_size,
    serverLifetime: entry.server_lifetime ?? settings.server_lifetime,
    maxConnections: entry.max_db_connections ?? settings.max_db_connections,
    currentConnections: pooler.pools.databaseServers(name),
    maxClientConnections: entry.max_db_client_connections ?? settings.max_db_client_connections,
    currentClientConnections: pooler.clients.count('database', name),
    paused: pooler.pools.pauses.isDatabasePaused(name),
    disabled: pooler.pools.pauses.isDisabled(name),
  };
}

function consoleDatabase(source: RowSource): DatabaseStatus {
  return {
    name: CONSOLE_NAME,
    host: '',
    port: source.pooler.settings().listen_port,
    database: CONSOLE_NAME,
    forceUser: CONSOLE_NAME,
    poolMode: 'statement',
    poolSize: 0,
    minPoolSize: 0,
    reservePoolSize: 0,
    serverLifetime: 0,
    maxConnections: 0,
    currentConnections: 0,
    maxClientConnections: 0,
    currentClientConnections: [...source.consoles()].length,
    paused: false,
    disabled: false,
  };
}
