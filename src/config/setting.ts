/** What is known of one setting besides its schema, and how a table of settings is written down. */
import { z } from 'zod';

import { invariant } from '../base/assert.ts';
import type { Kind, Raw } from './kinds.ts';

/** What a change needs to take effect. */
export type Reload = 'live' | 'restart' | 'new connections';

type Printer = Pick<SettingMeta, 'show' | 'toml'> & { readonly unit?: string | undefined };

interface About {
  /** One or two sentences, for the reference file, editors and the documentation. */
  readonly help: string;
  readonly reload: Reload;
  /** Its value is printed as `****`, and may come from a file named by `OSTLER__…_FILE`. */
  readonly secret?: boolean;
}

export interface SettingMeta extends Required<About> {
  readonly unit: string | undefined;
  /** Undefined when the setting is not set. */
  show(value: unknown): string | undefined;
  /** Undefined when the setting is not set: TOML has no null. */
  toml(value: unknown): string | undefined;
}

/** A table of settings. */
export type Fields = Readonly<Record<string, z.ZodType>>;

/** Metadata of every schema in the tables; zod's own copies do not survive a later `.prefault()`. */
const metadata = z.registry<SettingMeta>();

/** What is known of a schema from a table. */
export function metaOf(schema: z.core.$ZodType): SettingMeta {
  const meta = metadata.get(schema);
  invariant(meta !== undefined, 'every schema of a table is described');
  return meta;
}

/** Help for any part of a schema; undefined for what is not a setting by itself. */
export function helpOf(schema: z.core.$ZodType): string | undefined {
  return metadata.get(schema)?.help;
}

/** A setting with a default, which is given as a file would. */
export function setting<Value>(kind: Kind<Value>, about: About & { readonly default: Raw }) {
  return described(kind.schema.prefault(about.default), kind, about);
}

/** A setting that may be missing. */
export function optional<Value>(kind: Kind<Value>, about: About) {
  return described(
    kind.schema.optional(),
    {
      unit: kind.unit,
      show: (value: Value | undefined) => (value === undefined ? undefined : kind.show(value)),
      toml: (value: Value | undefined) => (value === undefined ? undefined : kind.toml(value)),
    },
    about,
  );
}

/** A setting that must be given. */
export function required<Value>(kind: Kind<Value>, about: About) {
  return described(kind.schema.clone(), kind, about);
}

function described<Schema extends z.ZodType>(schema: Schema, kind: Printer, about: About): Schema {
  metadata.add(schema, {
    help: about.help,
    reload: about.reload,
    secret: about.secret ?? false,
    unit: kind.unit,
    show: (value) => kind.show(value),
    toml: (value) => kind.toml(value),
  });
  return schema;
}
