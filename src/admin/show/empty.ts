/** What PgBouncer has and ostler has nothing to show for: the system's resolver knows of no zones, and there are no peers. */
import { int4, int8, table, text } from '../table.ts';

const nothing = (): null => null;
const none = (): never[] => [];

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
