/** SHOW CLIENTS, SHOW SERVERS, SHOW SOCKETS and SHOW ACTIVE_SOCKETS. */
import type { Connection } from '../../net/connection.ts';
import { clientRows, serverRows, type SocketRow } from '../rows/sockets.ts';
import { type Field, flag, int4, microseconds, table, text, timestamp, wholeSeconds } from '../table.ts';

/** Stands where PgBouncer shows a pointer; KILL_CLIENT takes it as well as the id. */
const handle = (id: number): string => `0x${id.toString(16)}`;

function cipherOf(connection: Connection | undefined): string {
  const tls = connection?.tls;
  return tls === undefined ? '' : `${tls.protocol}/${tls.cipher}`;
}

const fields: readonly Field<SocketRow>[] = [
  text('type', (row) => row.type),
  text('user', (row) => row.user),
  text('database', (row) => row.database),
  text('replication', () => 'none'),
  text('state', (row) => row.state),
  text('addr', (row) => row.connection?.remoteAddress ?? ''),
  int4('port', (row) => row.connection?.remotePort ?? 0),
  text('local_addr', (row) => row.connection?.localAddress ?? ''),
  int4('local_port', (row) => row.connection?.localPort ?? 0),
  text('connect_time', (row) => timestamp(row.connectedAt)),
  text('request_time', (row) => timestamp(row.requestedAt)),
  int4('wait', (row) => wholeSeconds(row.wait)),
  int4('wait_us', (row) => microseconds(row.wait)),
  flag('close_needed', (row) => row.closeNeeded),
  text('ptr', (row) => handle(row.id)),
  text('link', (row) => (row.linked === undefined ? '' : handle(row.linked))),
  int4('remote_pid', (row) => row.remotePid),
  text('tls', (row) => cipherOf(row.connection)),
  text('application_name', (row) => row.applicationName),
  int4('prepared_statements', (row) => row.preparedStatements),
  int4('id', (row) => row.id),
];

export const showClients = table(fields, ({ source }) => clientRows(source));
export const showServers = table(fields, ({ source }) => serverRows(source));

const nothing = (): number => 0;

/** Where PgBouncer is in its packet buffers; ostler only holds what a slow peer has not taken. */
const socketFields: readonly Field<SocketRow>[] = [
  ...fields.map((field) =>
    field.name === 'state' ? text('state', (row: SocketRow) => socketState(row)) : field,
  ),
  int4('recv_pos', nothing),
  int4('pkt_pos', nothing),
  int4('pkt_remain', nothing),
  int4('send_pos', nothing),
  int4('send_remain', nothing),
  int4('pkt_avail', nothing),
  int4('send_avail', (row) => row.connection?.pending ?? 0),
];

function socketState({ type, state }: SocketRow): string {
  if (type === 'C') return state === 'idle' ? 'cl_active' : `cl_${state}`;
  return state === 'new' ? 'sv_login' : `sv_${state}`;
}

export const showSockets = table(socketFields, ({ source }) => [
  ...clientRows(source),
  ...serverRows(source),
]);

export const showActiveSockets = table(socketFields, ({ source }) =>
  [...clientRows(source), ...serverRows(source)].filter((row) => (row.connection?.pending ?? 0) > 0),
);
