/** All that can be seen of an idle session from inside it, as lines that are equal for equal sessions. */
import * as m from '../support/messages.ts';
import { ASKED_BY_NAME } from './vocabulary.ts';
import type { Observer } from './observer.ts';

const names = ASKED_BY_NAME.map((name) => `'${name}'`).join(', ');

/**
 * A custom setting that was set by anybody on this server reads '' instead of NULL for ever after. Settings of libraries are
 * there once somebody has used the library. A value that is not the default's, said without its source: equal sessions have
 * the same ones. The temporary schema stays in the implicit path of a server for ever, even if nothing is in it.
 */
const QUESTION = `
  SELECT 'setting', n, NULLIF(current_setting(n, true), '') FROM unnest(ARRAY[${names}]) n
  UNION ALL SELECT 'setting', name, setting FROM pg_catalog.pg_settings
    WHERE setting IS DISTINCT FROM boot_val AND name NOT LIKE 'transaction%' AND name NOT LIKE 'plpgsql.%'
  UNION ALL SELECT 'identity', current_user::text, session_user::text
  UNION ALL SELECT 'schemas', current_schemas(false)::text, ''
  UNION ALL SELECT 'lock', format('%s %s %s', classid, objid, objsubid), mode FROM pg_catalog.pg_locks
    WHERE locktype = 'advisory' AND pid = pg_backend_pid()
  UNION ALL SELECT 'cursor', name, statement FROM pg_catalog.pg_cursors WHERE is_holdable
  UNION ALL SELECT 'channel', c, '' FROM pg_listening_channels() c
  UNION ALL SELECT 'temporary', relname::text, relkind::text FROM pg_catalog.pg_class WHERE relnamespace = pg_my_temp_schema()
  UNION ALL SELECT 'temporary', proname::text, 'function' FROM pg_catalog.pg_proc WHERE pronamespace = pg_my_temp_schema()
  UNION ALL SELECT 'prepared', name, statement FROM pg_catalog.pg_prepared_statements WHERE from_sql
  ORDER BY 1, 2, 3`;

/** Statements of its own that it closes again: the session's unnamed one is part of what is looked at, if by others. */
const BEGIN = 'looks: begin';
const LOOK = 'looks: look';
const COMMIT = 'looks: commit';
const lookInside = [
  m.closeStatement(LOOK),
  m.parse(LOOK, QUESTION),
  m.runNamed(LOOK),
  m.closeStatement(LOOK),
];
const look = [
  ...[BEGIN, COMMIT].map(m.closeStatement),
  m.parse(BEGIN, 'BEGIN ISOLATION LEVEL READ COMMITTED'),
  m.runNamed(BEGIN),
  ...lookInside,
  m.parse(COMMIT, 'COMMIT'),
  m.runNamed(COMMIT),
  ...[BEGIN, COMMIT].map(m.closeStatement),
];

/** Of a session whose transaction, if it is in one, has not failed. */
export const lookAt = (session: Observer): Promise<string[]> =>
  session.rows([...(session.status === 'I' ? look : lookInside), m.sync]);
