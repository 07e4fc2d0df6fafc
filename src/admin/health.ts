/** How the databases are, for the health endpoint: all pools of a database entry together. */
import { databaseNames } from './rows/databases.ts';
import { poolStatus } from './rows/pools.ts';
import type { RowSource } from './rows/source.ts';

/** What the health endpoint asks for. */
export interface DatabaseCondition {
  /** What clients call it. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly paused: boolean;
  readonly disabled: boolean;
  readonly servers: Readonly<Record<'active' | 'idle' | 'used' | 'tested' | 'login', number>>;
  readonly clients: { readonly active: number; readonly waiting: number };
  /** ms since a connection to the server last succeeded; undefined if none ever did. */
  readonly lastConnectAge: number | undefined;
  /** The last failure to connect or log in since then. */
  readonly lastError:
    { readonly message: string; readonly sqlState: string; readonly age: number } | undefined;
}

export function databaseConditions(source: RowSource): DatabaseCondition[] {
  return databaseNames(source).flatMap((name) => conditionOf(source, name) ?? []);
}

function conditionOf({ pooler }: RowSource, name: string): DatabaseCondition | undefined {
  const entry = pooler.entry(name);
  if (entry === undefined) return undefined;
  const now = Date.now();
  const servers = { active: 0, idle: 0, used: 0, tested: 0, login: 0 };
  const clients = { active: 0, waiting: 0 };
  let lastConnect: Date | undefined;
  let lastError: DatabaseCondition['lastError'];
  for (const pool of pooler.proxyPools()) {
    if (pool.database !== name) continue;
    const status = poolStatus(pool);
    servers.active += status.svActive;
    servers.idle += status.svIdle;
    servers.used += status.svUsed;
    servers.tested += status.svTested;
    servers.login += status.svLogin;
    clients.active += status.clActive;
    clients.waiting += status.clWaiting;
    if (lastConnect === undefined || (pool.logins.lastConnect ?? 0) > lastConnect) {
      lastConnect = pool.logins.lastConnect ?? lastConnect;
    }
    if (pool.logins.lastError === undefined || pool.logins.lastErrorAt === undefined) continue;
    const age = now - pool.logins.lastErrorAt.getTime();
    if (lastError !== undefined && lastError.age <= age) continue;
    lastError = { message: pool.logins.lastError.message, sqlState: pool.logins.lastError.sqlState, age };
  }
  return {
    name,
    host: entry.host,
    port: entry.port,
    paused: pooler.pools.pauses.covers(name),
    disabled: pooler.pools.pauses.isDisabled(name),
    servers,
    clients,
    lastConnectAge: lastConnect === undefined ? undefined : now - lastConnect.getTime(),
    lastError,
  };
}
