/** What every driver is asked for to show that a session is kept: the scenarios, and the tables in which they happen. */
import type { Scenario } from './scenarios.ts';

export const TENANTS = 6;

/**
 * A schema for each tenant, with a table of the same name that says whose it is; a table of counters for all of them;
 * and a role that the clients may take on.
 */
export const SESSION_TABLES = `
  DO $$ BEGIN
    FOR tenant IN 0..${String(TENANTS - 1)} LOOP
      EXECUTE format('CREATE SCHEMA tenant_%s AUTHORIZATION app', tenant);
      EXECUTE format('CREATE TABLE tenant_%s.who AS SELECT %s AS tenant', tenant, tenant);
      EXECUTE format('GRANT SELECT ON tenant_%s.who TO app', tenant);
    END LOOP;
  END $$;
  CREATE TABLE counter AS SELECT key, 0 AS value FROM generate_series(0, 1) key;
  CREATE TABLE visit (id int PRIMARY KEY);
  GRANT ALL ON counter, visit TO app;
  CREATE ROLE clerk NOLOGIN;
  GRANT clerk TO app`;

export const SESSION_SCENARIOS: readonly Scenario[] = [
  { name: 'settings', claim: 'keeps what each of its clients has set' },
  { name: 'statements', claim: 'prepares one text for many tenants and time zones' },
  { name: 'listening', claim: 'hears what it listens to, and nothing else' },
  { name: 'temporary', claim: 'keeps a temporary table over transactions' },
  { name: 'locks', claim: 'keeps an advisory lock over transactions' },
  { name: 'cursors', claim: 'reads cursors over transactions and within one' },
  { name: 'mistakes', claim: 'undoes with a transaction what was set in it, and nothing else' },
];
