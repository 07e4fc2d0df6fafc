/** A configuration as TOML, everything that holds spelled out and secrets hidden. */
import type { Config } from './config.ts';
import { databaseFields, userFields } from './entries.ts';
import { quoted } from './kinds.ts';
import type { Fields } from './setting.ts';
import { metaOf } from './setting.ts';
import { settingGroups } from './settings.ts';
import { HIDDEN } from './show.ts';
import { tomlKey } from './toml-document.ts';

export function printConfig({ settings, databases, fallback, users }: Config): string {
  const lines = ['[ostler]'];
  for (const { title, settings: group } of settingGroups) {
    lines.push(...(lines.length === 1 ? [] : ['']), `# ${title}`, ...assignments(group, settings));
  }
  for (const entry of [...databases.values(), ...(fallback === undefined ? [] : [fallback])]) {
    lines.push('', `[databases.${tomlKey(entry.name)}]`, ...assignments(databaseFields, entry));
  }
  for (const user of users.values()) {
    lines.push('', `[users.${tomlKey(user.name)}]`, ...assignments(userFields, user));
  }
  return `${lines.join('\n')}\n`;
}

function assignments(fields: Fields, values: object): readonly string[] {
  const set = new Map(Object.entries(values));
  return Object.entries(fields).flatMap(([key, schema]) => {
    const meta = metaOf(schema);
    const value: unknown = set.get(key);
    const literal = meta.secret && value !== undefined ? quoted(HIDDEN) : meta.toml(value);
    return literal === undefined ? [] : [`${key} = ${literal}`];
  });
}
