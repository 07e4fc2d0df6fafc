/** What is known of one setting besides its schema, and how a table of settings is written down. */
import { z } from 'zod';

import type { Kind, Raw } from './kinds.ts';

/** What a change needs to take effect. */
export type Reload = 'live' | 'restart' | 'new connections';

type Printer = Pick<Kind<unknown>, 'unit' | 'show' | 'toml'>;

interface About {
  /** One or two sentences, for the reference file, editors and the documentation. */
  readonly help: string;
  readonly reload: Reload;
  /** Its value is printed as `****`, and may come from a file named by `OSTLER__…_FILE`. */
  readonly secret?: boolean;
}

export interface SettingMeta extends Required<About> {
  readonly unit: string | undefined;
  show(value: unknown): string;
  toml(value: unknown): string;
}

/** Metadata of every schema in the tables; zod's own copies do not survive a later `.prefault()`. */
const metadata = z.registry<SettingMeta>();

export function metaOf(schema: z.core.$ZodType): SettingMeta | undefined {
  return metadata.get(schema);
}

/** A setting with a default, which is given as a file would. */
export function setting<Value>(kind: Kind<Value>, about: About & { readonly default: Raw }) {
  return described(kind.schema.prefault(about.default), kind, about);
}

/** A setting that may be missing. */
export function optional<Value>(kind: Kind<Value>, about: About) {
  return described(kind.schema.optional(), kind, about);
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
