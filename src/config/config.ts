/**
 * What the whole daemon is configured with, as values: field names are the file's, durations are milliseconds, everything
 * is frozen. RELOAD and SET make a new one. Import these with `import type`: the tables behind them load zod.
 */
import type { z } from 'zod';

import type { databaseSchema, userSchema } from './entries.ts';
import type { settingsSchema } from './settings.ts';

export type Settings = Readonly<z.output<typeof settingsSchema>>;

type DatabaseValues = z.output<typeof databaseSchema>;

/** One [databases.NAME]; `host` is a folder of a Unix socket when it begins with a slash. */
export type DatabaseEntry = { readonly name: string } & Readonly<Pick<DatabaseValues, 'host' | 'port'>> &
  Overrides<Omit<DatabaseValues, 'host' | 'port'>>;

/** One [users.NAME]; `password` is the stored secret in whatever form it was given. */
export type UserEntry = { readonly name: string } & Overrides<z.output<typeof userSchema>>;

/** What is undefined comes from the database's or the general setting of that name. */
type Overrides<Values> = { readonly [Name in keyof Values]?: Values[Name] | undefined };

export interface Config {
  readonly settings: Settings;
  /** By the name that clients ask for, without "*". */
  readonly databases: ReadonlyMap<string, DatabaseEntry>;
  /** The entry "*", the template for databases that are asked for and not listed; its `dbname` is mostly undefined. */
  readonly fallback: DatabaseEntry | undefined;
  readonly users: ReadonlyMap<string, UserEntry>;
  /** Names of the settings that the file, the environment or SET gave, as opposed to defaults. */
  readonly explicit: ReadonlySet<string>;
  /** The file that this was read from; undefined when it came from the environment alone. */
  readonly path: string | undefined;
}
