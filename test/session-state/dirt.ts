/** Every way to leave something in a session, for who looks whether the next one finds it. */
import * as m from '../support/messages.ts';

export interface Dirt {
  readonly name: string;
  /** Each is answered with one ReadyForQuery, without an error. */
  readonly messages: readonly Buffer[];
  /** No text and no tag shows it, so that only a pooler that cleans at every change of client can know. */
  readonly hidden: boolean;
}

const dirt = (name: string, ...messages: readonly (string | Buffer)[]): Dirt => ({
  name,
  messages: messages.map((each) => (typeof each === 'string' ? m.query(each) : each)),
  hidden: false,
});
const hidden = (...rest: Parameters<typeof dirt>): Dirt => ({ ...dirt(...rest), hidden: true });

/** What hides state from whoever reads statements: it does all that a function can do to its session. */
export const HIDING_PLACES = `
  CREATE FUNCTION hide() RETURNS int LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM set_config('work_mem', '66MB', false), set_config('app.tenant', 'hidden', false), pg_advisory_lock(66);
      EXECUTE 'LISTEN hidden';
      CREATE TEMP TABLE IF NOT EXISTS hidden (n int);
      RETURN 1;
    END $$;
  CREATE FUNCTION hide(int, int) RETURNS int LANGUAGE sql AS 'SELECT hide()';
  CREATE FUNCTION hide_on_insert() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM hide(); RETURN NEW; END $$;
  CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = hide);
  CREATE VIEW hiding AS SELECT hide();
  CREATE TABLE hiding_on_insert (n int);
  CREATE TRIGGER hide BEFORE INSERT ON hiding_on_insert EXECUTE FUNCTION hide_on_insert();
  CREATE SEQUENCE numbers;
  CREATE TABLE numbered (n int DEFAULT nextval('numbers'));`;

export const DIRT: readonly Dirt[] = [
  dirt('nothing', ''),
  dirt('a setting', "SET work_mem = '5MB'"),
  dirt('a reported setting', "SET TimeZone = 'Asia/Tokyo'"),
  dirt('a custom setting', "SET app.tenant = 'mine'"),
  dirt('a path', 'SET search_path = s1'),
  dirt('a setting of a superuser', 'SET session_replication_role = replica'),
  dirt('set_config', "SELECT set_config('work' || '_mem', '5MB', false)"),
  dirt('DO', "DO $$ BEGIN SET work_mem = '5MB'; PERFORM pg_advisory_lock(5); END $$"),
  dirt(
    'characteristics',
    'SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE',
  ),
  dirt('strings', 'SET standard_conforming_strings = off'),
  dirt('an encoding', "SET client_encoding = 'latin1'"),
  dirt('a role', 'SET ROLE alice'),
  dirt('a session authorization', 'SET SESSION AUTHORIZATION alice'),
  dirt('a setting and a role', 'SET session_replication_role = replica; SET ROLE alice'),
  dirt('a temporary table', 'CREATE TEMP TABLE place AS SELECT 1 AS n'),
  dirt('a temporary view', 'CREATE TEMP VIEW place AS SELECT 1 AS n'),
  dirt('a temporary function', 'CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql RETURN 1'),
  dirt('a temporary sequence', "CREATE TEMP SEQUENCE s; SELECT nextval('s')"),
  dirt('SELECT INTO', 'SELECT 1 AS n INTO TEMP t'),
  dirt('a cursor', 'DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 5)', 'FETCH 2 FROM c'),
  dirt('a lock', 'SELECT pg_advisory_lock(5)', 'SELECT pg_advisory_lock(5)'),
  dirt('a shared lock', 'SELECT pg_advisory_lock_shared(5, 6)'),
  dirt('a channel', 'LISTEN c'),
  dirt('PREPARE', 'PREPARE a AS SELECT 1'),
  dirt('a named statement', Buffer.concat([m.parse('a', "SELECT 'secret'"), m.sync])),
  dirt('an unnamed statement', Buffer.concat([m.parse('', "SELECT 'secret'"), m.sync])),
  dirt('a sequence', "SELECT nextval('numbers')"),
  dirt('a default from a sequence', 'INSERT INTO numbered DEFAULT VALUES'),
  dirt('a function', 'SELECT hide()'),
  hidden('a view', 'SELECT * FROM hiding'),
  hidden('an operator', 'SELECT 1 ### 2'),
  hidden('a trigger', 'INSERT INTO hiding_on_insert VALUES (1)'),
];

/** At once, in an order in which none prevents another. */
export const everything = (withHidden: boolean): Dirt => {
  const all = DIRT.filter((each) => withHidden || !each.hidden);
  const last = ['a path', 'strings', 'an encoding', 'characteristics', 'a role', 'an unnamed statement'];
  const compatible = all.filter(
    ({ name }) =>
      !last.includes(name) &&
      !['a temporary view', 'PREPARE', 'a session authorization', 'a setting and a role'].includes(name),
  );
  return {
    name: 'everything',
    messages: [...compatible, ...all.filter(({ name }) => last.includes(name))].flatMap(
      ({ messages }) => messages,
    ),
    hidden: withHidden,
  };
};
