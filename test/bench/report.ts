/** What was measured, as tables for a terminal. */
import type { IdleMemory } from './idle.ts';
import type { Spread } from './statistics.ts';
import type { Throughput } from './throughput.ts';

export function throughputTable(rival: string, results: readonly Throughput[]): string {
  if (results.length === 0) return '';
  return table([
    ['', 'tps', '', 'ratio of tps', '', 'µs CPU a transaction (user + system)', '', 'ratio of CPU'],
    ['workload', 'ostler', rival, 'median', 'quartiles', 'ostler', rival, 'median'],
    ...results.map(({ workload, ostler, rival: other, tpsRatio, cpuRatio }) => [
      workload,
      ostler.tps.median.toFixed(0),
      other.tps.median.toFixed(0),
      tpsRatio.median.toFixed(2),
      range(tpsRatio),
      sum(ostler.cpuUser, ostler.cpuSystem),
      sum(other.cpuUser, other.cpuSystem),
      cpuRatio.median.toFixed(2),
    ]),
  ]);
}

export function idleTable(rival: string, results: readonly IdleMemory[]): string {
  if (results.length === 0) return '';
  return table([
    ['', '', 'KB a client', '', 'KB after a query', '', 'MB empty', ''],
    ['workload', 'clients', 'ostler', rival, 'ostler', rival, 'ostler', rival],
    ...results.map(({ workload, clients, ostler, rival: other }) => [
      workload,
      String(clients),
      kilobytes(ostler.perClient),
      kilobytes(other.perClient),
      kilobytes(ostler.perClientAfterQuery),
      kilobytes(other.perClientAfterQuery),
      kilobytes(ostler.empty / 1024),
      kilobytes(other.empty / 1024),
    ]),
  ]);
}

const range = ({ low, high }: Spread): string => `${low.toFixed(2)}-${high.toFixed(2)}`;
const sum = (user: Spread, system: Spread): string =>
  `${user.median.toFixed(1)} + ${system.median.toFixed(1)}`;
const kilobytes = (bytes: number): string => (bytes / 1024).toFixed(1);

/** The first column to the left, the others to the right; a heading may reach over the empty cells beside it. */
function table(rows: readonly (readonly string[])[]): string {
  const [groups = [], ...body] = rows;
  const widths = (body[0] ?? []).map((_, column) => Math.max(...body.map((row) => row[column]?.length ?? 0)));
  const lines = body.map((row) =>
    row.map((cell, column) => pad(cell, widths[column] ?? 0, column === 0)).join('  '),
  );
  return [groupLine(groups, widths), ...lines].join('\n');
}

function groupLine(groups: readonly string[], widths: readonly number[]): string {
  let line = '';
  let at = 0;
  for (const [column, group] of groups.entries()) {
    if (group !== '') line = `${line.padEnd(at)}${line.length > at ? ' ' : ''}${group}`;
    at += (widths[column] ?? 0) + 2;
  }
  return line;
}

const pad = (cell: string, width: number, left: boolean): string =>
  left ? cell.padEnd(width) : cell.padStart(width);
