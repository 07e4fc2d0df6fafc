import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { isLoopback } from '../../src/config/rules.ts';
import { DATABASE, USER, configOf, problemsOf, warningsOf } from './fixtures.ts';

const problems = (settings: string, rest = `${DATABASE}${USER}`): readonly string[] =>
  problemsOf(`[ostler]\n${settings}\n${rest}`);
const warnings = (settings: string, rest = `${DATABASE}${USER}`): readonly string[] =>
  warningsOf(`[ostler]\n${settings}\n${rest}`);

describe('a configuration is refused', () => {
  test('that lets in everybody from other machines, unless that is said to be meant', () => {
    const message =
      'ostler.toml:2:1: auth_type "trust" lets in everybody who can reach listen_addr; listen on 127.0.0.1 or a Unix socket only, or set allow_insecure_auth = true';
    assert.deepEqual(problems('auth_type = "trust"'), [message]);
    assert.deepEqual(problems('auth_type = "trust"\nlisten_addr = "127.0.0.1, 10.0.0.1"'), [message]);
    assert.deepEqual(problems('auth_type = "trust"\nlisten_addr = "*"'), [message]);
    assert.deepEqual(problems('auth_type = "trust"\nlisten_addr = "127.0.0.1, ::1, localhost"'), []);
    assert.deepEqual(problems('auth_type = "trust"\nlisten_addr = ""\nunix_socket_dir = "/run"'), []);
    assert.deepEqual(problems('auth_type = "trust"\nallow_insecure_auth = true'), []);
  });

  test('with auth_type any and a database without a user', () => {
    const any = 'auth_type = "any"\nlisten_addr = "127.0.0.1"';
    assert.deepEqual(problems(any), ['ostler.toml:4:1: auth_type "any" needs a user in each database entry']);
    assert.deepEqual(problems(any, '[databases.app]\nhost = "h"\nuser = "u"\n'), []);
  });

  test('with nowhere to listen on', () => {
    assert.deepEqual(problems('listen_addr = ""'), [
      'ostler.toml:2:1: nowhere to listen on: listen_addr and unix_socket_dir are empty',
    ]);
  });

  test('with one port for clients and metrics', () => {
    assert.deepEqual(problems('http_port = 6432'), ['ostler.toml:2:1: http_port must not be listen_port']);
    assert.deepEqual(problems('http_port = 0\nlisten_port = 0'), []);
  });

  test('with TLS for clients and no key, certificate or authorities', () => {
    assert.deepEqual(problems('client_tls_sslmode = "verify-full"'), [
      'ostler.toml:2:1: client_tls_sslmode "verify-full" needs client_tls_key_file',
      'ostler.toml:2:1: client_tls_sslmode "verify-full" needs client_tls_cert_file',
      'ostler.toml:2:1: client_tls_sslmode "verify-full" needs client_tls_ca_file',
    ]);
    assert.deepEqual(
      problems('client_tls_sslmode = "require"\nclient_tls_key_file = "k"\nclient_tls_cert_file = "c"'),
      [],
    );
  });

  test('that verifies servers without knowing authorities, said where the mode is set', () => {
    assert.match(
      problems('server_tls_sslmode = "verify-ca"').join('\n'),
      /^ostler\.toml:2:1: server_tls_sslmode "verify-ca" needs server_tls_ca_file; [^\n]*$/,
    );
    const entry = '[databases.app]\nhost = "h"\nserver_tls_sslmode = "verify-full"\n';
    assert.match(
      problems('', `${entry}${USER}`).join('\n'),
      /^ostler\.toml:5:1: server_tls_sslmode "verify-full" needs server_tls_ca_file; [^\n]*$/,
    );
    assert.deepEqual(problems('', `${entry}server_tls_ca_file = "ca.pem"\n${USER}`), []);
    assert.deepEqual(problems('server_tls_ca_file = "ca.pem"', `${entry}${USER}`), []);
  });

  test('with half of a client certificate for the server', () => {
    assert.deepEqual(problems('server_tls_key_file = "k"'), [
      'ostler.toml:2:1: server_tls_key_file and server_tls_cert_file belong together',
    ]);
  });

  test('without a database', () => {
    assert.deepEqual(problems('listen_port = 1', USER), [
      'ostler.toml: there is no database; add [databases.NAME] with a host',
    ]);
  });

  test('with a database named like the console, too long, or not at all', () => {
    const named = (name: string): string => `[databases."${name}"]\nhost = "h"\n${USER}`;
    assert.deepEqual(problems('', named('pgbouncer')), [
      'ostler.toml:3:1: database name "pgbouncer" is reserved for the console',
    ]);
    assert.equal(problems('', named('ostler')).length, 1);
    assert.equal(problems('', named('')).length, 1);
    assert.equal(problems('', named('é'.repeat(32))).length, 1);
    assert.equal(problems('', named('e'.repeat(63))).length, 0);
  });

  test('with a password in a database that names no user', () => {
    assert.deepEqual(problems('', `${DATABASE}password = "x"\n${USER}`), [
      'ostler.toml:5:1: databases.app has a password but no user',
    ]);
  });

  test('with a minimum above the size of the pool', () => {
    assert.deepEqual(problems('min_pool_size = 21'), [
      'ostler.toml:2:1: min_pool_size is larger than default_pool_size',
    ]);
    assert.deepEqual(problems('min_pool_size = 5', `${DATABASE}pool_size = 4\n${USER}`), [
      'ostler.toml:3:1: min_pool_size is larger than pool_size in databases.app',
    ]);
    assert.deepEqual(problems('', `${DATABASE}min_pool_size = 30\npool_size = 30\n${USER}`), []);
  });

  test('with a shutdown_delay that leaves no time to shut down', () => {
    assert.deepEqual(problems('shutdown_delay = 25'), [
      'ostler.toml:2:1: shutdown_delay must be shorter than shutdown_timeout',
    ]);
  });

  test('without a second complaint that only follows from a wrong value', () => {
    assert.deepEqual(problems('shutdown_timeout = "x"\nshutdown_delay = "10s"'), [
      'ostler.toml:2:1: ostler.shutdown_timeout must be a duration: a number of seconds, or text such as "15s", "500ms", "5m", "1h", "1d"',
    ]);
  });
});

describe('a warning', () => {
  test('says that nobody can log in', () => {
    const message =
      'nobody can log in: no user has a password; add [users.NAME] with a password, or set auth_file';
    assert.deepEqual(warnings('auth_type = "md5"', DATABASE), [`ostler.toml:2:1: ${message}`]);
    assert.deepEqual(warnings('', `${DATABASE}[users.app]\npassword = ""\n`), [`ostler.toml: ${message}`]);
    assert.deepEqual(warnings('auth_file = "userlist.txt"', DATABASE), []);
  });

  test('names users of the console who cannot log in', () => {
    assert.deepEqual(warnings('admin_users = "app, boss"'), [
      'ostler.toml:2:1: admin_users names "boss", who is not in [users]',
    ]);
    assert.deepEqual(warnings('admin_users = "boss"\nauth_file = "userlist.txt"'), []);
  });

  test('says which sizes can never be reached', () => {
    assert.deepEqual(warnings('max_db_connections = 10'), [
      'ostler.toml:3:1: pool_size 20 cannot be reached in databases.app: max_db_connections is 10',
    ]);
    assert.deepEqual(warnings('max_db_connections = 20\nreserve_pool_size = 5'), [
      'ostler.toml:4:1: reserve_pool_size is never used in databases.app: max_db_connections is 20',
    ]);
    assert.deepEqual(warnings('reserve_pool_size = 5\nreserve_pool_timeout = 0'), [
      'ostler.toml:3:1: reserve_pool_size is never used: reserve_pool_timeout is 0',
    ]);
  });

  test('is not given for the defaults', () => {
    assert.deepEqual(warnings(''), []);
    assert.equal(configOf(`${DATABASE}${USER}`).settings.auth_type, 'scram-sha-256');
  });
});

describe('isLoopback', () => {
  test('knows the addresses that only this machine can reach', () => {
    assert.deepEqual(['127.0.0.1', '127.1.2.3', '::1', 'localhost', '::ffff:127.0.0.1'].map(isLoopback), [
      true,
      true,
      true,
      true,
      true,
    ]);
    assert.deepEqual(['0.0.0.0', '*', '::', '10.0.0.1', 'example.com', '127.example.com'].map(isLoopback), [
      false,
      false,
      false,
      false,
      false,
      false,
    ]);
  });
});
