/** SHOW POOLS. */
import { poolRows, type PoolStatus } from '../rows/pools.ts';
import { int4, microseconds, table, text, wholeSeconds } from '../table.ts';

export const showPools = table<PoolStatus>(
  [
    text('database', (row) => row.database),
    text('user', (row) => row.user),
    int4('cl_active', (row) => row.clActive),
    int4('cl_waiting', (row) => row.clWaiting),
    int4('cl_active_cancel_req', (row) => row.clActiveCancelReq),
    int4('cl_waiting_cancel_req', (row) => row.clWaitingCancelReq),
    int4('sv_active', (row) => row.svActive),
    int4('sv_active_cancel', (row) => row.svActiveCancel),
    int4('sv_being_canceled', (row) => row.svBeingCanceled),
    int4('sv_idle', (row) => row.svIdle),
    int4('sv_used', (row) => row.svUsed),
    int4('sv_tested', (row) => row.svTested),
    int4('sv_login', (row) => row.svLogin),
    int4('maxwait', (row) => wholeSeconds(row.maxwait)),
    int4('maxwait_us', (row) => microseconds(row.maxwait)),
    text('pool_mode', (row) => row.poolMode),
    text('load_balance_hosts', () => null),
  ],
  ({ source }) => poolRows(source),
);
