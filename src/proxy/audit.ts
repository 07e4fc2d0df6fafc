/**
 * A look at what an idle server carries, beside what it is known to carry. State that a trigger or a view has set shows in no text and no
 * tag, so that nobody asks for it; what is found here has been there for every client since.
 */
import type { ErrorFields } from '../protocol/error-fields.ts';
import { sync } from '../protocol/frontend.ts';
import { SqlState } from '../protocol/sql-state.ts';
import { arrayLiteral, GuestBatch, noGuests } from '../session/guest-statements.ts';
import { identityNames } from '../session/replay.ts';
import type { ServerSession } from './server-session.ts';

/** The list of settings does not say. */
const identity = arrayLiteral(identityNames);
/** The last answers have a row for each, and one that says when the configuration was read. */
const ROWS = identityNames.length + 1;

/** `server` is idle and held. `done` hears what nobody knew of, in words; undefined = nothing. */
export function audit(server: ServerSession, done: (found: string | undefined) => void): void {
  const { bytes, ...batch } = new GuestBatch(server.guests)
    .run('begin')
    .run('pins')
    .run('locks')
    .run('sweep')
    .run('values', [identity])
    .run('identity')
    .run('resetAll')
    .run('values', [identity])
    .run('rollback')
    .take();
  const state = (server.sessionState ?? server.base).over(server.base);
  server.whenSettled(({ error, rows }) => {
    if (error !== undefined) {
      failed(server, error, () => done(`it cannot be asked: ${error.message}`));
      return;
    }
    const configured = rows.at(-1)?.[0] ?? undefined;
    const { reports } = server;
    if (reports.configured !== undefined && reports.configured !== configured) {
      // What was set to what is usual, and not worth noting, stands out now: it goes with the next replay.
      reports.configured = configured;
      server.sessionState = undefined;
      done(undefined);
      return;
    }
    const found: string[] = [];
    const usual = rows.slice(-ROWS);
    for (const [n, [value]] of rows.slice(-2 * ROWS, -ROWS).entries()) {
      const name = identityNames[n];
      if (name !== undefined && value !== (state.get(name) ?? usual[n]?.[0])) found.push(name);
    }
    for (const row of rows.slice(0, -2 * ROWS)) {
      const [name, value] = row;
      // The rows of pins and locks say true or false; those of settings have a name and a value.
      if (row.length === 2) {
        if (state.get(name ?? '') !== value) found.push(name ?? '');
      } else if (row.includes('t'))
        found.push(row.length === 1 ? 'advisory lock' : 'cursor, channel or temporary object');
    }
    done(found.length === 0 ? undefined : found.join(', '));
  });
  server.sendGuests({ ...batch, bytes: Buffer.concat([bytes, sync()]) });
}

/** The question's own transaction is over before anybody else has the server. */
function failed(server: ServerSession, { sqlState }: ErrorFields, done: () => void): void {
  server.guests = noGuests;
  if (sqlState === SqlState.undefinedStatement) server.doubtStatements();
  server.askQuery('ROLLBACK', done);
}
