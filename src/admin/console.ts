/** The console as a whole: who may in, who is there, and who may do what. */
import type { Connection } from '../net/connection.ts';
import { DatabaseStats } from '../observability/counters.ts';
import type { ClientDisconnectReason } from '../observability/reasons.ts';
import { ClientError } from '../protocol/errors.ts';
import { SqlState } from '../protocol/sql-state.ts';
import { type CancelKey, CancelKeys } from '../proxy/cancel-keys.ts';
import type { LoggedIn, Welcome } from '../proxy/client-login.ts';
import type { ConsoleDoor, Pooler } from '../proxy/pooler.ts';
import { InternedMap } from '../session/interned-map.ts';
import { commandError, type Reply, type Right, type Statement } from './command.ts';
import type { ConsoleHost } from './console-host.ts';
import { ConsoleSession, type SessionOwner } from './console-session.ts';
import { reportedSettings } from './driver.ts';
import { type ConsoleClient, CONSOLE_NAME, type RowSource } from './rows/source.ts';

export class Console implements ConsoleDoor, SessionOwner, RowSource {
  readonly stats = new DatabaseStats();
  readonly #host: ConsoleHost;
  readonly #sessions = new Set<ConsoleSession>();
  readonly #keys = new CancelKeys<ConsoleSession>();
  readonly #keyOf = new WeakMap<ConsoleSession, number>();

  constructor(host: ConsoleHost) {
    this.#host = host;
  }

  get pooler(): Pooler {
    return this.#host.pooler;
  }

  *connections(): Generator<Connection, void, undefined> {
    for (const { connection } of this.#sessions) yield connection;
  }

  consoles(): Iterable<ConsoleClient> {
    return this.#sessions;
  }

  /** Ends all sessions with an error. */
  dismiss(error: ClientError): void {
    for (const session of this.#sessions) session.fail(error, 'shutdown');
  }

  // --- ConsoleDoor -----------------------------------------------------------------------------------------------------

  welcome(connection: Connection, { user, parameters, longKeys }: LoggedIn): Welcome {
    if (this.#rightOf(user) === undefined) {
      this.pooler.stats.refusals.add('other');
      throw new ClientError('not allowed', {
        sqlState: SqlState.invalidAuthorization,
        hint: 'The console is for users in admin_users and stats_users.',
      });
    }
    const applicationName = parameters.get('application_name') ?? '';
    const id = this.pooler.context.nextId();
    const session = new ConsoleSession({ id, connection, owner: this, user, applicationName });
    const key = this.#keys.issue(session, longKeys);
    this.#keyOf.set(session, key.processId);
    this.#sessions.add(session);
    // Among those of the databases, so that it is averaged with them; there is none before somebody comes.
    this.pooler.databaseStats.set(CONSOLE_NAME, this.stats);
    this.stats.clientLoginCount++;
    this.pooler.logger.debug({ user, client: id, host: connection.remoteAddress }, 'console connected');
    const reports = InternedMap.of([
      ...reportedSettings,
      ['application_name', applicationName],
      ['session_authorization', user],
    ]);
    return { reports, key, begin: (rest) => session.begin(rest) };
  }

  /** A cancel request; false if its key is none of the console's. */
  cancel(key: CancelKey): boolean {
    const session = this.#keys.find(key);
    if (session === undefined) return false;
    this.pooler.stats.cancels.add(session.cancel() ? 'forwarded' : 'nothing_to_cancel');
    return true;
  }

  // --- SessionOwner ----------------------------------------------------------------------------------------------------

  /** Who may do what is asked anew each time, so that RELOAD applies. */
  run(statement: Statement, client: ConsoleClient, signal: AbortSignal): Reply | Promise<Reply> {
    const right = this.#rightOf(client.user);
    if (right === undefined || (statement.right === 'admin' && right !== 'admin')) {
      throw commandError('admin access needed', SqlState.insufficientPrivilege);
    }
    return statement.run({ host: this.#host, source: this, client, signal });
  }

  failed(error: ClientError): void {
    this.pooler.stats.clientErrors.add(error.sqlState);
  }

  broken(error: unknown, client: ConsoleClient): void {
    this.pooler.logger.error(
      { error, user: client.user, client: client.id },
      'bug: a console command failed',
    );
  }

  left(session: ConsoleSession, reason: ClientDisconnectReason, detail: string | undefined): void {
    this.#sessions.delete(session);
    const key = this.#keyOf.get(session);
    if (key !== undefined) this.#keys.revoke(key);
    this.pooler.stats.clientDisconnects.add(reason);
    this.pooler.logger.debug(
      { user: session.user, client: session.id, reason, detail },
      'console disconnected',
    );
  }

  #rightOf(user: string): Right | undefined {
    const { admin_users: admins, stats_users: readers } = this.pooler.settings();
    if (admins.includes(user)) return 'admin';
    return readers.includes(user) ? 'stats' : undefined;
  }
}
