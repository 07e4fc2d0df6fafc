import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { DATABASE, configOf, problemsOf, warningsOf } from './fixtures.ts';

describe('references to the outside', () => {
  test('are replaced inside any text, numbers and durations too', () => {
    const config = configOf(
      `[ostler]\nlisten_port = "\${env:PORT}"\nquery_timeout = "\${env:SECONDS}s"\nlog_connections = "\${env:ON}"\n`.concat(
        DATABASE,
        `[users.app]\npassword = "\${file:/run/secrets/app}"\n`,
      ),
      {
        env: { PORT: '7000', SECONDS: '3', ON: 'true' },
        files: { '/run/secrets/app': `pa$$ \${env:PORT}\n` },
      },
    );
    assert.equal(config.settings.listen_port, 7000);
    assert.equal(config.settings.query_timeout, 3000);
    assert.equal(config.settings.log_connections, true);
    assert.equal(config.users.get('app')?.password, `pa$$ \${env:PORT}`);
  });

  test('can be written as plain characters with a second dollar sign', () => {
    const config = configOf(`${DATABASE}[users.app]\npassword = "a$\${env:X}b"\n`);
    assert.equal(config.users.get('app')?.password, `a\${env:X}b`);
  });

  test('that lead nowhere are reported once, with their line', () => {
    assert.deepEqual(
      problemsOf(
        `[databases.app]\nhost = "\${env:NOPE}"\n[users.app]\npassword = "\${file:/nope}"\npool_mode = "\${x}"\n`,
      ),
      [
        'ostler.toml:2:1: databases.app.host: environment variable NOPE is not set',
        'ostler.toml:4:1: users.app.password: cannot read /nope (ENOENT)',
        `ostler.toml:5:1: users.app.pool_mode: "\${" must begin \${env:NAME} or \${file:PATH}; write "$\${" for the characters themselves`,
      ],
    );
  });

  test('do not take what every object has for a variable', () => {
    assert.deepEqual(problemsOf(`${DATABASE}[users.app]\npassword = "\${env:constructor}"\n`), [
      'ostler.toml:4:1: users.app.password: environment variable constructor is not set',
    ]);
  });

  test('never bring a secret into a problem or a warning', () => {
    const secret = 'correct-horse-battery';
    const surroundings = {
      env: { S: secret, OSTLER__OSTLER__LISTEN_PORT: secret, OSTLER__DATABASES__APP__POOL_SIZE: secret },
    };
    const keys = [
      'listen_addr',
      'pool_mode',
      'tcp_keepalive',
      'unix_socket_mode',
      'client_tls_protocols',
      'max_packet_size',
    ];
    const text = `[ostler]\n${keys.map((key) => `${key} = "\${env:S} !"`).join('\n')}\n[databases.app]\nhost = "\${env:S} !"\n`;
    const problems = problemsOf(text, surroundings);
    assert.equal(problems.length, keys.length + 3);
    assert.ok(problems.every((line) => !line.includes(secret)));
    assert.deepEqual(
      warningsOf(`${DATABASE}[users.app]\npassword = "\${env:S}"\n`, { env: { S: secret } }),
      [],
    );
  });
});
