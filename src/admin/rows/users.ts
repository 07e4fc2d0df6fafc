/** SHOW USERS: everybody who is known, whether from the configuration or because a pool uses them. */
import { byName, type RowSource } from './source.ts';

export interface UserStatus {
  readonly name: string;
  /** Undefined: the database's or the general setting holds. */
  readonly poolSize: number | undefined;
  readonly reservePoolSize: number | undefined;
  readonly poolMode: string | undefined;
  /** 0 = no limit, here and below. */
  readonly maxUserConnections: number;
  readonly currentConnections: number;
  readonly maxUserClientConnections: number;
  readonly currentClientConnections: number;
}

/** Ordered by name. */
export function userRows(source: RowSource): UserStatus[] {
  const { pooler } = source;
  const settings = pooler.settings();
  const onConsole = new Map<string, number>();
  for (const { user } of source.consoles()) onConsole.set(user, (onConsole.get(user) ?? 0) + 1);
  return userNames(source).map((name) => {
    const entry = pooler.config.users.get(name);
    return {
      name,
      poolSize: entry?.pool_size,
      reservePoolSize: entry?.reserve_pool_size,
      poolMode: entry?.pool_mode,
      maxUserConnections: entry?.max_user_connections ?? settings.max_user_connections,
      currentConnections: pooler.pools.userServers(name),
      maxUserClientConnections: entry?.max_user_client_connections ?? settings.max_user_client_connections,
      currentClientConnections: pooler.clients.count('user', name) + (onConsole.get(name) ?? 0),
    };
  });
}

export function userNames({ pooler }: RowSource): string[] {
  const names = new Set(pooler.config.users.keys());
  for (const { user } of pooler.config.databases.values()) if (user !== undefined) names.add(user);
  for (const { user } of pooler.proxyPools()) names.add(user);
  return [...names].toSorted(byName);
}
