/** pgjdbc, in Java, with its defaults. */
import { javaProgram } from './support/java.ts';
import { describeScript, TAKING_TURNS } from './support/scenarios.ts';
import { SESSION_SCENARIOS, SESSION_TABLES } from './support/sessions.ts';

await describeScript({
  ...TAKING_TURNS,
  subject: 'A session of pgjdbc',
  program: javaProgram('Sessions'),
  setup: SESSION_TABLES,
  scenarios: [
    ...SESSION_SCENARIOS,
    { name: 'startup', claim: 'keeps what each of its connections has said at its start' },
    { name: 'isolation', claim: 'keeps the isolation level of each connection' },
  ],
});
