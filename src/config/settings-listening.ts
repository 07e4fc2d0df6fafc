/** Settings of the sockets that clients connect to, and of all sockets. */
import { addresses, boolean, duration, integer, optionalText, permissions, size } from './kinds.ts';
import { optional, setting } from './setting.ts';

export const listening = {
  listen_addr: setting(addresses, {
    default: '0.0.0.0',
    reload: 'restart',
    help: 'Addresses to listen on for clients: IP addresses or host names, "*" for all of IPv4 and IPv6, "" for none (Unix socket only).',
  }),
  listen_port: setting(integer(0, 65_535), {
    default: 6432,
    reload: 'restart',
    help: 'TCP port for clients, also a part of the name of the Unix socket. 0 takes a free one.',
  }),
  listen_backlog: setting(integer(1, 65_535), {
    default: 4096,
    reload: 'restart',
    help: 'Connections that the kernel keeps while they wait to be accepted; it cuts the number to net.core.somaxconn.',
  }),
  unix_socket_dir: optional(optionalText, {
    reload: 'restart',
    help: 'Folder for a Unix socket. None by default.',
  }),
  unix_socket_mode: setting(permissions, {
    default: '0777',
    reload: 'restart',
    help: 'Permissions of the Unix socket.',
  }),
  max_packet_size: setting(size, {
    default: 2_147_483_647,
    reload: 'live',
    help: 'A message longer than this ends its connection. Messages are streamed, so long ones cost no memory.',
  }),
  max_waiting_bytes: setting(size, {
    default: '64KiB',
    reload: 'live',
    help: 'Bytes kept of a client that waits for a server; a client that sends more is read on once it has one.',
  }),
  tcp_keepalive: setting(boolean, {
    default: true,
    reload: 'new connections',
    help: 'TCP keepalive on the sockets of clients and servers.',
  }),
  tcp_keepidle: setting(duration, {
    default: '240s',
    reload: 'new connections',
    help: 'Silence before the first keepalive probe. Load balancers drop idle flows, AWS NLB after 350 s: stay below.',
  }),
  tcp_keepintvl: setting(duration, {
    default: '30s',
    reload: 'new connections',
    help: 'Time between keepalive probes. 0 leaves it to the operating system.',
  }),
  tcp_keepcnt: setting(integer(0, 127), {
    default: 3,
    reload: 'new connections',
    help: 'Unanswered keepalive probes after which a peer is taken for dead. 0 leaves it to the operating system.',
  }),
  tcp_user_timeout: setting(duration, {
    default: 0,
    reload: 'live',
    help: 'A peer that takes no byte of what is queued for it for this long is disconnected. 0: off. (PgBouncer counts milliseconds here.)',
  }),
};
