/** SHOW CONFIG and SET: settings as the console prints and takes them. */
import { withValues } from './changes.ts';
import type { Config } from './config.ts';
import { findings } from './rules.ts';
import { metaOf } from './setting.ts';
import type { SettingName } from './settings.ts';
import { defaultSettings, isSettingName, settingNames, settingsSchema } from './settings.ts';
import { didYouMean } from './suggest.ts';
import { adviceFor, unknownSetting } from './unsupported.ts';

/** One row, with PgBouncer's columns; null where nothing is set. */
export interface ConfigRow {
  readonly key: string;
  readonly value: string | null;
  readonly default: string | null;
  readonly changeable: 'yes' | 'no';
}

/** In the place of every secret. */
export const HIDDEN = '****';

export function configRows({ settings }: Config): readonly ConfigRow[] {
  return settingNames.toSorted().map((key) => ({
    key,
    value: shown(key, settings[key]),
    default: shown(key, defaultSettings[key]),
    changeable: metaOf(settingsSchema.shape[key]).reload === 'restart' ? 'no' : 'yes',
  }));
}

function shown(key: SettingName, value: unknown): string | null {
  const meta = metaOf(settingsSchema.shape[key]);
  return value !== undefined && meta.secret ? HIDDEN : (meta.show(value) ?? null);
}

export type SetResult =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly message: string; readonly hint?: string | undefined };

/** The configuration with one setting changed, as `SET key = value` does until the next RELOAD. */
export function setSetting(config: Config, key: string, text: string): SetResult {
  if (!isSettingName(key)) {
    const hint = adviceFor(key) === undefined ? didYouMean(key, settingNames) : undefined;
    return { ok: false, message: unknownSetting(key, '[ostler]'), hint };
  }
  if (metaOf(settingsSchema.shape[key]).reload === 'restart') {
    return { ok: false, message: `${key} cannot be changed without a restart` };
  }
  const parsed = settingsSchema.safeParse({ [key]: text });
  if (!parsed.success)
    return { ok: false, message: `${key} ${parsed.error.issues[0]?.message ?? 'is not valid'}` };
  const changed: Config = Object.freeze({
    ...config,
    settings: withValues(config.settings, parsed.data, [key]),
    explicit: new Set([...config.explicit, key]),
  });
  const broken = findings(changed).find(({ warning }) => warning !== true);
  return broken === undefined
    ? { ok: true, config: changed }
    : { ok: false, message: broken.message, hint: broken.hint };
}
