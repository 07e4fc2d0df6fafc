/**
 * `OSTLER__OSTLER__LISTEN_PORT`, `OSTLER__DATABASES__APP__HOST`, `OSTLER__USERS__APP__PASSWORD_FILE`: every key of a
 * configuration can be given, or replaced, by a variable. Values are taken as they are, without `${…}`.
 */
import type { Document, EntrySection, Section } from './document.ts';
import { databaseFields, userFields } from './entries.ts';
import type { Outside } from './interpolate.ts';
import { readSecret } from './interpolate.ts';
import type { Origin, Report } from './problem.ts';
import type { Fields } from './setting.ts';
import { metaOf } from './setting.ts';
import { settingsSchema } from './settings.ts';
import { didYouMean } from './suggest.ts';
import { adviceFor, unknownSetting } from './unsupported.ts';

const PREFIX = 'OSTLER__';
const shape = 'OSTLER__OSTLER__KEY, OSTLER__DATABASES__NAME__KEY or OSTLER__USERS__NAME__KEY';

export function hasOverrides(env: Outside['env']): boolean {
  return Object.keys(env).some((name) => name.startsWith(PREFIX));
}

/** Writes what the variables say over what the document says. */
export function applyEnvironment(document: Document, outside: Outside, report: Report): void {
  // Sorted, so that the same environment gives the same problems in the same order.
  const names = Object.keys(outside.env).filter((name) => name.startsWith(PREFIX));
  for (const variable of names.toSorted()) {
    const value = outside.env[variable];
    if (value === undefined) continue;
    const origin: Origin = { file: `environment variable ${variable}` };
    const target = targetOf(variable);
    if (target === undefined) {
      report(origin, 'does not name a setting', `such variables are called ${shape}`);
      continue;
    }
    const key = keyOf(target);
    if (key === undefined) {
      const hint = adviceFor(target.key) === undefined ? suggestion(target) : undefined;
      report(origin, unknownSetting(target.key, target.label), hint);
      continue;
    }
    if (key.fromFile && outside.env[variable.slice(0, -'_FILE'.length)] !== undefined) {
      report(origin, 'is set together with the variable without _FILE', 'remove one of them');
      continue;
    }
    const section = sectionOf(document, target, origin);
    if (key.fromFile) setFromFile(section, key.name, value, origin, outside, report);
    else section.set(key.name, value, origin);
  }
}

function setFromFile(
  section: Section,
  key: string,
  path: string,
  origin: Origin,
  outside: Outside,
  report: Report,
): void {
  const secret = readSecret(path, outside, (message) => report(origin, message));
  if (secret !== undefined) section.set(key, secret, origin);
  else section.setUnreadable(key, origin);
}

interface Target {
  readonly kind: 'ostler' | EntrySection;
  /** Of the entry, in lower case; '' for [ostler]. */
  readonly name: string;
  readonly key: string;
  /** As in a header: "[databases.app]". */
  readonly label: string;
  readonly fields: Fields;
}

function targetOf(variable: string): Target | undefined {
  const [section = '', ...rest] = variable.slice(PREFIX.length).toLowerCase().split('__');
  const key = rest.at(-1);
  if (key === undefined || key === '') return undefined;
  if (section === 'ostler') {
    return { kind: section, name: '', key: rest.join('__'), label: '[ostler]', fields: settingsSchema.shape };
  }
  const name = rest.slice(0, -1).join('__');
  if (name === '' || (section !== 'databases' && section !== 'users')) return undefined;
  const fields = section === 'databases' ? databaseFields : userFields;
  return { kind: section, name, key, label: `[${section}.${name}]`, fields };
}

/** `auth_file` is a setting of its own; `password_file` is the file of a secret. */
function keyOf({ key, fields }: Target): { readonly name: string; readonly fromFile: boolean } | undefined {
  if (Object.hasOwn(fields, key)) return { name: key, fromFile: false };
  const name = key.replace(/_file$/, '');
  const field = name !== key && Object.hasOwn(fields, name) ? fields[name] : undefined;
  return field !== undefined && metaOf(field).secret ? { name, fromFile: true } : undefined;
}

function suggestion({ kind, name, key, fields }: Target): string | undefined {
  const prefix =
    kind === 'ostler' ? `${PREFIX}OSTLER__` : `${PREFIX}${kind.toUpperCase()}__${name.toUpperCase()}__`;
  const known = Object.keys(fields).flatMap((field) => {
    const schema = fields[field];
    return schema !== undefined && metaOf(schema).secret ? [field, `${field}_file`] : [field];
  });
  return didYouMean(
    `${prefix}${key}`,
    known.map((field) => `${prefix}${field.toUpperCase()}`),
  );
}

/** Variables are upper case by custom, entries are not: an entry of that name in any case is meant, else a new one. */
function sectionOf(document: Document, { kind, name }: Target, origin: Origin): Section {
  if (kind === 'ostler') return document.ostler;
  const existing = [...document[kind].keys()].find((known) => known.toLowerCase() === name);
  return document.entry(kind, existing ?? name, origin);
}
