/** SHOW DNS_HOSTS: the names of server hosts that have been looked up. */
import type { KnownHost } from '../../net/dns.ts';
import { int8, table, text, wholeSeconds } from '../table.ts';

export const showDnsHosts = table<KnownHost>(
  [
    text('hostname', (host) => host.name),
    int8('ttl', (host) => wholeSeconds(host.ttl)),
    text('addrs', (host) => host.addresses.map(withPort).join(',')),
  ],
  ({ host }) => host.pooler.context.resolver.hosts(),
);

/** PgBouncer shows the port of a socket address here, which is not set in an answer of the resolver. */
const withPort = (address: string): string => (address.includes(':') ? `[${address}]:0` : `${address}:0`);
