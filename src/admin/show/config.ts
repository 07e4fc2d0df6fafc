/** SHOW CONFIG. */
import { configRows, type ConfigRow } from '../../config/show.ts';
import { table, text } from '../table.ts';

export const showConfig = table<ConfigRow>(
  [
    text('key', (row) => row.key),
    text('value', (row) => row.value),
    text('default', (row) => row.default),
    text('changeable', (row) => row.changeable),
  ],
  ({ host }) => configRows(host.pooler.config),
);
