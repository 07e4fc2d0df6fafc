/**
 * The settings that a client brings in its StartupMessage: read there, and made canonical by asking a server once per value.
 *
 * A server is shared, so they cannot be its own startup parameters; they become the client's session state and are replayed. Asked
 * inside a transaction that is rolled back, the server says what it makes of each ('utc' is UTC), or refuses it in its own words.
 */
import { ClientError } from '../protocol/errors.ts';
import type { ErrorFields } from '../protocol/error-fields.ts';
import { FrameWriter } from '../protocol/frame-writer.ts';
import * as frontend from '../protocol/frontend.ts';
import { SqlState } from '../protocol/sql-state.ts';
import { parseStartupOptions } from '../protocol/startup-options.ts';
import { arrayLiteral } from '../session/guest-statements.ts';
import { toHex } from '../session/replay.ts';
import { Owed } from './owed-replies.ts';
import type { ServerSession } from './server-session.ts';

/** Not settings: they say who and where. */
const notSettings: ReadonlySet<string> = new Set(['user', 'database', 'replication', 'options']);
const notReplication: ReadonlySet<string> = new Set(['', 'false', 'off', 'no', '0']);

/**
 * Name (lower case) to text. A parameter of its own counts more than one in `options`.
 *
 * @throws {ClientError} for `options` that cannot be read, and 0A000 for a replication connection and libraries to load
 */
export function startupSettings(
  parameters: ReadonlyMap<string, string>,
  ignored: readonly string[],
): Map<string, string> {
  if (!notReplication.has(parameters.get('replication')?.toLowerCase() ?? '')) {
    throw new ClientError('replication connections are not supported', {
      sqlState: SqlState.featureNotSupported,
      hint: 'Connect to the server directly.',
    });
  }
  const settings = new Map<string, string>();
  const add = (name: string, value: string): void => {
    if (!ignored.includes(name)) settings.set(name.toLowerCase(), value);
  };
  for (const [name, value] of parseStartupOptions(parameters.get('options') ?? '')) add(name, value);
  for (const [name, value] of parameters) {
    if (!notSettings.has(name) && !name.startsWith('_pq_.')) add(name, value);
  }
  for (const name of loadsAtLogin) if (settings.has(name)) throw onlyByLogin(name);
  return settings;
}

/** A session may set them later, and nothing happens. */
const loadsAtLogin = ['local_preload_libraries', 'session_preload_libraries'] as const;

/** Those of the contexts "backend" and "superuser-backend". */
const onlyAtLogin: ReadonlySet<string> = new Set([
  'ignore_system_indexes',
  'jit_debugging_support',
  'jit_profiling_support',
  'log_connections',
  'log_disconnections',
  'post_auth_delay',
]);

/** The server's refusal of a setting that a client brought, or why the pooler cannot do what the server could. */
export function startupRefusal(name: string, { sqlState, message, detail, hint }: ErrorFields): ClientError {
  if (!onlyAtLogin.has(name)) return new ClientError(message, { sqlState, detail, hint });
  return onlyByLogin(name, `The server says: ${message}`);
}

const onlyByLogin = (name: string, detail?: string): ClientError =>
  new ClientError(`parameter "${name}" can only be set by a login to the server`, {
    sqlState: SqlState.featureNotSupported,
    detail,
    hint: `Server connections are shared: set it for the role (ALTER ROLE … SET ${name}).`,
  });

/** What a server makes of a setting. */
export interface Canonical {
  readonly value: string;
  /** As reported: a role may be none. */
  readonly isSuperuser: string;
}

const ask = `SELECT pg_catalog.encode(pg_catalog.convert_to(pg_catalog.set_config(n, pg_catalog.convert_from(
    pg_catalog.decode(v, 'hex'), pg_catalog.getdatabaseencoding()), false), pg_catalog.getdatabaseencoding()), 'hex'),
    pg_catalog.current_setting('is_superuser')
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS t(n, v)`;

/** Asks what the server makes of one setting; `done` gets that or the server's refusal. */
export function canonicalValue(
  server: ServerSession,
  name: string,
  value: string,
  done: (result: Canonical | ErrorFields) => void,
): void {
  const writer = new FrameWriter();
  const begin = 'BEGIN ISOLATION LEVEL READ COMMITTED';
  frontend.writeParse(writer, '', begin);
  frontend.writeBindExecute(writer, '', []);
  // The value of DateStyle, for one, is made of what is said and what was there before. The rollback brings it back.
  // Nor is it a question of whose role the last client has left there.
  frontend.writeParse(writer, '', 'SET SESSION AUTHORIZATION DEFAULT');
  frontend.writeBindExecute(writer, '', []);
  frontend.writeParse(writer, '', 'RESET ALL');
  frontend.writeBindExecute(writer, '', []);
  frontend.writeParse(writer, '', ask);
  frontend.writeBindExecute(writer, '', [arrayLiteral([name]), arrayLiteral([toHex(value)])]);
  const batch = Buffer.concat([writer.take(), frontend.sync()]);
  const statement = [Owed.parse, Owed.bind, Owed.execute];
  const owed = [...statement, ...statement, ...statement, ...statement, Owed.sync];
  server.unnamed = undefined;
  server.ask(batch, owed, ({ error, rows }) => {
    server.askQuery('ROLLBACK', () => {
      const [[hex, isSuperuser] = []] = rows;
      done(
        error ?? { value: Buffer.from(hex ?? '', 'hex').toString('utf8'), isSuperuser: isSuperuser ?? 'off' },
      );
    });
  });
}
