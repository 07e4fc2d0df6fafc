/** The two psycopgs. */
import { pythonScript } from './support/python.ts';
import { describeScript } from './support/scenarios.ts';

await describeScript({
  subject: 'psycopg 3',
  program: pythonScript('python/psycopg_clients.py'),
  poolSize: 5,
  scenarios: [
    { name: 'prepared_questions', claim: 'gets the answers to prepared statements', prepares: true },
    { name: 'unprepared_questions', claim: 'gets the answers to unnamed statements' },
    { name: 'client_side_binding', claim: 'gets the answers to simple queries' },
    {
      name: 'pipelines',
      claim: 'sends many statements ahead, and recovers from a failed one',
    },
    {
      name: 'copying',
      claim: 'copies in and out, and recovers from copies that fail on either side',
    },
    { name: 'cancels', claim: 'cancels its own query and no other' },
    { name: 'cursors', claim: 'scrolls server-side cursors inside transactions' },
    { name: 'notices', claim: 'hears the notices of its own statements' },
    {
      name: 'transactions',
      claim: 'keeps isolation levels and savepoints to its transactions',
    },
    {
      name: 'parameters',
      claim: 'keeps what it has set of the parameters that are reported',
    },
  ],
});

await describeScript({
  subject: 'psycopg2',
  program: pythonScript('python/psycopg2_clients.py'),
  poolSize: 4,
  scenarios: [
    { name: 'questions', claim: 'gets the answers to its questions' },
    { name: 'transactions', claim: 'inserts, commits and rolls back' },
    { name: 'copying', claim: 'copies in and out, and recovers from a failed copy' },
    { name: 'cursors', claim: 'reads a named cursor inside a transaction' },
    { name: 'cancels', claim: 'cancels its own query and no other' },
    { name: 'notices', claim: 'hears the notices of its own statements' },
  ],
});
