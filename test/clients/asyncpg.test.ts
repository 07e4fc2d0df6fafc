/** asyncpg, and SQLAlchemy on top of it. */
import { pythonScript } from './support/python.ts';
import { describeScript, TAKING_TURNS } from './support/scenarios.ts';
import { SESSION_SCENARIOS, SESSION_TABLES } from './support/sessions.ts';

await describeScript({
  subject: 'asyncpg',
  program: pythonScript('python/asyncpg_clients.py'),
  poolSize: 5,
  scenarios: [
    {
      name: 'questions',
      claim: 'gets the answer to each of its questions, on 50 connections',
      prepares: true,
    },
    { name: 'transactions', claim: 'transfers within transactions and savepoints', prepares: true },
    {
      name: 'copying',
      claim: 'copies records in and queries out, and recovers from a failed copy',
      prepares: true,
    },
    { name: 'timeouts', claim: 'gives up on a query, which ends that query and no other', prepares: true },
    { name: 'cursors', claim: 'reads a cursor in parts inside a transaction', prepares: true },
    { name: 'pool', claim: 'resets the connections of its own pool', prepares: true },
    { name: 'mistakes', claim: 'hears of its own errors and goes on', prepares: true },
  ],
});

await describeScript({
  subject: 'SQLAlchemy',
  program: pythonScript('python/sqlalchemy_clients.py'),
  poolSize: 4,
  scenarios: [
    { name: 'asyncpg_own_pool', claim: 'loads and stores on asyncpg with its own pool', prepares: true },
    { name: 'asyncpg_no_pool', claim: 'loads and stores on asyncpg with no pool of its own', prepares: true },
    { name: 'psycopg_own_pool', claim: 'loads and stores on psycopg with its own pool' },
  ],
});

await describeScript({
  ...TAKING_TURNS,
  subject: 'A session of asyncpg',
  program: pythonScript('python/asyncpg_sessions.py'),
  setup: SESSION_TABLES,
  scenarios: [
    ...SESSION_SCENARIOS,
    { name: 'startup', claim: 'keeps what each of its connections has said at its start' },
  ],
});

await describeScript({
  ...TAKING_TURNS,
  subject: 'A session of SQLAlchemy on asyncpg',
  program: pythonScript('python/sqlalchemy_sessions.py'),
  setup: SESSION_TABLES,
  scenarios: [
    { name: 'tenants', claim: 'keeps what the engine of each tenant has set on its connections' },
    { name: 'shared_engine', claim: 'changes from tenant to tenant on connections of one engine' },
    { name: 'autocommit', claim: 'keeps roles in autocommit apart from transactions' },
    { name: 'temporary', claim: 'keeps a temporary table over transactions and streams it' },
  ],
});
