/** SHOW LISTS. */
import { lists } from '../rows/lists.ts';
import { int4, table, text } from '../table.ts';

export const showLists = table<readonly [list: string, items: number]>(
  [text('list', ([list]) => list), int4('items', ([, items]) => items)],
  ({ source }) => {
    const found = lists(source);
    return [
      ['databases', found.databases],
      ['users', found.users],
      ['peers', 0],
      ['pools', found.pools],
      ['peer_pools', 0],
      ['free_clients', found.freeClients],
      ['used_clients', found.usedClients],
      ['login_clients', found.loginClients],
      ['free_servers', found.freeServers],
      ['used_servers', found.usedServers],
      ['dns_names', found.dnsNames],
      ['dns_zones', found.dnsZones],
      ['dns_queries', found.dnsQueries],
      ['dns_pending', 0],
    ];
  },
);
