import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { printConfig } from '../../src/config/print.ts';
import { configOf } from './fixtures.ts';

const text = `
[ostler]
scram_mock_secret = "hush-mock"
admin_users = ["app", "o\\"dd"]
query_wait_timeout = "1500ms"
[databases."my db"]
host = "h"
user = "u"
password = "hush-database"
[databases."*"]
host = "/run"
[users.app]
password = "hush-user"
query_timeout = 5
`;

describe('printConfig', () => {
  test('hides every secret', () => {
    const printed = printConfig(configOf(text));
    assert.doesNotMatch(printed, /hush/);
    assert.equal(printed.match(/"\*{4}"/g)?.length, 3);
  });

  test('prints TOML that is the same configuration again, but for the secrets', () => {
    const config = configOf(text);
    const again = configOf(printConfig(config));
    assert.deepEqual(again.settings, { ...config.settings, scram_mock_secret: '****' });
    assert.deepEqual(again.databases.get('my db'), { ...config.databases.get('my db'), password: '****' });
    assert.deepEqual(again.fallback, config.fallback);
    assert.deepEqual(again.users.get('app'), { ...config.users.get('app'), password: '****' });
  });
});
