/** A schema that has everything that our own statements call, and fails whoever finds it there: for a search_path that begins with it. */

const failing = `LANGUAGE plpgsql AS $$ BEGIN RAISE 'found in the hostile schema'; END $$`;
const functions = [
  'set_config(text, text, boolean) RETURNS text',
  'current_setting(text) RETURNS text',
  'current_setting(text, boolean) RETURNS text',
  'encode(bytea, text) RETURNS text',
  'decode(text, text) RETURNS bytea',
  'convert_to(text, name) RETURNS bytea',
  'convert_from(bytea, name) RETURNS text',
  'getdatabaseencoding() RETURNS name',
  'unnest(text[]) RETURNS SETOF text',
  'lower(text) RETURNS text',
  'pg_show_all_settings() RETURNS SETOF record',
  'pg_cursor() RETURNS SETOF record',
  'pg_listening_channels() RETURNS SETOF text',
  'pg_my_temp_schema() RETURNS oid',
  'pg_lock_status() RETURNS SETOF record',
  'pg_prepared_statement() RETURNS SETOF record',
  'pg_backend_pid() RETURNS integer',
  'pg_advisory_unlock_all() RETURNS void',
];
const compared = ['text', 'name', 'oid', 'int4'];
const operators = compared.map(
  (type) => `
    CREATE FUNCTION evil.compare(pg_catalog.${type}, pg_catalog.${type}) RETURNS boolean ${failing};
    CREATE OPERATOR evil.= (LEFTARG = pg_catalog.${type}, RIGHTARG = pg_catalog.${type}, FUNCTION = evil.compare);
    CREATE OPERATOR evil.<> (LEFTARG = pg_catalog.${type}, RIGHTARG = pg_catalog.${type}, FUNCTION = evil.compare);`,
);

/** Made by a superuser, found by everybody. */
export const HOSTILE_SCHEMA = `
  CREATE SCHEMA evil;
  GRANT USAGE ON SCHEMA evil TO PUBLIC;
  ${functions.map((signature) => `CREATE FUNCTION evil.${signature} ${failing};`).join('\n')}
  ${operators.join('\n')}
  CREATE AGGREGATE evil.count("any") (SFUNC = int8inc_any, STYPE = int8, INITCOND = '-1000');
  CREATE VIEW evil.pg_settings AS SELECT 1 AS name;
  CREATE VIEW evil.pg_depend AS SELECT 1 AS refclassid;
  CREATE DOMAIN evil.text AS pg_catalog.text CHECK (false);`;
