import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { plannedConnections } from '../../src/proxy/server-capacity.ts';
import { configOf } from '../config/fixtures.ts';

const users = `
[users.a]
password = "x"
[users.b]
password = "y"
`;

describe('plannedConnections', () => {
  test('counts pool_size for each user of each database on the host', () => {
    const config = configOf(`
[ostler]
default_pool_size = 10
[databases.one]
host = "db"
[databases.two]
host = "db"
pool_size = 3
[databases.elsewhere]
host = "other"
${users}`);
    assert.equal(plannedConnections(config, 'db:5432'), 2 * 10 + 2 * 3);
  });

  test('counts a forced user once', () => {
    const config = configOf(`
[databases.one]
host = "db"
user = "a"
pool_size = 7
${users}`);
    assert.equal(plannedConnections(config, 'db:5432'), 7);
  });

  test('takes max_db_connections where that is less', () => {
    const config = configOf(`
[databases.one]
host = "db"
pool_size = 30
max_db_connections = 40
${users}`);
    assert.equal(plannedConnections(config, 'db:5432'), 40);
  });
});
