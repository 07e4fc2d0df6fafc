import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import fc from 'fast-check';

import { loadConfig } from '../../src/config/load.ts';
import { DATABASE, USER, configOf, load, problemsOf } from './fixtures.ts';

describe('loadConfig', () => {
  test('fills in what the file does not say, and knows what it said', () => {
    const config = configOf(`[ostler]\nmax_client_conn = 5000\n${DATABASE}${USER}`);
    assert.equal(config.settings.max_client_conn, 5000);
    assert.equal(config.settings.default_pool_size, 20);
    assert.deepEqual([...config.explicit], ['max_client_conn']);
    assert.deepEqual(config.databases.get('app'), {
      name: 'app',
      host: '127.0.0.1',
      port: 5432,
      dbname: 'app',
    });
    assert.deepEqual(config.users.get('app'), { name: 'app', password: 'hush' });
    assert.equal(config.fallback, undefined);
    assert.equal(config.path, 'ostler.toml');
  });

  test('keeps the "*" entry apart, without a database name of its own', () => {
    const config = configOf(`[databases."*"]\nhost = "/run/postgresql"\n${USER}`);
    assert.equal(config.databases.size, 0);
    assert.equal(config.fallback?.host, '/run/postgresql');
    assert.equal(config.fallback.dbname, undefined);
  });

  test('gives durations in milliseconds, whether written as a number of seconds or with a unit', () => {
    const { settings } = configOf(
      `[ostler]\nquery_wait_timeout = 0.5\nserver_lifetime = "2h"\n${DATABASE}${USER}`,
    );
    assert.equal(settings.query_wait_timeout, 500);
    assert.equal(settings.server_lifetime, 7_200_000);
  });

  test('takes lists as arrays and as text with commas', () => {
    const { settings } = configOf(
      `[ostler]\nadmin_users = "app, app"\nlisten_addr = ["127.0.0.1", "::1"]\n${DATABASE}${USER}`,
    );
    assert.deepEqual(settings.admin_users, ['app', 'app']);
    assert.deepEqual(settings.listen_addr, ['127.0.0.1', '::1']);
  });

  test('tells PgBouncer\'s "<empty>" check from no check at all', () => {
    const query = (text: string): string | undefined =>
      configOf(`[ostler]\nserver_check_query = "${text}"\n${DATABASE}${USER}`).settings.server_check_query;
    assert.equal(query('<empty>'), '');
    assert.equal(query(''), undefined);
    assert.equal(query('select 1'), 'select 1');
  });

  test('treats sslmode allow as prefer, as PgBouncer does', () => {
    assert.equal(
      configOf(`[ostler]\nserver_tls_sslmode = "allow"\n${DATABASE}${USER}`).settings.server_tls_sslmode,
      'prefer',
    );
  });

  test('gives TLS protocols as the range that Node takes, and refuses a gap', () => {
    const text = (protocols: string): string =>
      `[ostler]\nclient_tls_protocols = "${protocols}"\n${DATABASE}${USER}`;
    assert.deepEqual(configOf(text('tlsv1.1, tlsv1.2')).settings.client_tls_protocols, {
      min: 'TLSv1.1',
      max: 'TLSv1.2',
    });
    assert.deepEqual(configOf(text('secure')).settings.client_tls_protocols, {
      min: 'TLSv1.2',
      max: 'TLSv1.3',
    });
    assert.equal(problemsOf(text('tlsv1.1:tlsv1.3')).length, 1);
  });

  test('freezes everything that it returns', () => {
    const config = configOf(`${DATABASE}${USER}`);
    const values = [
      config,
      config.settings,
      config.settings.listen_addr,
      config.settings.client_tls_protocols,
    ];
    assert.ok(values.every(Object.isFrozen));
    assert.ok([...config.databases.values(), ...config.users.values()].every(Object.isFrozen));
  });

  test('reports everything wrong at once, in the order of the file', () => {
    assert.deepEqual(
      problemsOf(
        [
          '[ostler]',
          'listen_prot = 1',
          'pool_mode = "transction"',
          'default_pool_size = 0',
          'query_wait_timeout = "15 parsecs"',
          '[databases.app]',
          'hots = "127.0.0.1"',
          '[pools]',
        ].join('\n'),
      ),
      [
        'ostler.toml:2:1: unknown setting "listen_prot" in [ostler]; did you mean "listen_port"?',
        'ostler.toml:3:1: ostler.pool_mode must be one of "session", "transaction"',
        'ostler.toml:4:1: ostler.default_pool_size must be a whole number from 1 to 1000000',
        'ostler.toml:5:1: ostler.query_wait_timeout must be a duration: a number of seconds, or text such as "15s", "500ms", "5m", "1h", "1d"',
        'ostler.toml:6:1: databases.app.host is missing',
        'ostler.toml:7:1: unknown setting "hots" in [databases.app]; did you mean "host"?',
        'ostler.toml:8:1: unknown section "pools"',
      ],
    );
  });

  test('says what to do instead of a setting that only PgBouncer has', () => {
    assert.deepEqual(problemsOf(`[ostler]\npkt_buf = 4096\nlogfile = "x"\n${DATABASE}${USER}`), [
      'ostler.toml:2:1: "pkt_buf" has no meaning here: ostler sizes its buffers itself',
      'ostler.toml:3:1: "logfile" has no meaning here: ostler logs JSON lines to standard output',
    ]);
  });

  test('says where settings outside of a section belong', () => {
    assert.deepEqual(problemsOf(`listen_port = 1\n[pgbouncer]\n${DATABASE}${USER}`), [
      'ostler.toml:1:1: "listen_port" is in no section; settings go below [ostler]',
      'ostler.toml:2:1: unknown section "pgbouncer"; PgBouncer\'s settings are in [ostler] here',
    ]);
  });

  test('finds the line of dotted keys, quoted keys, inline tables and headers', () => {
    const text = [
      'ostler.listen_port = "x"',
      'databases."my db" = { host = "h",',
      '  port = 0 }',
      '[databases.other]',
      'host = "h"',
      "  'pool_size' = -1",
      '[users]',
      'app.pool_mode = "x"',
    ].join('\n');
    assert.deepEqual(
      problemsOf(text).map((line) => line.split(' ', 2).join(' ')),
      [
        'ostler.toml:1:1: ostler.listen_port',
        'ostler.toml:3:3: databases."my',
        'ostler.toml:6:3: databases.other.pool_size',
        'ostler.toml:8:1: users.app.pool_mode',
      ],
    );
  });

  test('tells later checks where a value was written', () => {
    const result = load(`${DATABASE}${USER}`, { env: { OSTLER__USERS__APP__POOL_SIZE: '3' } });
    assert.ok(result.ok);
    assert.deepEqual(result.locate(['users', 'app', 'password']), {
      file: 'ostler.toml',
      line: 4,
      column: 1,
    });
    assert.deepEqual(result.locate(['databases', 'app']), { file: 'ostler.toml', line: 1, column: 1 });
    assert.deepEqual(result.locate(['users', 'app', 'pool_size']), {
      file: 'environment variable OSTLER__USERS__APP__POOL_SIZE',
    });
    assert.equal(result.locate(['ostler', 'listen_port']), undefined);
  });

  test('places a syntax error without repeating what stands there', () => {
    const [line = '', ...others] = problemsOf('[users.app]\npassword = hunter2\n');
    assert.match(line, /^ostler\.toml:2:12: syntax error/);
    assert.doesNotMatch(line, /hunter2|"h"/);
    assert.deepEqual(others, []);
    assert.deepEqual(problemsOf('[users.app]\npassword = 99999999999999999\n'), [
      'ostler.toml:2:12: a number, date or escape sequence is not valid',
    ]);
    assert.deepEqual(problemsOf('[ostler]\nlisten_port = 1\nlisten_port = 2\n'), [
      "ostler.toml:3:1: Cannot redefine existing key 'ostler.listen_port'",
    ]);
  });

  test('does not read PgBouncer ini files yet, and says so', () => {
    const result = loadConfig({ path: 'pgbouncer.ini', env: {}, readFile: () => '[pgbouncer]' });
    assert.equal(result.ok ? '' : result.problems[0]?.message, 'PgBouncer ini files are not read yet');
  });

  test('says which file cannot be read, and that nothing is configured', () => {
    const missing = loadConfig({
      path: 'nowhere.toml',
      env: {},
      readFile: () => {
        throw Object.assign(new Error('x'), { code: 'ENOENT' });
      },
    });
    assert.deepEqual(missing, {
      ok: false,
      problems: [{ file: 'nowhere.toml', message: 'cannot be read (ENOENT)' }],
    });
    assert.deepEqual(problemsOf(undefined), [
      'environment: there is no configuration; name a file, or set DATABASE_URL',
    ]);
  });

  test('never throws, whatever the text is', () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom(
        '[ostler]',
        '[databases.app]',
        '[users."a.b"]',
        'host = "h"',
        '__proto__ = 1',
        '[databases.__proto__]',
      ),
      fc
        .tuple(
          fc.constantFrom('listen_port', 'host', 'admin_users', 'password', 'constructor'),
          fc.jsonValue(),
        )
        .map(([key, value]) => `${key} = ${JSON.stringify(value)}`),
    );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        assert.equal(typeof load(lines.join('\n')).ok, 'boolean');
      }),
    );
  });
});
