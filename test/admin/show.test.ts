/** What the SHOW commands show: PgBouncer's columns in its order and with its types, and rows that say what is. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type pg from 'pg';
import * as m from '../support/messages.ts';
import { connect, query, type Row } from '../support/postgres.ts';
import { useStage } from '../support/stage.ts';
import { until } from '../support/wait.ts';

const stage = useStage({
  settings: `admin_users = ["boss"]
stats_users = ["looker"]
max_prepared_statements = 10
[users.boss]
password = "b"
[users.looker]
password = "l"
pool_size = 7`,
  databases: { app: 'pool_size = 3', other: 'pool_mode = "session"' },
});

const console = (user = 'boss', database = 'pgbouncer', password = user[0] ?? ''): Promise<pg.Client> =>
  connect({ ...stage().through(database), user, password });

const show = (what: string): Promise<Row[]> =>
  query({ ...stage().through('pgbouncer'), user: 'looker', password: 'l' }, `SHOW ${what}`);

const types: Readonly<Record<string, number>> = { t: 25, i: 23, q: 20, n: 1700 };

const socket =
  'type t, user t, database t, replication t, state t, addr t, port i, local_addr t, local_port i, connect_time t, ' +
  'request_time t, wait i, wait_us i, close_needed i, ptr t, link t, remote_pid i, tls t, application_name t, ' +
  'prepared_statements i, id i';

const counted = (prefix: string, received: string, sent: string): string =>
  [
    'server_assignment_count',
    'xact_count',
    'query_count',
    received,
    sent,
    'xact_time',
    'query_time',
    'wait_time',
    'client_parse_count',
    'server_parse_count',
    'bind_count',
    'client_login_count',
  ]
    .map((name) => `${prefix}${name} n`)
    .join(', ');

const averages = counted('', 'bytes_received', 'bytes_sent').replaceAll(
  /\b(?=client_parse|server_parse|bind_|client_login)/g,
  'avg_',
);

const expected: Readonly<Record<string, string>> = {
  VERSION: 'version t',
  CONFIG: 'key t, value t, default t, changeable t',
  STATE: 'key t, value t',
  DATABASES:
    'name t, host t, port i, database t, force_user t, pool_size i, min_pool_size i, reserve_pool_size i, ' +
    'server_lifetime i, pool_mode t, load_balance_hosts t, max_connections i, current_connections i, ' +
    'max_client_connections i, current_client_connections i, paused i, disabled i',
  POOLS:
    'database t, user t, cl_active i, cl_waiting i, cl_active_cancel_req i, cl_waiting_cancel_req i, sv_active i, ' +
    'sv_active_cancel i, sv_being_canceled i, sv_idle i, sv_used i, sv_tested i, sv_login i, maxwait i, maxwait_us i, ' +
    'pool_mode t, load_balance_hosts t',
  PEERS: 'peer_id i, host t, port i, pool_size i',
  PEER_POOLS: 'peer_id i, cl_active_cancel_req i, cl_waiting_cancel_req i, sv_active_cancel i, sv_login i',
  CLIENTS: socket,
  SERVERS: socket,
  SOCKETS: `${socket}, recv_pos i, pkt_pos i, pkt_remain i, send_pos i, send_remain i, pkt_avail i, send_avail i`,
  ACTIVE_SOCKETS: `${socket}, recv_pos i, pkt_pos i, pkt_remain i, send_pos i, send_remain i, pkt_avail i, send_avail i`,
  USERS:
    'name t, pool_size t, reserve_pool_size t, pool_mode t, max_user_connections i, current_connections i, ' +
    'max_user_client_connections i, current_client_connections i',
  LISTS: 'list t, items i',
  MEM: 'name t, size i, used i, free i, memtotal i',
  DNS_HOSTS: 'hostname t, ttl q, addrs t',
  DNS_ZONES: 'zonename t, serial q, count i',
  STATS: `database t, ${counted('total_', 'received', 'sent')}, ${counted('avg_', 'recv', 'sent')}`,
  STATS_TOTALS: `database t, ${counted('', 'bytes_received', 'bytes_sent')}`,
  STATS_AVERAGES: `database t, ${averages}`,
  TOTALS: 'name t, value n',
};

/** Rows as objects by their first column. */
const byFirst = (rows: readonly Row[]): Record<string, Row> =>
  Object.fromEntries(rows.map((row) => [String(Object.values(row)[0]), row]));

describe('SHOW', () => {
  for (const [what, columns] of Object.entries(expected)) {
    test(`${what} has PgBouncer's columns in its order and with its types`, async () => {
      const client = await console('looker');
      const { fields, command } = await client.query(`show ${what.toLowerCase()};`);
      await client.end();
      const codes = Object.entries(types);
      const found = fields.map(
        ({ name, dataTypeID }) => `${name} ${codes.find(([, oid]) => oid === dataTypeID)?.[0] ?? dataTypeID}`,
      );
      assert.equal(found.join(', '), columns);
      assert.equal(command, 'SHOW');
    });
  }

  test('HELP prints every command in a notice', async () => {
    const client = await console();
    const notices: string[] = [];
    client.on('notice', ({ message, detail }) => notices.push(`${message}${detail ?? ''}`));
    await client.query('SHOW HELP');
    await client.end();
    assert.match(notices.join(), /^Console usage/);
    for (const word of ['POOLS', 'PAUSE', 'KILL_CLIENT', 'WAIT_FOR_SERVERS']) {
      assert.ok(notices.join().includes(word), word);
    }
  });

  test('VERSION begins like the version of PgBouncer that it follows', async () => {
    const [row] = await show('VERSION');
    assert.match(String(row?.['version']), /^PgBouncer \d+\.\d+\.\d+ \(ostler \d+\.\d+\.\d+\)$/);
  });

  test('is what SELECT means for its commands', async () => {
    const client = await console();
    assert.deepEqual((await client.query('SELECT version')).rows, await show('VERSION'));
    await client.end();
  });

  test('POOLS, CLIENTS, SERVERS and LISTS count a client in a transaction and one that is idle', async () => {
    const busy = await connect(stage().through('app'), { application_name: 'busy' });
    const idle = await connect(stage().through('app'), { application_name: 'idle' });
    await busy.query('BEGIN');
    const [pid] = (await busy.query<Row>('SELECT pg_backend_pid() AS pid')).rows;
    const pools = await show('POOLS');
    const pool = pools.find(({ database }) => database === 'app');
    assert.deepEqual(
      [pool?.['cl_active'], pool?.['cl_waiting'], pool?.['sv_active'], pool?.['pool_mode']],
      [2, 0, 1, 'transaction'],
    );
    const ours = pools.find(({ database }) => database === 'pgbouncer');
    assert.deepEqual(
      [ours?.['user'], ours?.['cl_active'], ours?.['pool_mode']],
      ['pgbouncer', 1, 'statement'],
    );

    const clients = await show('CLIENTS');
    const find = (name: string): Row | undefined =>
      clients.find(({ application_name: application }) => application === name);
    assert.deepEqual([find('busy')?.['state'], find('idle')?.['state']], ['active', 'idle']);
    assert.equal(find('idle')?.['link'], '');
    assert.match(String(find('busy')?.['connect_time']), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
    assert.equal(find('busy')?.['local_port'], stage().daemon.port);

    const servers = (await show('SERVERS')).filter(({ database }) => database === 'app');
    const linked = servers.find(({ remote_pid: remote }) => remote === pid?.['pid']);
    assert.equal(linked?.['state'], 'active');
    assert.equal(linked['port'], stage().postgres.port);
    assert.equal(find('busy')?.['link'], linked['ptr']);
    assert.equal(linked['link'], find('busy')?.['ptr']);

    const lists = byFirst(await show('LISTS'));
    assert.equal(lists['databases']?.['items'], 3);
    assert.equal(lists['used_clients']?.['items'], 3);
    assert.equal(lists['login_clients']?.['items'], 0);
    assert.equal(lists['used_servers']?.['items'], 1);
    await busy.end();
    await idle.end();
  });

  test('POOLS says who waits and since when', async () => {
    const holders = await Promise.all(Array.from({ length: 3 }, () => connect(stage().through('app'))));
    await Promise.all(holders.map((holder) => holder.query('BEGIN')));
    const waiter = await connect(stage().through('app'), { application_name: 'waiter' });
    const answer = waiter.query('SELECT 1');
    const pool = await until(async () => {
      const row = (await show('POOLS')).find(({ database }) => database === 'app');
      return Number(row?.['maxwait_us']) > 0 && row;
    });
    assert.deepEqual([pool['cl_active'], pool['cl_waiting'], pool['sv_active']], [3, 1, 3]);
    const waiting = (await show('CLIENTS')).find((row) => row['application_name'] === 'waiter');
    assert.equal(waiting?.['state'], 'waiting');
    await holders[0]?.query('COMMIT');
    await answer;
    await Promise.all([...holders, waiter].map((client) => client.end()));
  });

  test('DATABASES shows what holds for each, and the console itself', async () => {
    const rows = byFirst(await show('DATABASES'));
    assert.deepEqual(Object.keys(rows), ['app', 'other', 'pgbouncer']);
    const { host, port } = stage().postgres;
    assert.deepEqual(
      ['host', 'port', 'database', 'force_user', 'pool_size', 'pool_mode', 'paused', 'disabled'].map(
        (name) => rows['app']?.[name],
      ),
      [host, port, 'postgres', null, 3, null, 0, 0],
    );
    assert.equal(rows['other']?.['pool_mode'], 'session');
    assert.equal(rows['other']['pool_size'], 20);
    assert.equal(rows['app']?.['server_lifetime'], 3600);
  });

  test('USERS shows who is configured and what differs for them', async () => {
    const rows = byFirst(await show('USERS'));
    assert.equal(rows['looker']?.['pool_size'], '7');
    assert.equal(rows['boss']?.['pool_size'], null);
    assert.ok(Number(rows['looker']['current_client_connections']) >= 1, 'who is on the console counts');
  });

  test('STATS counts what went through, the same in its relatives', async () => {
    const before = byFirst(await show('STATS_TOTALS'))['app'];
    const client = await connect(stage().through('app'));
    for (let count = 0; count < 3; count++) await client.query('SELECT 1');
    await client.query('BEGIN; SELECT 1');
    await client.query('COMMIT');
    await client.end();
    const after = byFirst(await show('STATS_TOTALS'))['app'];
    const growth = (name: string): number => Number(after?.[name]) - Number(before?.[name] ?? 0);
    assert.deepEqual(
      [
        growth('query_count'),
        growth('xact_count'),
        growth('server_assignment_count'),
        growth('client_login_count'),
      ],
      [5, 4, 4, 1],
    );
    assert.ok(growth('bytes_received') > 0 && growth('bytes_sent') > 0 && growth('query_time') > 0);
    const stats = byFirst(await show('STATS'))['app'];
    assert.equal(stats?.['total_query_count'], after?.['query_count']);
    const totals = byFirst(await show('TOTALS'));
    assert.ok(Number(totals['total_query_count']?.['value']) >= Number(after?.['query_count']));
    assert.equal(Object.keys(totals).length, 24);
  });

  test('TOTALS count what the console is asked, each command as a transaction', async () => {
    const count = async (): Promise<unknown[]> => {
      const totals = byFirst(await show('TOTALS'));
      return ['total_query_count', 'total_xact_count'].map((name) => totals[name]?.['value']);
    };
    const [queries, transactions] = await count();
    assert.deepEqual(await count(), [Number(queries) + 1, Number(transactions) + 1].map(String));
  });

  test('CONFIG shows every setting once, in order, and no secret', async () => {
    const rows = await show('CONFIG');
    const keys = rows.map(({ key }) => String(key));
    assert.deepEqual(keys, keys.toSorted());
    assert.deepEqual(byFirst(rows)['max_prepared_statements'], {
      key: 'max_prepared_statements',
      value: '10',
      default: '200',
      changeable: 'yes',
    });
    assert.equal(byFirst(rows)['listen_port']?.['changeable'], 'no');
  });

  test('STATE is active', async () => {
    assert.deepEqual(await show('STATE'), [
      { key: 'active', value: 'yes' },
      { key: 'paused', value: 'no' },
      { key: 'suspended', value: 'no' },
    ]);
  });

  test('FDS says that it is not supported', async () => {
    await assert.rejects(show('FDS'), { code: '0A000', message: 'SHOW FDS is not supported' });
  });
});

describe('who may use the console', () => {
  test('nobody who is in neither admin_users nor stats_users', async () => {
    await assert.rejects(connect(stage().through('pgbouncer')), { code: '28000', message: 'not allowed' });
  });

  test('stats_users may look and not touch', async () => {
    const client = await console('looker');
    for (const command of [
      'PAUSE',
      'RELOAD',
      'KILL',
      'SHUTDOWN',
      'SET pool_mode = session',
      'KILL_CLIENT 1',
    ]) {
      await assert.rejects(client.query(command), { code: '42501', message: 'admin access needed' }, command);
    }
    assert.equal((await client.query('SHOW STATE')).rows.length, 3);
    await client.end();
  });

  test('whoever RELOAD or SET takes the right from loses it at once', async () => {
    const boss = await console();
    const looker = await console('looker');
    await boss.query("SET stats_users = ''");
    await assert.rejects(looker.query('SHOW POOLS'), { code: '42501' });
    await boss.query("SET stats_users = 'looker'");
    assert.ok((await looker.query('SHOW POOLS')).rows.length > 0);
    await boss.end();
    await looker.end();
  });

  test('the console is also called ostler, and greets like a server', async () => {
    const client = await stage().login('ostler', { user: 'boss', application_name: 'me' });
    assert.match(client.parameters.get('server_version') ?? '', /^\d+\.\d+\.\d+\/bouncer$/);
    assert.equal(client.parameters.get('application_name'), 'me');
    assert.equal(client.parameters.get('standard_conforming_strings'), 'on');
    assert.deepEqual((await client.query('SHOW application_name')).map(m.told), [
      'T application_name:25',
      'D me',
      'C SHOW',
      'Z I',
    ]);
    client.quit();
  });
});
