/** Django on psycopg 3: an app with models, migrations and views, 20 threads of it over a few servers. */
import { describeScript, type Scenario } from './support/scenarios.ts';

const requests = (how: string, environment: Readonly<Record<string, string>> = {}): Scenario => ({
  name: 'requests',
  claim: `answers requests that are transactions, ${how}`,
  environment,
});

await describeScript({
  subject: 'Django',
  file: 'django/scenarios.py',
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
