/**
 * Every setting of [ostler], said once: type, default, unit, help and what a change needs. Validation, types, SHOW CONFIG,
 * SET, RELOAD, the JSON Schema and the reference file all come from here. Names are PgBouncer's wherever it has one.
 */
import { z } from 'zod';

import { authentication } from './settings-auth.ts';
import { listening } from './settings-listening.ts';
import { pooling, serverLife } from './settings-pooling.ts';
import { seeing } from './settings-seeing.ts';
import { clientTimeouts, stopping } from './settings-timeouts.ts';
import { clientTls, serverTls } from './settings-tls.ts';

/** In the order of the reference file. */
export const settingGroups = [
  { title: 'Listening and sockets', settings: listening },
  { title: 'Pools and limits', settings: pooling },
  { title: 'Server connections', settings: serverLife },
  { title: 'Waiting and timeouts', settings: clientTimeouts },
  { title: 'Authentication', settings: authentication },
  { title: 'TLS with clients', settings: clientTls },
  { title: 'TLS to servers', settings: serverTls },
  { title: 'Logs, statistics, metrics and health', settings: seeing },
  { title: 'Stopping', settings: stopping },
];

export const settingsSchema = z.strictObject({
  ...listening,
  ...pooling,
  ...serverLife,
  ...clientTimeouts,
  ...authentication,
  ...clientTls,
  ...serverTls,
  ...seeing,
  ...stopping,
});

export type SettingName = keyof typeof settingsSchema.shape;

export const settingNames: readonly SettingName[] = settingsSchema.keyof().options;

export function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(settingsSchema.shape, name);
}

/** What holds when nothing is configured. */
export const defaultSettings: Readonly<z.output<typeof settingsSchema>> = Object.freeze(
  settingsSchema.parse({}),
);
