/** PostgreSQL reads its configuration anew while clients idle: what each of them is told is what it finds, with a server and without. */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import * as m from '../support/messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { useStage } from '../support/stage.ts';
import { until } from '../support/wait.ts';

const stage = useStage({
  settings: 'server_round_robin = true',
  databases: { three: 'pool_size = 3\nmin_pool_size = 3' },
});

/** What PostgreSQL says if nobody has set anything; every one of its processes hears of it when it next has something to do. */
async function configure(timeZone: string): Promise<void> {
  await stage().sql(`ALTER SYSTEM SET TimeZone = '${timeZone}'`);
  await stage().sql('SELECT pg_reload_conf()');
}

afterEach(async () => {
  await stage().sql('ALTER SYSTEM RESET TimeZone');
  await stage().sql('SELECT pg_reload_conf()');
});

/** What the client finds, which it has been told by then. */
async function found(client: RawClient): Promise<string | null | undefined> {
  const [timeZone] = m.valuesOf(await client.query('SHOW TimeZone'));
  assert.equal(client.parameters.get('TimeZone'), timeZone, 'what was reported is what is true');
  return timeZone;
}

/** It finds this on as many servers in a row as there are. */
async function finds(client: RawClient, timeZone: string): Promise<void> {
  let inARow = 0;
  await until(async () => {
    inARow = (await found(client)) === timeZone ? inARow + 1 : 0;
    return inARow === 4;
  });
}

describe('when PostgreSQL has read its configuration anew, a client is told so with its next answer', () => {
  const idlers: Readonly<Record<string, readonly string[]>> = {
    'that has no server': ['SELECT 1'],
    'that keeps its server': ['LISTEN stable'],
    'that is in a transaction': ['BEGIN', 'SELECT 1'],
    'that has set something else': [`SET work_mem = '5MB'`],
    'that has set the same, and reset it': [`SET TimeZone = 'America/Lima'`, 'RESET TimeZone'],
  };
  for (const [who, before] of Object.entries(idlers)) {
    test(who, async () => {
      const client = await stage().login('three');
      for (const sql of before) await client.query(sql);
      await finds(client, 'UTC');
      for (const timeZone of ['Europe/Berlin', 'UTC', 'Asia/Tokyo']) {
        await configure(timeZone);
        await finds(client, timeZone);
      }
      client.quit();
    });
  }
});

describe('it means nothing to a client', () => {
  const own: Readonly<Record<string, (client: RawClient) => Promise<unknown>>> = {
    'that has set it, and has no server': (client) => client.query('SELECT 1'),
    'that has set it, and keeps its server': (client) => client.query('LISTEN stable'),
    'that has set it, and is in a transaction': (client) => client.query('BEGIN'),
  };
  for (const [who, idle] of Object.entries(own)) {
    test(who, async () => {
      const [client, witness] = [await stage().login('three'), await stage().login('three')];
      await client.query(`SET TimeZone = 'America/Lima'`);
      await idle(client);
      await configure('Europe/Berlin');
      await finds(witness, 'Europe/Berlin');
      await finds(client, 'America/Lima');
      if (client.status === 'T') await client.query('COMMIT');
      await client.query('RESET TimeZone');
      await finds(client, 'Europe/Berlin');
      client.quit();
      witness.quit();
    });
  }

  test('that has brought it at login', async () => {
    const client = await stage().login('three', { TimeZone: 'America/Lima' });
    const witness = await stage().login('three');
    await configure('Europe/Berlin');
    await finds(witness, 'Europe/Berlin');
    await finds(client, 'America/Lima');
    await client.query(`SET TimeZone = 'America/Bogota'`);
    await client.query('RESET TimeZone');
    await finds(client, 'America/Lima');
    client.quit();
    witness.quit();
  });
});

test('what was set to what was usual before is what is usual now, on every server', async () => {
  const [client, witness] = [await stage().login('three'), await stage().login('three')];
  await finds(client, 'UTC');
  // One server after the other.
  for (let n = 0; n < 3; n++) await client.query(`SET TimeZone = 'UTC'`);
  await configure('Europe/Berlin');
  await finds(witness, 'Europe/Berlin');
  await finds(client, 'Europe/Berlin');
  client.quit();
  witness.quit();
});
