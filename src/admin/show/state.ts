/** SHOW STATE, SHOW VERSION and SHOW MEM: the process as a whole. */
import { int4, table, text } from '../table.ts';

export const showState = table<readonly [key: string, value: boolean]>(
  [text('key', ([key]) => key), text('value', ([, value]) => (value ? 'yes' : 'no'))],
  ({ host }) => {
    const paused = host.pooler.pools.pauses.isEverythingPaused;
    return [
      ['active', !paused],
      ['paused', paused],
      ['suspended', false],
    ];
  },
);

/** The version whose console this one's commands and columns follow. */
export const FOLLOWED_VERSION = '1.25.2';

/** Begins as PgBouncer's, because exporters take it apart. */
export const versionText = (version: string): string => `PgBouncer ${FOLLOWED_VERSION} (ostler ${version})`;

export const showVersion = table<string>([text('version', (version) => version)], ({ host }) => [
  versionText(host.version),
]);

const UNIT = 1024;
const INT4_MAX = 2 ** 31 - 1;

interface Memory {
  readonly name: string;
  readonly used: number;
  readonly total: number;
}

/** PgBouncer shows its allocator's caches. Here a unit is one KiB, of which so many are used and so many are free. */
export const showMem = table<Memory>(
  [
    text('name', (row) => row.name),
    int4('size', () => UNIT),
    int4('used', (row) => Math.ceil(row.used / UNIT)),
    int4('free', (row) => Math.floor((row.total - row.used) / UNIT)),
    int4('memtotal', (row) => Math.min(row.total, INT4_MAX)),
  ],
  () => {
    const { rss, heapTotal, heapUsed, external, arrayBuffers } = process.memoryUsage();
    return [
      { name: 'process', used: rss, total: rss },
      { name: 'heap', used: heapUsed, total: heapTotal },
      { name: 'external', used: external, total: external },
      { name: 'buffers', used: arrayBuffers, total: arrayBuffers },
    ];
  },
);
