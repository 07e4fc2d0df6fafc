/** SHOW CLIENTS, SHOW SERVERS and SHOW SOCKETS: one row for each connection. */
import type { Connection } from '../../net/connection.ts';
import type { Pool } from '../../pool/pool.ts';
import type { ClientSession } from '../../proxy/client-session.ts';
import { poolSettings } from '../../proxy/pool-rules.ts';
import type { PoolUser } from '../../proxy/pool-user.ts';
import type { ServerSession } from '../../proxy/server-session.ts';
import { CONSOLE_NAME, type ConsoleClient, type RowSource } from './source.ts';

export interface SocketRow {
  /** Client or server. */
  readonly type: 'C' | 'S';
  readonly user: string;
  readonly database: string;
  readonly state: string;
  /** Undefined while a server is being connected to. */
  readonly connection: Connection | undefined;
  /** Wall clock, ms. */
  readonly connectedAt: number;
  readonly requestedAt: number;
  /** Age of what it runs or waits with, ms; 0 = nothing. */
  readonly wait: number;
  readonly closeNeeded: boolean;
  /** The id of the one it is linked to. */
  readonly linked: number | undefined;
  readonly remotePid: number;
  readonly applicationName: string;
  readonly preparedStatements: number;
  /** Never used again; clients and servers share one count. */
  readonly id: number;
}

export function* clientRows(source: RowSource): Generator<SocketRow, void, undefined> {
  for (const client of source.pooler.clients.all.values()) yield clientRow(client);
  for (const client of source.consoles()) yield consoleRow(client);
}

export function* serverRows({ pooler }: RowSource): Generator<SocketRow, void, undefined> {
  for (const pool of pooler.pools.pools()) {
    const { serverCheckDelay } = poolSettings(pooler.config, pool.database, pool.user);
    const staleSince = pooler.clock.now() - (serverCheckDelay ?? Infinity);
    for (const server of pool.servers()) yield serverRow(pool, server, staleSince);
  }
}

export function clientState(client: ClientSession): string {
  if (client.waiting !== undefined) return 'waiting';
  return client.server === undefined ? 'idle' : 'active';
}

function clientRow(client: ClientSession): SocketRow {
  return {
    type: 'C',
    user: client.user,
    database: client.pool.database,
    state: clientState(client),
    connection: client.connection,
    connectedAt: client.connectedAt,
    requestedAt: client.requestedAt,
    wait: ageOf(client.queryStartedAt),
    closeNeeded: client.leaving !== undefined,
    linked: client.server?.id,
    remotePid: 0,
    applicationName: client.applicationName,
    preparedStatements: client.statements.size,
    id: client.id,
  };
}

function consoleRow(client: ConsoleClient): SocketRow {
  return {
    type: 'C',
    user: client.user,
    database: CONSOLE_NAME,
    state: 'active',
    connection: client.connection,
    connectedAt: client.connectedAt,
    requestedAt: client.requestedAt,
    wait: ageOf(client.queryStartedAt),
    closeNeeded: false,
    linked: undefined,
    remotePid: 0,
    applicationName: client.applicationName,
    preparedStatements: 0,
    id: client.id,
  };
}

function serverRow(
  pool: Pool<PoolUser, ServerSession>,
  server: ServerSession,
  staleSince: number,
): SocketRow {
  const { client } = server;
  return {
    type: 'S',
    user: pool.user,
    database: pool.database,
    state: serverState(server, staleSince),
    connection: server.connection,
    connectedAt: server.connectedAt,
    requestedAt: server.requestedAt,
    wait: ageOf(client?.queryStartedAt ?? 0),
    closeNeeded: pool.closeNeeded(server),
    linked: client?.id,
    remotePid: server.processId,
    applicationName: client?.applicationName ?? server.reports.reported.get('application_name') ?? '',
    preparedStatements: server.statements.size,
    id: server.id,
  };
}

/** PgBouncer's names; `closing` is ours: PostgreSQL has not closed its side yet, so that the slot is still taken. */
function serverState(server: ServerSession, staleSince: number): string {
  const { state } = server;
  if (state.kind === 'connecting') return 'new';
  if (state.kind === 'idle' && state.since <= staleSince) return 'used';
  return state.kind;
}

const ageOf = (startedAt: number): number => (startedAt === 0 ? 0 : performance.now() - startedAt);
