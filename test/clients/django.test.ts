/** Django: an app with models, migrations and views, many threads of it over a few servers. */
import { pythonScript } from './support/python.ts';
import { describeScript, type Scenario, TAKING_TURNS } from './support/scenarios.ts';

const requests = (how: string, environment: Readonly<Record<string, string>> = {}): Scenario => ({
  name: 'requests',
  claim: `answers requests that are transactions, ${how}`,
  environment,
});

await describeScript({
  subject: 'Django',
  program: pythonScript('django/scenarios.py'),
  poolSize: 4,
  // None of the time zones that the app asks for.
  postgres: { timezone: 'America/Lima' },
  scenarios: [
    { name: 'migrate', claim: 'migrates forth and back', alone: true },
    requests('on a connection each'),
    requests('on connections kept for a minute and checked', {
      SHOP_CONN_MAX_AGE: '60',
      SHOP_CONN_HEALTH_CHECKS: 'yes',
    }),
    requests('on connections kept for ever', { SHOP_CONN_MAX_AGE: 'null' }),
    requests('with parameters bound on the server', { SHOP_OPTIONS: '{"server_side_binding": true}' }),
    requests('with its own pool', { SHOP_OPTIONS: '{"pool": {"min_size": 4, "max_size": 20}}' }),
    requests('with another isolation level', { SHOP_OPTIONS: '{"isolation_level": 1}' }),
    { name: 'savepoints', claim: 'nests transactions' },
    { name: 'locks', claim: 'locks rows' },
    { name: 'bulk', claim: 'creates, updates and deletes rows in bulk' },
    { name: 'time_zones', claim: 'keeps the time zone of each alias' },
    { name: 'storm', claim: 'opens and closes connections all the time' },
    { name: 'iterators', claim: 'iterates over rows inside a transaction' },
    { name: 'deferred_constraints', claim: 'defers constraints to the commit' },
  ],
});

/** Connections for each thread and for good, so that what one request has set is there in the next. */
const KEPT = { SHOP_CONN_MAX_AGE: 'null' };

const tenants = (how: string, environment: Readonly<Record<string, string>>): Scenario => ({
  name: 'tenants',
  claim: `answers each request in the schema of its tenant, ${how}`,
  environment,
});

const SESSIONS: readonly Scenario[] = [
  { name: 'migrate', claim: 'migrates the schema of each tenant', alone: true },
  tenants('on connections kept for ever', KEPT),
  { name: 'startup_options', claim: 'keeps the startup options of each alias' },
  { name: 'roles', claim: 'keeps the role of each alias' },
  { name: 'iterators', claim: 'iterates over rows outside transactions' },
  { name: 'locks', claim: 'locks in one request what another unlocks', environment: KEPT },
  { name: 'leftovers', claim: 'finds nothing on a new connection that another has left' },
];

const ROLES = 'CREATE ROLE clerk NOLOGIN; GRANT clerk TO app';

await describeScript({
  ...TAKING_TURNS,
  subject: 'A session of Django on psycopg 3',
  program: pythonScript('django/sessions.py'),
  setup: ROLES,
  scenarios: [
    ...SESSIONS,
    tenants('on a connection each', {}),
    ...[{ server_side_binding: true }, { prepare_threshold: 1 }].map((options) =>
      tenants(`with ${JSON.stringify(options)}`, { ...KEPT, SHOP_OPTIONS: JSON.stringify(options) }),
    ),
    {
      name: 'iterators',
      claim: 'iterates over rows outside transactions, with parameters bound on the server',
      environment: { SHOP_OPTIONS: '{"server_side_binding": true, "prepare_threshold": 0}' },
    },
  ],
});

await describeScript({
  ...TAKING_TURNS,
  subject: 'A session of Django on psycopg2',
  program: pythonScript('django/sessions.py'),
  environment: { SHOP_DRIVER: 'psycopg2' },
  setup: ROLES,
  scenarios: SESSIONS,
});

await describeScript({
  ...TAKING_TURNS,
  subject: "Django's test runner",
  program: pythonScript('django/test_runner.py'),
  setup: 'ALTER ROLE app CREATEDB',
  anyDatabase: true,
  scenarios: [
    { name: 'one_database', claim: 'creates, migrates and drops its database', alone: true },
    { name: 'one_for_each_process', claim: 'copies its database for each of its processes', alone: true },
  ],
});
