import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import fc from 'fast-check';

import type { Config } from '../../src/config/config.ts';
import { settingNames } from '../../src/config/settings.ts';
import type { ConfigRow } from '../../src/config/show.ts';
import { configRows, setSetting } from '../../src/config/show.ts';
import { DATABASE, USER, configOf } from './fixtures.ts';

const base = configOf(
  `[ostler]\nscram_mock_secret = "hush"\nquery_wait_timeout = "500ms"\n${DATABASE}${USER}`,
);

describe('configRows', () => {
  const row = (key: string): ConfigRow | undefined => configRows(base).find((each) => each.key === key);

  test('are in alphabetical order, one for every setting', () => {
    const keys = configRows(base).map(({ key }) => key);
    assert.deepEqual(keys, [...settingNames].toSorted());
  });

  test('show durations in seconds, booleans as numbers, and what is not set as null', () => {
    assert.deepEqual(row('query_wait_timeout'), {
      key: 'query_wait_timeout',
      value: '0.5',
      default: '15',
      changeable: 'yes',
    });
    assert.deepEqual(row('tcp_keepalive'), {
      key: 'tcp_keepalive',
      value: '1',
      default: '1',
      changeable: 'yes',
    });
    assert.deepEqual(row('auth_file'), { key: 'auth_file', value: null, default: null, changeable: 'yes' });
    assert.deepEqual(row('server_check_query'), {
      key: 'server_check_query',
      value: '<empty>',
      default: '<empty>',
      changeable: 'yes',
    });
    assert.equal(row('listen_port')?.changeable, 'no');
  });

  test('hide secrets', () => {
    assert.equal(row('scram_mock_secret')?.value, '****');
  });
});

describe('setSetting', () => {
  const set = (key: string, text: string): Config => {
    const result = setSetting(base, key, text);
    assert.ok(result.ok, result.ok ? '' : result.message);
    return result.config;
  };
  const refusal = (key: string, text: string): string => {
    const result = setSetting(base, key, text);
    return result.ok ? '' : [result.message, result.hint].filter((part) => part !== undefined).join('; ');
  };

  test('changes one setting, and leaves the old configuration as it was', () => {
    const changed = set('default_pool_size', '7');
    assert.equal(changed.settings.default_pool_size, 7);
    assert.equal(changed.settings.query_wait_timeout, 500);
    assert.ok(changed.explicit.has('default_pool_size'));
    assert.equal(base.settings.default_pool_size, 20);
    assert.ok(Object.isFrozen(changed) && Object.isFrozen(changed.settings));
  });

  test('reads durations, booleans and lists as text', () => {
    assert.equal(set('query_timeout', '5m').settings.query_timeout, 300_000);
    assert.equal(set('server_round_robin', '1').settings.server_round_robin, true);
    assert.deepEqual(set('stats_users', 'a,b').settings.stats_users, ['a', 'b']);
    assert.equal(set('scram_mock_secret', '').settings.scram_mock_secret, undefined);
  });

  test('refuses what needs a restart: PgBouncer says it worked, and does nothing', () => {
    assert.equal(refusal('listen_port', '1'), 'listen_port cannot be changed without a restart');
  });

  test('refuses unknown names, wrong values, and values that do not go together', () => {
    assert.equal(
      refusal('query_timeot', '1'),
      'unknown setting "query_timeot" in [ostler]; did you mean "query_timeout"?',
    );
    assert.equal(refusal('pkt_buf', '1'), '"pkt_buf" has no meaning here: ostler sizes its buffers itself');
    assert.equal(
      refusal('default_pool_size', '0'),
      'default_pool_size must be a whole number from 1 to 1000000',
    );
    assert.equal(refusal('min_pool_size', '21'), 'min_pool_size is larger than default_pool_size');
  });

  test('never throws, and takes back whatever it shows', () => {
    fc.assert(
      fc.property(fc.oneof(fc.constantFrom(...settingNames), fc.string()), fc.string(), (key, text) => {
        assert.equal(typeof setSetting(base, key, text).ok, 'boolean');
      }),
    );
    for (const { key, value, changeable } of configRows(base)) {
      if (changeable === 'no' || key === 'scram_mock_secret') continue;
      assert.deepEqual(
        set(key, value ?? '').settings,
        { ...base.settings, ...(value === null ? { [key]: undefined } : {}) },
        key,
      );
    }
  });
});
