/** SHOW PINS. */
import { type PinRow, pinRows } from '../rows/pins.ts';
import { int4, int8, table, text, wholeSeconds } from '../table.ts';

export const showPins = table<PinRow>(
  [
    text('database', (row) => row.database),
    text('user', (row) => row.user),
    text('application_name', (row) => row.applicationName),
    text('reason', (row) => row.reasons.join(', ')),
    int4('age', (row) => wholeSeconds(row.age)),
    int4('idle', (row) => wholeSeconds(row.idle)),
    int8('client_id', (row) => row.client),
    int8('server_id', (row) => row.server),
    int4('remote_pid', (row) => row.remotePid),
  ],
  ({ source }) => pinRows(source),
);
