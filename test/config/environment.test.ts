import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import fc from 'fast-check';

import { DATABASE, USER, configOf, load, problemsOf } from './fixtures.ts';

describe('overrides by the environment', () => {
  test('replace settings of the file and count as explicit', () => {
    const config = configOf(`[ostler]\nlisten_port = 1\n${DATABASE}${USER}`, {
      env: { OSTLER__OSTLER__LISTEN_PORT: '7000', OSTLER__OSTLER__MAX_CLIENT_CONN: '10' },
    });
    assert.equal(config.settings.listen_port, 7000);
    assert.deepEqual([...config.explicit], ['listen_port', 'max_client_conn']);
  });

  test('find entries in any case, and make new ones in lower case', () => {
    const config = configOf(`[databases.MyApp]\nhost = "a"\n${USER}`, {
      env: {
        OSTLER__DATABASES__MYAPP__HOST: 'b',
        OSTLER__DATABASES__OTHER__DB__HOST: 'c',
        OSTLER__USERS__APP__PASSWORD: `new \${env:X}`,
      },
    });
    assert.equal(config.databases.get('MyApp')?.host, 'b');
    assert.equal(config.databases.get('other__db')?.host, 'c');
    assert.equal(config.users.get('app')?.password, `new \${env:X}`, 'values are taken as they are');
  });

  test('read secrets from the file that a variable with _FILE names', () => {
    const config = configOf(DATABASE, {
      env: {
        OSTLER__USERS__APP__PASSWORD_FILE: '/run/app',
        OSTLER__OSTLER__SCRAM_MOCK_SECRET_FILE: '/run/mock',
      },
      files: { '/run/app': 'hush\n', '/run/mock': 'mock' },
    });
    assert.equal(config.users.get('app')?.password, 'hush');
    assert.equal(config.settings.scram_mock_secret, 'mock');
  });

  test('know settings that end in _file from files of secrets', () => {
    const config = configOf(DATABASE, { env: { OSTLER__OSTLER__AUTH_FILE: '/etc/userlist.txt' } });
    assert.equal(config.settings.auth_file, '/etc/userlist.txt');
  });

  test('are enough without a file', () => {
    const config = configOf(undefined, {
      env: { OSTLER__DATABASES__APP__HOST: 'h', OSTLER__USERS__APP__PASSWORD: 'p' },
    });
    assert.equal(config.databases.get('app')?.host, 'h');
    assert.equal(config.path, undefined);
  });

  test('that are wrong are reported with the name of the variable', () => {
    assert.deepEqual(
      problemsOf(`${DATABASE}${USER}`, {
        env: {
          OSTLER__FOO: '1',
          OSTLER__OSTLER__LISTEN_PRT: '1',
          OSTLER__OSTLER__LOGFILE: 'x',
          OSTLER__DATABASES__APP__POOL_SIZE: 'many',
          OSTLER__DATABASES__APP__PASWORD_FILE: '/x',
          OSTLER__USERS__APP__PASSWORD: 'a',
          OSTLER__USERS__APP__PASSWORD_FILE: '/x',
          OSTLER__USERS__B__PASSWORD_FILE: '/nope',
        },
      }),
      [
        'environment variable OSTLER__DATABASES__APP__PASWORD_FILE: unknown setting "pasword_file" in [databases.app]; did you mean "OSTLER__DATABASES__APP__PASSWORD_FILE"?',
        'environment variable OSTLER__FOO: does not name a setting; such variables are called OSTLER__OSTLER__KEY, OSTLER__DATABASES__NAME__KEY or OSTLER__USERS__NAME__KEY',
        'environment variable OSTLER__OSTLER__LISTEN_PRT: unknown setting "listen_prt" in [ostler]; did you mean "OSTLER__OSTLER__LISTEN_PORT"?',
        'environment variable OSTLER__OSTLER__LOGFILE: "logfile" has no meaning here: ostler logs JSON lines to standard output',
        'environment variable OSTLER__USERS__APP__PASSWORD_FILE: is set together with the variable without _FILE; remove one of them',
        'environment variable OSTLER__USERS__B__PASSWORD_FILE: cannot read /nope (ENOENT)',
        'environment variable OSTLER__DATABASES__APP__POOL_SIZE: databases.app.pool_size must be a whole number from 1 to 1000000',
      ],
    );
  });

  test('never throw, whatever they are called and hold', () => {
    const part = fc.oneof(
      fc.constantFrom('OSTLER', 'DATABASES', 'USERS', 'APP', 'HOST', 'PASSWORD_FILE', '__PROTO__'),
      fc.string(),
    );
    const name = fc.array(part, { maxLength: 4 }).map((parts) => `OSTLER__${parts.join('__')}`);
    fc.assert(
      fc.property(fc.dictionary(name, fc.string()), (env) => {
        assert.equal(typeof load(DATABASE, { env }).ok, 'boolean');
      }),
    );
  });
});
