/** SHOW USERS. */
import { userRows, type UserStatus } from '../rows/users.ts';
import { int4, table, text } from '../table.ts';

const size = (value: number | undefined): string | null => (value === undefined ? null : String(value));

export const showUsers = table<UserStatus>(
  [
    text('name', (row) => row.name),
    text('pool_size', (row) => size(row.poolSize)),
    text('reserve_pool_size', (row) => size(row.reservePoolSize)),
    text('pool_mode', (row) => row.poolMode),
    int4('max_user_connections', (row) => row.maxUserConnections),
    int4('current_connections', (row) => row.currentConnections),
    int4('max_user_client_connections', (row) => row.maxUserClientConnections),
    int4('current_client_connections', (row) => row.currentClientConnections),
  ],
  ({ source }) => userRows(source),
);
