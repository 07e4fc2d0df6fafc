/** SHOW LISTS: how many there are of everything. */
import type { Lists } from '../../observability/metrics-source.ts';
import { databaseNames } from './databases.ts';
import { poolRows } from './pools.ts';
import type { RowSource } from './source.ts';
import { userNames } from './users.ts';

export function lists(source: RowSource): Lists {
  const { pooler } = source;
  const pools = poolRows(source);
  const { connections } = pooler.admission;
  const usedClients = pooler.clients.all.size + [...source.consoles()].length;
  let servers = 0;
  for (const pool of pooler.pools.pools()) servers += pool.size;
  const usedServers = pools.reduce((sum, { svActive }) => sum + svActive, 0);
  return {
    // The console's own is one more.
    databases: databaseNames(source).length + 1,
    users: userNames(source).length,
    pools: pools.length,
    freeClients: Math.max(pooler.settings().max_client_conn - connections, 0),
    usedClients,
    loginClients: Math.max(connections - usedClients, 0),
    freeServers: servers - usedServers,
    usedServers,
    dnsNames: pooler.context.resolver.hostCount,
    dnsZones: 0,
    dnsQueries: pooler.context.resolver.lookUps,
  };
}
