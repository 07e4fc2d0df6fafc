/** What cannot be put onto the next server ends the session in the server's words, with nothing done; nobody else is hurt. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leave, refusalOf, useYard, value } from '../support/pooling.ts';

const yard = useYard({
  roles: { app: 'SUPERUSER', plain: '', granted: '', groom: '' },
  schema: `REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) TO granted;
    GRANT groom TO granted; CREATE TABLE hay (n int); GRANT ALL ON hay TO plain, app;`,
  configuration: {
    ostler: { default_pool_size: 2, server_round_robin: true },
    users: { app: {}, plain: {}, granted: {} },
  },
});

test('a role that is gone by then', async () => {
  const [client, other] = [await yard().client(), await yard().client()];
  await yard().sql('CREATE ROLE brief; GRANT ALL ON hay TO brief');
  await client.query('SET ROLE brief');
  await yard().sql('DROP OWNED BY brief; DROP ROLE brief');
  await other.query('SELECT 1');
  const error = await refusalOf(client.query('INSERT INTO hay VALUES (1)'));
  assert.deepEqual([error.severity, error.code], ['FATAL', '22023']);
  assert.match(error.message, /^cannot restore session settings: role "brief" does not exist/);
  assert.deepEqual(await yard().sql('SELECT * FROM hay'), []);
  assert.equal(await value(other, 'SELECT current_user::text'), 'app');
});

test('any setting, where the user of the pool may not run set_config', async () => {
  const [client, other] = [await yard().client({ user: 'plain' }), await yard().client({ user: 'plain' })];
  await Promise.all([client.query('BEGIN'), other.query('BEGIN')]);
  await Promise.all([client.query('COMMIT'), other.query('COMMIT')]);
  await client.query(`SET work_mem = '5MB'`);
  const error = await refusalOf(client.query('INSERT INTO hay VALUES (1)'));
  assert.deepEqual([error.severity, error.code], ['FATAL', '42501']);
  assert.match(error.message, /^cannot restore session settings: permission denied for function set_config/);
  assert.deepEqual(await yard().sql('SELECT * FROM hay'), []);
  assert.equal(await value(other, 'SHOW work_mem'), '4MB');
  const refused = await refusalOf(yard().client({ user: 'plain' }, { options: '-c work_mem=8MB' }));
  assert.equal(refused.code, '42501');
});

test('but not where only the role that it has taken may not', async () => {
  const [client, other] = [
    await yard().client({ user: 'granted' }),
    await yard().client({ user: 'granted' }),
  ];
  await client.query(`SET work_mem = '5MB'; SET ROLE groom`);
  for (let n = 0; n < 4; n++) {
    assert.equal(await value(client, `SELECT current_user || current_setting('work_mem')`), 'groom5MB');
    assert.equal(await value(other, `SELECT current_user || current_setting('work_mem')`), 'granted4MB');
  }
  await leave(client);
  await leave(other);
});
