import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import fc from 'fast-check';

import type { Config, DatabaseEntry } from '../../src/config/config.ts';
import { configOf, load, problemsOf, warningsOf } from './fixtures.ts';

const read = (url: string): Config => configOf(undefined, { env: { DATABASE_URL: url } });
const database = (url: string): DatabaseEntry | undefined => [...read(url).databases.values()][0];
const problems = (url: string): readonly string[] => problemsOf(undefined, { env: { DATABASE_URL: url } });

describe('DATABASE_URL', () => {
  test('alone is a configuration: one database, and its user as the one who may log in', () => {
    const config = read('postgres://me:secret@db.example.com/app');
    assert.deepEqual(config.databases.get('app'), {
      name: 'app',
      host: 'db.example.com',
      port: 5432,
      dbname: 'app',
      user: 'me',
      password: 'secret',
    });
    assert.deepEqual(config.users.get('me'), { name: 'me', password: 'secret' });
    assert.equal(config.settings.server_tls_sslmode, 'prefer');
    assert.equal(config.fallback, undefined);
  });

  test('is decoded: user, password and database may hold any character', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 10 }), (text) => {
        fc.pre(!text.includes('\0') && !/^(ostler|pgbouncer)$/.test(text) && Buffer.byteLength(text) < 63);
        const part = encodeURIComponent(text);
        const entry = database(`postgresql://${part}:${part}@h:6000/${part.replaceAll('.', '%2E')}x`);
        assert.equal(entry?.user, text);
        assert.equal(entry.password, text);
        assert.equal(entry.dbname, `${text}x`);
      }),
    );
  });

  test('may name an IPv6 address, a port, or the folder of a Unix socket', () => {
    assert.equal(database('postgres://u:p@[::1]:5433/d')?.host, '::1');
    assert.equal(database('postgres://u:p@[::1]:5433/d')?.port, 5433);
    assert.equal(database('postgres://u:p@%2Frun%2Fpostgresql/d')?.host, '/run/postgresql');
    assert.equal(database('postgres:///d?host=/run/postgresql&user=u&password=p')?.host, '/run/postgresql');
    const entry = database('postgresql://u:p%40@/d?host=/run/postgresql&port=5433');
    assert.deepEqual([entry?.host, entry?.port, entry?.user], ['/run/postgresql', 5433, 'u']);
    assert.equal(entry?.password, 'p@');
    assert.deepEqual(problems('postgres://u:p@/d'), ['DATABASE_URL: databases.d.host is missing']);
  });

  test('without a database means the one called like the user, as in libpq', () => {
    assert.equal(database('postgres://u:p@h')?.name, 'u');
  });

  test('has parameters for TLS, time and names', () => {
    const config = read(
      'postgres://u:p@h/d?sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=3&application_name=x',
    );
    const entry = config.databases.get('d');
    assert.equal(entry?.server_tls_sslmode, 'verify-full');
    assert.equal(entry.server_tls_ca_file, '/ca.pem');
    assert.equal(entry.application_name, 'x');
    assert.equal(config.settings.server_connect_timeout, 3000);
  });

  test('is refused with a parameter that would do nothing', () => {
    assert.deepEqual(problems('postgres://u:p@h/d?sslmod=require&options=-c%20x%3D1'), [
      'DATABASE_URL: has a parameter without a meaning here; did you mean "sslmode"?',
      'DATABASE_URL: the parameter "options" cannot be used; clients may send options, or set connect_query in a file',
    ]);
    assert.deepEqual(
      warningsOf(undefined, { env: { DATABASE_URL: 'postgres://u:p@h/d?channel_binding=require' } }),
      [
        'DATABASE_URL: channel_binding=require is not enforced; it is used whenever the server offers it over TLS',
      ],
    );
  });

  test('that verifies the server says whose certificate to trust', () => {
    assert.match(problems('postgres://u:p@h/d?sslmode=verify-full').join(), /needs server_tls_ca_file/);
    assert.equal(
      database('postgres://u:p@h/d?sslmode=verify-full&sslrootcert=system')?.server_tls_ca_file,
      'system',
    );
  });

  test('that cannot be read is never repeated', () => {
    const urls = [
      'postgres://u:hunter2#x@h/d',
      'postgres://u:1?hunter2=x@h/d',
      'postgres://u:hunter2%zz@h/d',
      'mysql://u:hunter2@h/d',
      'postgres://u:hunter2@h/d?sslmode=hunter2',
      'postgres://u:hunter2@h/d?hunter2=1',
      'postgres://u:hunter2@h,i/d',
      'hunter2',
    ];
    for (const url of urls) {
      const found = problems(url);
      assert.notEqual(found.length, 0, url);
      assert.ok(
        found.every((line) => line.startsWith('DATABASE_URL: ') && !line.includes('hunter2')),
        url,
      );
    }
  });

  test('can be completed and corrected by OSTLER__ variables', () => {
    const config = configOf(undefined, {
      env: {
        DATABASE_URL: 'postgres://u:p@h/d',
        OSTLER__DATABASES__D__POOL_SIZE: '3',
        OSTLER__OSTLER__LISTEN_PORT: '1',
      },
    });
    assert.equal(config.databases.get('d')?.pool_size, 3);
    assert.equal(config.settings.listen_port, 1);
  });

  test('is not looked at when there is a file', () => {
    const config = configOf('[databases.app]\nhost = "h"\n', { env: { DATABASE_URL: 'nonsense' } });
    assert.deepEqual([...config.databases.keys()], ['app']);
  });

  test('never throws, whatever it is', () => {
    const url = fc.oneof(
      fc.webUrl(),
      fc.string().map((rest) => `postgres://${rest}`),
      fc.string(),
    );
    fc.assert(
      fc.property(url, (text) => {
        assert.equal(typeof load(undefined, { env: { DATABASE_URL: text } }).ok, 'boolean');
      }),
    );
  });
});
