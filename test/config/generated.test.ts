import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { referenceToml } from '../../src/config/reference.ts';
import { configSchema } from '../../src/config/schema.ts';
import { defaultSettings, settingNames, settingsSchema } from '../../src/config/settings.ts';
import { metaOf } from '../../src/config/setting.ts';
import { configOf, warningsOf } from './fixtures.ts';

const folder = join(import.meta.dirname, '../../config');
const read = (name: string): string => readFileSync(join(folder, name), 'utf8');

describe('the files in config/', () => {
  test('are current: npm run generate', () => {
    assert.equal(read('ostler.reference.toml'), referenceToml());
    assert.deepEqual(JSON.parse(read('ostler.schema.json')), JSON.parse(JSON.stringify(configSchema())));
  });

  test('hold a reference that loads, and is the defaults', () => {
    const config = configOf(read('ostler.reference.toml'), { env: { APP_PASSWORD: 'hush' } });
    assert.deepEqual(config.settings, { ...defaultSettings });
    for (const name of settingNames)
      assert.match(read('ostler.reference.toml'), new RegExp(`^(# )?${name} = `, 'm'));
  });

  test('hold an example that loads without a warning', () => {
    assert.deepEqual(warningsOf(read('ostler.toml'), { env: { APP_DB_PASSWORD: 'hush' } }), []);
  });

  test('describe every setting to editors', () => {
    const schema = JSON.stringify(configSchema());
    for (const name of settingNames) {
      assert.ok(schema.includes(JSON.stringify(metaOf(settingsSchema.shape[name]).help)), name);
    }
  });
});
