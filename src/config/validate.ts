/** Document → Config: every key known, every value of its kind. What is wrong is reported and left out. */
import type { z } from 'zod';

import type { Config, DatabaseEntry, UserEntry } from './config.ts';
import type { Document, Section } from './document.ts';
import { databaseSchema, userSchema } from './entries.ts';
import { deepFreeze } from './freeze.ts';
import type { Report } from './problem.ts';
import { settingsSchema } from './settings.ts';
import { didYouMean } from './suggest.ts';
import { tomlKey } from './toml-document.ts';
import { adviceFor, unknownSetting } from './unsupported.ts';

/** The name of the fallback entry. */
export const FALLBACK = '*';

export function validate(document: Document, path: string | undefined, report: Report): Config {
  const databases = new Map<string, DatabaseEntry>();
  for (const [name, section] of document.databases) {
    const values = check(databaseSchema, section, `databases.${tomlKey(name)}`, report);
    if (values === undefined) continue;
    const dbname = values.dbname ?? (name === FALLBACK ? undefined : name);
    databases.set(name, deepFreeze({ name, ...values, dbname }));
  }
  const fallback = databases.get(FALLBACK);
  databases.delete(FALLBACK);

  const users = new Map<string, UserEntry>();
  for (const [name, section] of document.users) {
    const values = check(userSchema, section, `users.${tomlKey(name)}`, report);
    if (values !== undefined) users.set(name, deepFreeze({ name, ...values }));
  }
  const settings = deepFreeze(
    check(settingsSchema, document.ostler, 'ostler', report) ?? settingsSchema.parse({}),
  );
  const explicit = new Set(document.ostler.keys);
  return Object.freeze({ settings, databases, fallback, users, explicit, path });
}

/** The values of a section, without those that are wrong; undefined when that leaves out one that must be there. */
function check<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape, z.core.$strict>,
  section: Section,
  name: string,
  report: Report,
): z.output<typeof schema> | undefined {
  const known = Object.keys(schema.shape);
  const values = new Map<string, unknown>();
  for (const key of section.keys) {
    if (section.isUnreadable(key)) continue;
    if (known.includes(key)) values.set(key, section.get(key));
    else {
      const hint = adviceFor(key) === undefined ? didYouMean(key, known) : undefined;
      report(section.originOf(key) ?? section.origin, unknownSetting(key, `[${name}]`), hint);
    }
  }
  const all = schema.safeParse(Object.fromEntries(values));
  if (all.success) return all.data;
  for (const issue of all.error.issues) {
    const key = String(issue.path[0]);
    if (section.isUnreadable(key)) continue;
    if (section.has(key)) report(section.originOf(key) ?? section.origin, `${name}.${key} ${issue.message}`);
    else report(section.origin, `${name}.${key} is missing`);
    values.delete(key);
  }
  const rest = schema.safeParse(Object.fromEntries(values));
  return rest.success ? rest.data : undefined;
}
