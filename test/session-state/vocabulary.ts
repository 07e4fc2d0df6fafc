/**
 * Statements that make, change, use, undo or read session state. There are few names of each kind, so that they meet; `{me}`
 * in a text is the number of the session, where two sessions on one database would get in each other's way.
 *
 * What no pooler in transaction mode can show as a connection of one's own does is left out:
 * - a custom setting that was never set reads '' instead of NULL (or an error) where somebody else has set it: it is read with NULLIF;
 * - `pg_settings.source` and `reset_val`, what libraries define;
 * - what functions of the user's, triggers, views and operators do to the session (`DO` with its text is in, and `CALL`);
 * - currval and lastval, which are another's or an error for who asks for the first time; backend pids, pg_stat_activity, pg_prepared_statements as a whole;
 * - an error that tells a missing pg_temp from one that is empty: it is there for ever on a server where anybody had anything in it;
 * - SQL's PREPARE and EXECUTE with a name that the protocol's Parse uses too: on a server, that statement has another name;
 * - custom settings made by procedures: nobody can ask for a name that only those know;
 * - idle_session_timeout, temp_buffers, numbers of more than six digits;
 * - constants in a prepared statement that mean something else when it is parsed again under other settings, and what FETCH returns
 *   when it is parsed before there is a cursor; statements over tables that are gone, which cannot be parsed again.
 * RESET in one go with other statements, by a session that brought settings at login, is left out in `steps.ts`. Left out because
 * it would block and not because it differs: `default_transaction_deferrable`.
 */
import fc from 'fast-check';
import { isWanted } from './kinds.ts';

/** By setting, its values as SET takes them. */
const SETTINGS = {
  work_mem: ["'5MB'", '6144'],
  search_path: ['s1', 's2, public', "''", '"$user", public'],
  TimeZone: ["'Asia/Tokyo'", "'UTC'"],
  DateStyle: ['german', 'ymd', "'SQL, DMY'"],
  extra_float_digits: ['0', '3'],
  standard_conforming_strings: ['off', 'on'],
  application_name: ["'a'", "'b ''c'"],
  client_encoding: ["'latin1'", "'utf8'"],
  statement_timeout: ["'1min'", '0'],
  default_transaction_isolation: ["'serializable'", "'read committed'"],
  default_transaction_read_only: ['on', 'off'],
  session_replication_role: ['replica', 'origin'],
  'app.tenant': ["'1'", "'it''s \"x\"'", "''"],
} as const;
type Setting = keyof typeof SETTINGS;

/** Not found in pg_settings: these have to be asked for by name. */
export const ASKED_BY_NAME = [
  'role',
  'session_authorization',
  'app.tenant',
  'app.brought',
  'app.seeded',
] as const;

const LONG = 'n'.repeat(63);
/** The last two are equal on the 63 bytes that PostgreSQL looks at. */
export const STATEMENT_NAMES = ['', 'a', 'b', `${LONG}1`, `${LONG}2`] as const;

export const NO_TABLES = 'DROP TABLE IF EXISTS shape1, shape2';

/** Made anew before each script, in both databases. */
export const TABLES = [1, 2]
  .map(
    (me) => `DROP TABLE IF EXISTS shape${String(me)}; CREATE TABLE shape${String(me)} (n int);
    INSERT INTO shape${String(me)} VALUES (1), (2);`,
  )
  .join('\n');

/** Views, so that nobody can leave anything in them. */
export const SCHEMA = `
  CREATE VIEW place AS SELECT 'public' AS name;
  CREATE SCHEMA s1 CREATE VIEW place AS SELECT 's1' AS name;
  CREATE SCHEMA s2 CREATE VIEW place AS SELECT 's2' AS name;
  GRANT USAGE, CREATE ON SCHEMA public, s1, s2 TO public;
  GRANT SELECT ON place, s1.place TO public;
  CREATE PROCEDURE put(name text, value text) LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_catalog.set_config(name, value, false); END $$;`;

const text = (value: string): string =>
  value.startsWith("'") ? value.slice(1, -1).replaceAll("''", "'") : value;
const literal = (value: string): string => `'${text(value).replaceAll("'", "''")}'`;

const setting: fc.Arbitrary<readonly [name: Setting, value: string]> = fc
  .constantFrom<Setting>(
    'work_mem',
    'search_path',
    'TimeZone',
    'DateStyle',
    'extra_float_digits',
    'standard_conforming_strings',
    'application_name',
    'client_encoding',
    'statement_timeout',
    'default_transaction_isolation',
    'default_transaction_read_only',
    'session_replication_role',
    'app.tenant',
  )
  .chain((name) => fc.constantFrom(...SETTINGS[name]).map((value) => [name, value] as const));

const setForms: readonly ((name: string, value: string) => string)[] = [
  (name, value) => `SET ${name} = ${value}`,
  (name, value) => `SET LOCAL ${name} TO ${value}`,
  (name, value) => `SELECT set_config('${name}', ${literal(value)}, false)`,
  (name) => `RESET ${name}`,
  (name, value) => `SELECT set_config('${name}', ${literal(value)}, true)`,
  (name) => `SET ${name} TO DEFAULT`,
  (name, value) => `SELECT 1 WHERE set_config('${name}', ${literal(value)}, false) IS NOT NULL`,
  (name, value) =>
    `WITH c AS MATERIALIZED (SELECT set_config('${name}', ${literal(value)}, false)) SELECT count(*) FROM c`,
];
const blockForms: typeof setForms = [
  (name, value) => `DO $$ BEGIN PERFORM set_config('${name}', ${literal(value)}, false); END $$`,
  (name, value) => `DO $x$ BEGIN SET ${name} = ${value}; EXCEPTION WHEN others THEN NULL; END $x$`,
];
const callForm = (name: string, value: string): string => `CALL public.put('${name}', ${literal(value)})`;
const set = setting.chain(([name, value]) =>
  fc
    .constantFrom(...setForms, ...blockForms, ...(name.includes('.') ? [] : [callForm]))
    .map((form) => form(name, value)),
);

const otherSettings = [
  "SET TIME ZONE INTERVAL '-03:30' HOUR TO MINUTE",
  'SET TIME ZONE -7',
  'SET TIME ZONE LOCAL',
  'SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY',
  'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE',
  'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE',
  'RESET ALL',
  "SELECT set_config('work_mem', NULL, false)",
  "SELECT set_config('wo' || 'rk_mem', '7MB', false)",
  "UPDATE pg_settings SET setting = '8192' WHERE name = 'work_mem'",
] as const;
const roles = [
  'SET ROLE alice',
  'RESET ROLE',
  'SET ROLE bob',
  'SET ROLE NONE',
  'SET LOCAL ROLE alice',
  'SET SESSION AUTHORIZATION alice',
  'RESET SESSION AUTHORIZATION',
  'SET SESSION AUTHORIZATION DEFAULT',
  "SELECT set_config('role', 'bob', false)",
] as const;
const transactions = [
  'BEGIN',
  'COMMIT',
  'ROLLBACK',
  'SAVEPOINT a',
  'ROLLBACK TO a',
  'RELEASE a',
  'START TRANSACTION READ ONLY',
  'BEGIN ISOLATION LEVEL SERIALIZABLE',
  'COMMIT AND CHAIN',
] as const;
const errors = ['SELECT 1/0', 'SELEC 1'] as const;
const reads = [
  'SHOW work_mem',
  'SELECT name FROM place',
  "SELECT timestamptz 'epoch', 0.1::float8 / 3",
  'SELECT current_user, session_user, current_schemas(false)',
  "SELECT NULLIF(current_setting('app.tenant', true), '')",
  'SHOW ROLE',
] as const;
const locks = [
  'SELECT pg_advisory_lock({me}1)',
  'SELECT pg_advisory_unlock({me}1)',
  'SELECT pg_advisory_lock_shared({me}, 2)',
  'SELECT pg_advisory_unlock_all()',
  'SELECT pg_advisory_xact_lock({me}1)',
  // PostgreSQL finds 1/0 before it runs anything.
  'SELECT pg_advisory_lock({me}1), 1 / (0 * pg_backend_pid())',
] as const;
const temporary = [
  'CREATE TEMP TABLE place (name text)',
  "CREATE TEMPORARY TABLE t AS SELECT 'temp' AS name",
  'SELECT 1 AS n INTO TEMP t',
  'CREATE TABLE pg_temp.t (n int) ON COMMIT DROP',
  "CREATE TEMP VIEW place AS SELECT 'view' AS name",
  'CREATE FUNCTION pg_temp.tf() RETURNS int LANGUAGE sql RETURN 42; SELECT pg_temp.tf()',
  "INSERT INTO place VALUES ('row')",
  'SELECT * FROM t',
  'DROP TABLE t',
  'DROP TABLE place',
  'DISCARD TEMP',
] as const;
const cursors = [
  'DECLARE hc CURSOR WITH HOLD FOR SELECT generate_series(1, 5)',
  'FETCH 2 FROM hc',
  'CLOSE hc',
  'CLOSE ALL',
  "DECLARE hc CURSOR WITH HOLD FOR SELECT set_config('work_mem', '9MB', false)",
  'DECLARE c CURSOR FOR SELECT 1',
] as const;
const channels = [
  'LISTEN ch{me}',
  "NOTIFY ch{me}, 'hello'",
  'UNLISTEN ch{me}',
  'UNLISTEN *',
  "SELECT pg_notify('ch{me}', 'again')",
] as const;
const sqlPrepared = [
  'PREPARE q AS SELECT name FROM place',
  'EXECUTE q',
  'DEALLOCATE q',
  'DEALLOCATE ALL',
  "PREPARE r AS SELECT set_config('work_mem', '11MB', false)",
  'EXECUTE r',
  'DEALLOCATE a',
] as const;
const tables = [
  'ALTER TABLE shape{me} ADD COLUMN IF NOT EXISTS m int',
  'ALTER TABLE shape{me} DROP COLUMN IF EXISTS m',
  'SELECT * FROM shape{me}',
] as const;
/** Whoever runs one of these keeps its server to the end: they are few. What random() tells is told only where it was seeded. */
const lasting = [
  "SELECT setseed(0.5), set_config('app.seeded', 'yes', false)",
  "SELECT CASE current_setting('app.seeded', true) WHEN 'yes' THEN random() END",
  'SET seed = 0.25',
  "LOAD 'plpgsql'",
] as const;
const discards = ['DISCARD ALL', 'DISCARD PLANS', 'DISCARD SEQUENCES'] as const;

const KINDS: Readonly<Record<string, fc.WeightedArbitrary<string>>> = {
  settings: { weight: 30, arbitrary: set },
  transactions: { weight: 21, arbitrary: fc.constantFrom(...transactions) },
  reads: { weight: 12, arbitrary: fc.constantFrom(...reads) },
  otherSettings: { weight: 6, arbitrary: fc.constantFrom(...otherSettings) },
  roles: { weight: 6, arbitrary: fc.constantFrom(...roles) },
  errors: { weight: 6, arbitrary: fc.constantFrom(...errors) },
  locks: { weight: 6, arbitrary: fc.constantFrom(...locks) },
  temporary: { weight: 6, arbitrary: fc.constantFrom(...temporary) },
  cursors: { weight: 6, arbitrary: fc.constantFrom(...cursors) },
  channels: { weight: 6, arbitrary: fc.constantFrom(...channels) },
  sqlPrepared: { weight: 6, arbitrary: fc.constantFrom(...sqlPrepared) },
  tables: { weight: 3, arbitrary: fc.constantFrom(...tables) },
  lasting: { weight: 1, arbitrary: fc.constantFrom(...lasting) },
  discards: { weight: 3, arbitrary: fc.constantFrom(...discards) },
};

/** One statement. */
export const statement: fc.Arbitrary<string> = fc.oneof(
  ...Object.entries(KINDS).flatMap(([kind, weighted]) => (isWanted(kind) ? [weighted] : [])),
);

/** To be prepared under a name and run again later, perhaps with values that do not fit. */
export const prepared: fc.Arbitrary<string> = fc.constantFrom(
  'SELECT name FROM place',
  "SELECT set_config('work_mem', $1, false)",
  'SELECT $1::text, current_user',
  'SELECT * FROM shape{me}',
  "SELECT timestamptz 'epoch', 0.1::float8 / 3",
  'SET search_path = s1',
  'BEGIN',
  'COMMIT',
  'SELECT pg_advisory_lock({me}1)',
  'LISTEN ch{me}',
  'SELECT 1/0',
  'SELEC 1',
  '',
);
export const values: fc.Arbitrary<readonly string[]> = fc.constantFrom(
  [],
  [],
  ['12MB'],
  ['12MB'],
  ['x', 'y'],
);

/** What a session brings at login. */
export const brought: fc.Arbitrary<Readonly<Record<string, string>>> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({}) },
  {
    weight: isWanted('brought') ? 1 : 0,
    arbitrary: fc.record(
      {
        application_name: fc.constantFrom('brought', 'a'),
        TimeZone: fc.constantFrom('Asia/Tokyo', 'utc'),
        work_mem: fc.constantFrom('13MB'),
        search_path: fc.constantFrom('s1', 's2, public'),
        'app.brought': fc.constantFrom('x y'),
        options: fc.constantFrom('-c work_mem=5MB --app.tenant=9', '-cDateStyle=german'),
      },
      { requiredKeys: [] },
    ),
  },
);

/** A whole text that resets, as seen by a session that brought settings. */
export const resets = (sql: string): boolean =>
  /\bRESET\b|DISCARD ALL|DEFAULT\b|TIME ZONE LOCAL|, NULL, false/i.test(sql);
