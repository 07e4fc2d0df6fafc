/** Who gets in, by which way of asking and which stored secret, and how the pooler itself gets in at the server. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { scramVerifierText } from '../../src/auth/secrets.ts';
import { message, startup, told } from '../support/messages.ts';
import { type Configuration, leave, PASSWORD, refusalOf, toml, useYard, value } from '../support/pooling.ts';
import { RawClient } from '../support/raw-client.ts';

const md5Of = (user: string): string =>
  `md5${createHash('md5')
    .update(PASSWORD + user)
    .digest('hex')}`;

describe('a client', () => {
  const databases = { postgres: { user: 'app', password: PASSWORD } };
  const verifier = scramVerifierText(PASSWORD);
  const files = { 'userlist.txt': `"listed" "${PASSWORD}"\n"app" "not what [users] says"\n` };
  const yard = useYard({ files, configuration: { databases } });

  /** The same daemon, asking for passwords in another way. */
  async function ask(
    authType: string,
    users: Configuration['users'] & object,
    more: Configuration['ostler'] & object = {},
  ): Promise<void> {
    const { daemon, postgres } = yard();
    const since = daemon.log.length;
    const ostler = { auth_type: authType, auth_file: 'userlist.txt', ...more };
    await daemon.writeConfig(toml(postgres, { ostler, databases, users }));
    daemon.child.kill('SIGHUP');
    const { msg } = await daemon.waitForLog((line) => String(line['msg']).startsWith('RELOAD'), since);
    assert.equal(msg, 'RELOAD');
  }

  async function greet(user: string): Promise<RawClient> {
    const client = await RawClient.open({ host: '127.0.0.1', port: yard().daemon.port });
    client.send(startup({ user, database: 'postgres' }));
    return client;
  }

  /** The first authentication request: the number that it has in the protocol, and what comes with it. */
  async function askedFor(user: string): Promise<{ kind: number; payload: string }> {
    const client = await greet(user);
    const { type, body } = await client.next();
    client.reset();
    assert.equal(type, 'R');
    return { kind: body.readInt32BE(0), payload: body.toString('latin1', 4) };
  }

  async function getsIn(user: string, password = PASSWORD): Promise<void> {
    const client = await yard().client({ user, password });
    assert.equal(await value(client, 'SELECT current_user::text'), 'app');
    await leave(client);
  }

  async function isRefused(user: string, password: string): Promise<void> {
    const error = await refusalOf(yard().client({ user, password }));
    assert.equal(error.code, '28P01');
    assert.equal(error.severity, 'FATAL');
    assert.match(error.message, /^(password|SASL) authentication failed$/);
  }

  describe('of auth_type "scram-sha-256"', () => {
    before(async () => {
      const users = { plain: {}, verified: { password: await verifier }, empty: { password: '' } };
      await ask('scram-sha-256', users);
    });

    test('is asked for SCRAM, and gets in by a plain secret, a verifier or the user list', async () => {
      assert.deepEqual(await askedFor('plain'), { kind: 10, payload: 'SCRAM-SHA-256\0\0' });
      for (const user of ['plain', 'verified', 'listed']) await getsIn(user);
    });

    test('does not get in with a wrong password, nor by an empty secret', async () => {
      for (const user of ['plain', 'verified', 'listed', 'empty']) await isRefused(user, 'wrong');
      await isRefused('empty', PASSWORD);
    });

    test('that is refused is named in the log, with the database that it asked for', async () => {
      const { daemon } = yard();
      await refusalOf(yard().client({ user: 'verified', password: 'wrong', database: 'nowhere' }));
      const line = await daemon.waitForLog(({ database }) => database === 'nowhere');
      assert.equal(line['user'], 'verified');
      assert.equal(line['reason'], 'wrong password');
    });

    test('that nobody knows is told word for word what a wrong password is told, and nothing of databases', async () => {
      const [known, unknown, elsewhere] = await Promise.all(
        [
          { user: 'plain', password: 'wrong' },
          { user: 'stranger', password: 'wrong' },
          { user: 'plain', password: 'wrong', database: 'no such database' },
        ].map((who) => refusalOf(yard().client(who))),
      );
      assert.deepEqual({ ...unknown }, { ...known });
      assert.deepEqual({ ...elsewhere }, { ...known });
      assert.equal(unknown?.message, known?.message);
      assert.equal(elsewhere?.message, known?.message);
      assert.deepEqual(await askedFor('stranger'), await askedFor('plain'));
    });

    test('that nobody knows is shown the same salt each time, as known users are', async () => {
      const saltOf = async (user: string): Promise<string | undefined> => {
        const client = await greet(user);
        await client.next();
        const first = 'n,,n=,r=stable';
        client.send(
          message('p', (writer) => writer.cstring('SCRAM-SHA-256').int32(first.length).text(first)),
        );
        const { body } = await client.next();
        client.reset();
        return /s=[^,]+,i=\d+$/.exec(body.toString('latin1'))?.[0];
      };
      const looksRight = /^s=[A-Za-z0-9+/]{22}==,i=4096$/;
      const salts = await Promise.all(['stranger', 'somebody', 'plain'].map((user) => saltOf(user)));
      for (const salt of salts) assert.match(salt ?? '', looksRight);
      assert.equal(new Set(salts).size, 3);
      const again = await Promise.all(['stranger', 'somebody', 'plain'].map((user) => saltOf(user)));
      assert.deepEqual(again, salts);
    });

    test('without a name is told so', async () => {
      const client = await RawClient.open({ host: '127.0.0.1', port: yard().daemon.port });
      client.send(startup({ database: 'postgres' }));
      assert.deepEqual((await client.untilClosed()).map(told), ['E 28000 no username supplied']);
    });
  });

  describe('of auth_type "md5"', () => {
    before(async () => {
      const users = {
        plain: {},
        hashed: { password: md5Of('hashed') },
        verified: { password: await verifier },
      };
      await ask('md5', users);
    });

    test('is asked for MD5, and gets in by a plain secret or a hash; by a verifier it is asked for SCRAM', async () => {
      for (const user of ['plain', 'hashed', 'stranger']) assert.equal((await askedFor(user)).kind, 5);
      assert.equal((await askedFor('verified')).kind, 10);
      for (const user of ['plain', 'hashed', 'verified', 'listed']) await getsIn(user);
    });

    test('does not get in with a wrong password', async () => {
      for (const user of ['plain', 'hashed', 'verified', 'stranger']) await isRefused(user, 'wrong');
    });
  });

  describe('of auth_type "plain"', () => {
    before(async () => {
      const users = {
        plain: {},
        hashed: { password: md5Of('hashed') },
        verified: { password: await verifier },
      };
      await ask('plain', users);
    });

    test('is asked for its password, and gets in by any kind of secret', async () => {
      assert.equal((await askedFor('plain')).kind, 3);
      for (const user of ['plain', 'hashed', 'verified', 'listed']) await getsIn(user);
    });

    test('does not get in with a wrong password, nor with the stored secret itself', async () => {
      for (const user of ['plain', 'hashed', 'verified', 'stranger']) await isRefused(user, 'wrong');
      await isRefused('hashed', md5Of('hashed'));
      await isRefused('verified', await verifier);
    });
  });

  test('of auth_type "trust" gets in if it is known, whatever it says', async () => {
    await ask('trust', { plain: {} });
    await getsIn('plain', 'anything');
    const error = await refusalOf(yard().client({ user: 'stranger' }));
    assert.equal(error.code, '28000');
  });

  test('of auth_type "any" gets in, whoever it is', async () => {
    await ask('any', { plain: {} });
    await getsIn('stranger', 'anything');
  });

  test('that dawdles in its login does not keep others out, where only one may log in at a time', async () => {
    await ask('scram-sha-256', { plain: {} }, { max_client_logins: 1 });
    const dawdler = await RawClient.open({ host: '127.0.0.1', port: yard().daemon.port });
    dawdler.send(startup({ user: 'plain', database: 'postgres' }).subarray(0, 9));
    const asked = performance.now();
    await getsIn('plain');
    assert.ok(performance.now() - asked < 4_000);
    dawdler.reset();
  });
});

describe('the pooler itself', () => {
  const methods = ['trust', 'password', 'md5', 'scram-sha-256'] as const;
  const yard = useYard({
    schema: `CREATE ROLE by_trust LOGIN; CREATE ROLE by_password LOGIN PASSWORD '${PASSWORD}';
      SET password_encryption = 'md5'; CREATE ROLE by_md5 LOGIN PASSWORD '${PASSWORD}';
      SET password_encryption = 'scram-sha-256'; CREATE ROLE "by_scram-sha-256" LOGIN PASSWORD '${PASSWORD}';`,
    postgres: {
      files: {
        'pg_hba.conf': [
          ...methods.map((method) => `host all "by_${method}" 127.0.0.1/32 ${method}`),
          'host all all 127.0.0.1/32 scram-sha-256\n',
        ].join('\n'),
      },
    },
    configuration: {
      ostler: { allow_cleartext_server_password: true, server_login_retry: 0 },
      databases: {
        ...Object.fromEntries(
          methods.flatMap((method) => [
            [method, { user: `by_${method}`, password: PASSWORD }],
            [`${method} wrong`, { user: `by_${method}`, password: 'wrong' }],
          ]),
        ),
        hash: { user: 'by_md5', password: md5Of('by_md5') },
        'hash for scram': { user: 'by_scram-sha-256', password: md5Of('by_scram-sha-256') },
        none: { user: 'by_scram-sha-256' },
      },
    },
  });

  for (const method of methods) {
    test(`logs in to a server that asks for ${method}`, async () => {
      const client = await yard().client({ database: method });
      assert.equal(await value(client, 'SELECT session_user::text'), `by_${method}`);
      await leave(client);
    });

    if (method === 'trust') continue;
    test(`passes on what a server says that asks for ${method} and gets the wrong one`, async () => {
      const error = await refusalOf(yard().client({ database: `${method} wrong` }));
      assert.equal(error.code, '28P01');
      assert.equal(error.message, `password authentication failed for user "by_${method}"`);
    });
  }

  test('logs in by an MD5 hash where the server asks for MD5, and says what is missing where it does not', async () => {
    const client = await yard().client({ database: 'hash' });
    assert.equal(await value(client, 'SELECT session_user::text'), 'by_md5');
    await leave(client);
    const error = await refusalOf(yard().client({ database: 'hash for scram' }));
    assert.equal(error.message, 'server login failed: wrong password type');
    assert.equal(
      error.detail,
      'The server asks user "by_scram-sha-256" for scram-sha-256; an MD5 hash is configured.',
    );
    assert.match(error.hint ?? '', /plain password/);
  });

  test('says that it has no password where the server asks for one', async () => {
    const error = await refusalOf(yard().client({ database: 'none' }));
    assert.match(error.detail ?? '', /nothing is configured/);
  });

  test('does not send a password in clear over an open connection, unless told that this is meant', async () => {
    const { daemon, postgres } = yard();
    const since = daemon.log.length;
    await daemon.writeConfig(
      toml(postgres, {
        ostler: { server_login_retry: 0 },
        databases: { open: { user: 'by_password', password: PASSWORD } },
      }),
    );
    daemon.child.kill('SIGHUP');
    await daemon.waitForLog(({ msg }) => msg === 'RELOAD', since);
    const error = await refusalOf(yard().client({ database: 'open' }));
    assert.equal(error.code, '28000');
    assert.match(error.message, /the server wants the password in cleartext over an unencrypted connection$/);
    assert.match(error.hint ?? '', /server_tls_sslmode/);
  });
});
