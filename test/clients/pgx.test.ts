/** pgx, in Go, with its cache of prepared statements. */
import { goProgram } from './support/go.ts';
import { describeScript, TAKING_TURNS } from './support/scenarios.ts';
import { SESSION_SCENARIOS, SESSION_TABLES } from './support/sessions.ts';

await describeScript({
  ...TAKING_TURNS,
  subject: 'A session of pgx',
  program: goProgram('go'),
  setup: SESSION_TABLES,
  scenarios: [
    ...SESSION_SCENARIOS,
    { name: 'startup', claim: 'keeps what each of its connections has said at its start' },
    { name: 'modes', claim: 'asks many tenants in each of its modes' },
  ],
});
