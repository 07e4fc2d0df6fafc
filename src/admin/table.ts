/** A SHOW command as a table: what each column is called, its type, and where its value comes from, said once. */
import type { Cell, Column, ColumnType, Row } from '../protocol/result-set.ts';
import type { CommandContext } from './command.ts';

export interface Field<Item> extends Column {
  readonly of: (item: Item) => Cell | undefined;
}

export interface Show {
  readonly columns: readonly Column[];
  rows(context: CommandContext): readonly Row[];
}

export function table<Item>(
  fields: readonly Field<Item>[],
  items: (context: CommandContext) => Iterable<Item>,
): Show {
  return {
    columns: fields,
    rows: (context) => Array.from(items(context), (item) => fields.map((field) => field.of(item) ?? null)),
  };
}

const field =
  (type: ColumnType) =>
  <Item>(name: string, of: (item: Item) => Cell | undefined): Field<Item> => ({ name, type, of });

export const text = field('text');
export const int4 = field('int4');
export const int8 = field('int8');
export const numeric = field('numeric');

/** 0 or 1, as PgBouncer prints what is true. */
export const flag = <Item>(name: string, of: (item: Item) => boolean): Field<Item> =>
  int4(name, (item) => Number(of(item)));

/** Whole seconds of milliseconds, and the microseconds that are left. */
export const wholeSeconds = (ms: number): number => Math.trunc(ms / 1000);
export const microseconds = (ms: number): number => Math.trunc(ms * 1000) % 1_000_000;

/** `2026-01-31 12:00:00 UTC`; `at` in ms. */
export const timestamp = (at: number): string =>
  `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
