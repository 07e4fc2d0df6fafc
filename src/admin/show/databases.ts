/** SHOW DATABASES. */
import { databaseRows, type DatabaseStatus } from '../rows/databases.ts';
import { flag, int4, table, text, wholeSeconds } from '../table.ts';

export const showDatabases = table<DatabaseStatus>(
  [
    text('name', (row) => row.name),
    text('host', (row) => (row.host === '' ? null : row.host)),
    int4('port', (row) => row.port),
    text('database', (row) => row.database),
    text('force_user', (row) => row.forceUser),
    int4('pool_size', (row) => row.poolSize),
    int4('min_pool_size', (row) => row.minPoolSize),
    int4('reserve_pool_size', (row) => row.reservePoolSize),
    int4('server_lifetime', (row) => wholeSeconds(row.serverLifetime)),
    text('pool_mode', (row) => row.poolMode),
    text('load_balance_hosts', () => null),
    int4('max_connections', (row) => row.maxConnections),
    int4('current_connections', (row) => row.currentConnections),
    int4('max_client_connections', (row) => row.maxClientConnections),
    int4('current_client_connections', (row) => row.currentClientConnections),
    flag('paused', (row) => row.paused),
    flag('disabled', (row) => row.disabled),
  ],
  ({ source }) => databaseRows(source),
);
