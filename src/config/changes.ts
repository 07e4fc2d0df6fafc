/**
 * What differs between two configurations, and the one to apply: settings that need a restart keep their old value in it.
 */
import type { Config, Settings } from './config.ts';
import { databaseFields, userFields } from './entries.ts';
import { deepFreeze } from './freeze.ts';
import type { Fields } from './setting.ts';
import { metaOf } from './setting.ts';
import type { SettingName } from './settings.ts';
import { settingNames, settingsSchema } from './settings.ts';
import { FALLBACK } from './validate.ts';

/** Names of entries; "*" is the fallback. */
export interface EntryChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Anything in it is different. */
  readonly changed: readonly string[];
  /** Those of the changed whose server connections were made with what no longer holds. */
  readonly reconnect: readonly string[];
}

export interface Changes {
  /** The new configuration with the old values of what needs a restart. */
  readonly config: Config;
  /** Settings that have another value in `config` than before. */
  readonly settings: readonly SettingName[];
  /** Settings that the new configuration would change, and that keep their old value. */
  readonly needRestart: readonly SettingName[];
  readonly databases: EntryChanges;
  readonly users: EntryChanges;
}

export function changes(old: Config, next: Config): Changes {
  const different = settingNames.filter((name) => !same(old.settings[name], next.settings[name]));
  const needRestart = different.filter((name) => metaOf(settingsSchema.shape[name]).reload === 'restart');
  const settings = different.filter((name) => !needRestart.includes(name));
  const databases = entryChanges(allDatabases(old), allDatabases(next), databaseFields);
  // Every server connection was made under the old rules of TLS.
  const tls = settings.some((name) => name.startsWith('server_tls_'));
  const kept = [...allDatabases(next).keys()].filter((name) => !databases.added.includes(name));
  return {
    config: Object.freeze({ ...next, settings: withValues(next.settings, old.settings, needRestart) }),
    settings,
    needRestart,
    databases: tls ? { ...databases, reconnect: kept } : databases,
    users: entryChanges(old.users, next.users, userFields),
  };
}

/** `base` with the values that `from` has for `names`. */
export function withValues(base: Settings, from: Settings, names: readonly SettingName[]): Settings {
  const merged: Draft = { ...base };
  for (const name of names) copy(merged, from, name);
  return deepFreeze(merged);
}

type Draft = { -readonly [Name in keyof Settings]: Settings[Name] };

function copy<Name extends SettingName>(into: Draft, from: Pick<Draft, Name>, name: Name): void {
  into[name] = from[name];
}

function entryChanges(
  old: ReadonlyMap<string, object>,
  next: ReadonlyMap<string, object>,
  fields: Fields,
): EntryChanges {
  const changed: string[] = [];
  const reconnect: string[] = [];
  for (const [name, entry] of next) {
    const before = old.get(name);
    if (before === undefined) continue;
    const values = new Map(Object.entries(entry));
    const valuesBefore = new Map(Object.entries(before));
    const keys = Object.keys(fields).filter((key) => !same(values.get(key), valuesBefore.get(key)));
    if (keys.length > 0) changed.push(name);
    if (keys.some((key) => needsConnection(fields[key]))) reconnect.push(name);
  }
  return {
    added: [...next.keys()].filter((name) => !old.has(name)),
    removed: [...old.keys()].filter((name) => !next.has(name)),
    changed,
    reconnect,
  };
}

function needsConnection(field: Fields[string] | undefined): boolean {
  return field !== undefined && metaOf(field).reload === 'new connections';
}

function allDatabases({ databases, fallback }: Config): ReadonlyMap<string, object> {
  return fallback === undefined ? databases : new Map([...databases, [FALLBACK, fallback]]);
}

/** Values of settings are scalars, lists and small records. */
function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
