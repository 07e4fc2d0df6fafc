/** What PgBouncer has and ostler has nothing to show for: look-ups are the system resolver's, and there are no peers. */
import { int4, int8, table, text } from '../table.ts';

const nothing = (): null => null;
const none = (): never[] => [];

export const showDnsHosts = table(
  [text('hostname', nothing), int8('ttl', nothing), text('addrs', nothing)],
  none,
);

export const showDnsZones = table(
  [text('zonename', nothing), int8('serial', nothing), int4('count', nothing)],
  none,
);

export const showPeers = table(
  [int4('peer_id', nothing), text('host', nothing), int4('port', nothing), int4('pool_size', nothing)],
  none,
);

export const showPeerPools = table(
  [
    int4('peer_id', nothing),
    int4('cl_active_cancel_req', nothing),
    int4('cl_waiting_cancel_req', nothing),
    int4('sv_active_cancel', nothing),
    int4('sv_login', nothing),
  ],
  none,
);
