/**
 * What a scrape asks the daemon for: plain rows, made when asked. The fields are the columns of the console's SHOW commands,
 * so that both can be fed from the same place.
 */
import type { DatabaseStats, PoolerStats } from './counters.ts';

/** SHOW POOLS. */
export interface PoolRow {
  readonly database: string;
  readonly user: string;
  readonly clActive: number;
  readonly clWaiting: number;
  readonly clActiveCancelReq: number;
  readonly clWaitingCancelReq: number;
  readonly svActive: number;
  readonly svActiveCancel: number;
  readonly svBeingCanceled: number;
  readonly svIdle: number;
  readonly svUsed: number;
  readonly svTested: number;
  readonly svLogin: number;
  /** How long the first in line has waited, in ms. */
  readonly maxwait: number;
}

/** SHOW DATABASES. */
export interface DatabaseRow {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** As the server calls it. */
  readonly database: string;
  readonly forceUser: string | undefined;
  /** Where it differs from the global one. */
  readonly poolMode: string | undefined;
  readonly poolSize: number;
  readonly reservePoolSize: number;
  /** 0 is no limit, here and below. */
  readonly maxConnections: number;
  readonly currentConnections: number;
  readonly paused: boolean;
  readonly disabled: boolean;
}

/** SHOW PINS, as far as it is counted. */
export interface PinnedRow {
  readonly database: string;
  readonly user: string;
  readonly reasons: readonly string[];
}

/** SHOW LISTS. */
export interface Lists {
  readonly databases: number;
  readonly users: number;
  readonly pools: number;
  readonly freeClients: number;
  readonly usedClients: number;
  readonly loginClients: number;
  readonly freeServers: number;
  readonly usedServers: number;
  readonly dnsNames: number;
  readonly dnsZones: number;
  readonly dnsQueries: number;
}

/** SHOW CLIENTS, as far as it is counted. */
export interface ClientRow {
  readonly database: string;
  readonly user: string;
  readonly applicationName: string;
  readonly state: string;
}

export interface MetricsSource {
  /** What SHOW VERSION says. */
  readonly version: string;
  readonly pooler: PoolerStats;
  pools(): Iterable<PoolRow>;
  databases(): Iterable<DatabaseRow>;
  /** By the name of the database entry, in an order that does not change. */
  stats(): Iterable<readonly [database: string, stats: DatabaseStats]>;
  lists(): Lists;
  clients(): Iterable<ClientRow>;
  pins(): Iterable<PinnedRow>;
  limits(): { readonly maxClientConn: number; readonly maxUserConnections: number };
  droppedLogLines(): number;
}
