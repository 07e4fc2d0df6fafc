import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { Changes } from '../../src/config/changes.ts';
import { changes } from '../../src/config/changes.ts';
import { DATABASE, USER, configOf } from './fixtures.ts';

const between = (old: string, next: string): Changes => changes(configOf(old), configOf(next));
const none = { added: [], removed: [], changed: [], reconnect: [] };

describe('changes', () => {
  test('are none between two readings of the same text', () => {
    const text = `[ostler]\nadmin_users = "app"\n${DATABASE}${USER}`;
    const { config, ...rest } = between(text, text);
    assert.deepEqual(rest, { settings: [], needRestart: [], databases: none, users: none });
    assert.deepEqual(config, configOf(text));
  });

  test('keep the old value of what needs a restart, and name it', () => {
    const found = between(
      `[ostler]\nlisten_port = 1\npool_mode = "session"\n${DATABASE}${USER}`,
      `[ostler]\nlisten_port = 2\nhttp_port = 3\n${DATABASE}${USER}`,
    );
    assert.deepEqual(found.settings, ['pool_mode']);
    assert.deepEqual(found.needRestart, ['listen_port', 'http_port']);
    assert.equal(found.config.settings.listen_port, 1);
    assert.equal(found.config.settings.http_port, 9127);
    assert.equal(found.config.settings.pool_mode, 'transaction');
    assert.ok(Object.isFrozen(found.config.settings));
  });

  test('tell databases whose servers must reconnect from those with another size', () => {
    const entry = (name: string, more: string): string => `[databases.${name}]\nhost = "h"\n${more}\n`;
    const found = between(
      entry('gone', '') + entry('size', '') + entry('port', '') + entry('same', 'dbname = "same"') + USER,
      entry('new', '') +
        entry('size', 'pool_size = 3') +
        entry('port', 'port = 1') +
        entry('same', '') +
        USER,
    );
    assert.deepEqual(found.databases, {
      added: ['new'],
      removed: ['gone'],
      changed: ['size', 'port'],
      reconnect: ['port'],
    });
  });

  for (const change of [
    'dbname = "x"',
    'host = "other"',
    'user = "x"',
    'connect_query = "select 1"',
    'server_tls_sslmode = "require"',
    'timezone = "UTC"',
  ]) {
    test(`reconnect servers for ${change}`, () => {
      const host = change.startsWith('host') ? '' : 'host = "127.0.0.1"\n';
      const found = between(`${DATABASE}${USER}`, `[databases.app]\n${host}${change}\n${USER}`);
      assert.deepEqual(found.databases.reconnect, ['app']);
    });
  }

  test('of the TLS settings reconnect the servers of every database that stays', () => {
    const found = between(
      `${DATABASE}[databases."*"]\nhost = "h"\n${USER}`,
      `[ostler]\nserver_tls_sslmode = "require"\n${DATABASE}[databases."*"]\nhost = "h"\n[databases.new]\nhost = "h"\n${USER}`,
    );
    assert.deepEqual(found.databases, { ...none, added: ['new'], reconnect: ['app', '*'] });
  });

  test('of users name those with another password', () => {
    const found = between(
      `${DATABASE}[users.a]\npassword = "1"\n[users.b]\npassword = "1"\n[users.c]\npassword = "1"\n`,
      `${DATABASE}[users.a]\npassword = "2"\n[users.b]\npassword = "1"\npool_size = 1\n[users.d]\npassword = "1"\n`,
    );
    assert.deepEqual(found.users, { added: ['d'], removed: ['c'], changed: ['a', 'b'], reconnect: ['a'] });
  });
});
