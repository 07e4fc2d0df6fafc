/**
 * What calling a function may leave behind, as a table: name → bits. Names that are not in it may be anybody's functions.
 *
 *     bit 0      no function although "(" may follow: a keyword
 *     bit 1      a function of pg_catalog
 *     bit 2      set_config
 *     bits 3…    the hints that calling it gives
 */
import { CATALOG_FUNCTIONS, RESERVED_WORDS } from './catalog-functions.ts';
import { ANYTHING, Hint } from './hint.ts';
import { WordTable } from './word-table.ts';

export const NO_CALL = 1;
export const CATALOG_FUNCTION = 2;
export const SET_CONFIG = 4;
export const EFFECT_SHIFT = 3;

/** Keywords that can be names of functions too, but are nearly always what comes before a parenthesis in the grammar. */
const BEFORE_PARENTHESES =
  'by columns conflict cube escape filter ilike insert is join like materialized operator over passing rollup ' +
  'rows set sets similar varying within zone';

/** Those functions of pg_catalog that leave something in the session, or run what they are given as text. */
const effects: readonly (readonly [number, string])[] = [
  [Hint.seed, 'setseed'],
  [Hint.sequences, 'currval lastval'],
  [Hint.nextval, 'nextval setval'],
  // Those named …_xact_… are not here: such locks end with their transaction.
  [Hint.locks, 'pg_advisory_lock pg_advisory_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared'],
  [Hint.removes, 'pg_advisory_unlock pg_advisory_unlock_shared pg_advisory_unlock_all'],
  [
    Hint.permanent,
    'dblink_connect dblink_connect_u pg_backup_start pg_start_backup pg_replication_origin_session_setup ' +
      'pg_create_physical_replication_slot pg_create_logical_replication_slot ' +
      'pg_copy_physical_replication_slot pg_copy_logical_replication_slot',
  ],
  [
    ANYTHING,
    'query_to_xml query_to_xmlschema query_to_xml_and_xmlschema cursor_to_xml cursor_to_xmlschema ' +
      'ts_stat ts_rewrite',
  ],
];

function allFunctions(): Map<string, number> {
  const functions = new Map<string, number>();
  const add = (bits: number, names: string): void => {
    for (const name of names.split(' ')) functions.set(name, (functions.get(name) ?? 0) | bits);
  };
  add(CATALOG_FUNCTION, CATALOG_FUNCTIONS);
  add(NO_CALL, RESERVED_WORDS);
  add(NO_CALL, BEFORE_PARENTHESES);
  add(SET_CONFIG, 'set_config');
  for (const [hints, names] of effects) add((hints << EFFECT_SHIFT) | CATALOG_FUNCTION, names);
  return functions;
}

export const functions = new WordTable(allFunctions());
