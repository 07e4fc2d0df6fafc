/** Texts that are hard to read, with a SET in each: is it a statement of its own, or inside of something? */
import type { Lexing } from '../../src/sql/hints.ts';

export interface Sample {
  readonly about: string;
  readonly text: Buffer;
  /** The SET is found. It may fail to run all the same, for an error elsewhere in the text. */
  readonly found: boolean;
  readonly lexing: Lexing;
}

interface Options {
  readonly encoding?: string;
  readonly standard?: boolean;
}

export const SET = "SET work_mem='5MB'";

function sample(found: boolean): (about: string, text: string | Buffer, options?: Options) => Sample {
  return (about, text, { encoding = 'UTF8', standard = true } = {}) => ({
    about,
    text: Buffer.from(text),
    found,
    lexing: { standardConformingStrings: standard, encoding },
  });
}
const finds = sample(true);
const skips = sample(false);

/** Numbers are bytes. */
const bytes = (...parts: readonly (string | number)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.of(part))));

const comments = [
  skips('comments nest', `/* /* nested */ ${SET}; */ select 1`),
  finds('quotes mean nothing in comments', `/* ' */ ${SET} /* ' */`),
  finds('comments mean nothing in strings', `select '/*'; ${SET}; select '*/'`),
  skips('an operator ends at --', `select 1 +-- ${SET}\n2`),
  skips('an operator ends at /*', `select 1 */* ; ${SET}; */ 2`),
  finds('-- behind @ begins a comment', `select @-- '\n 5; ${SET} --'`),
  skips('-- is no subtraction', `select 5--2; ${SET}`),
  finds('CR ends a comment', `select 1 -- x\r; ${SET}`),
  skips('VT, FF, NEL and LS do not end a comment', `select 1 -- x\v\f\u0085\u2028; ${SET}`),
  finds('comments are white space', "set/**/work_mem/* x */=-- y\n'5MB'"),
  finds('FF is white space', "set\fwork_mem='5MB'"),
  finds('VT is white space from PostgreSQL 16 on', "set\vwork_mem='5MB'"),
  skips('a no-break space is a letter', "set\u00a0work_mem='5MB'"),
  skips('a byte order mark is a letter', `\ufeff${SET}`),
  finds('statements may be empty', `;;/* */;${SET};;`),
];

const dollarQuotes = [
  skips('a dollar quote', `select $$ ; ${SET}; $$`),
  skips('a tag, with others inside', `select $a$ $b$ $$ ; ${SET}; $a$`),
  skips('tags are case sensitive', `select $a$ $A$; ${SET}; $a$`),
  skips('tags have letters of any kind', `select $é$ ; ${SET}; $é$`),
  finds('$ goes on with an identifier', `select 1 as foo$$; ${SET}; --$$`),
  finds('so does a whole tag', `select 1 as foo$a$; ${SET}; --$a$`),
  finds('also behind letters that are not ASCII', `select 1 as é$$; ${SET}; --$$`),
  skips('not behind a quoted identifier', `select 1 as "x"$$; ${SET}; --$$`),
  skips('nor behind a number', `select 1$$; ${SET}; --$$`),
  skips('nor behind a parameter', `select $1$$; ${SET}; --$$`),
  skips('nor behind a parenthesis', `select (1)$$; ${SET}; --$$`),
  skips('nor behind an operator', `select ''||$$; ${SET}; $$`),
  finds('a tag begins with no digit', `select $1$; ${SET}; --$1$`),
  finds('a value in a dollar quote', 'set work_mem = $$5MB$$'),
];

const strings = [
  finds('a backslash stands for itself', `select 'a\\'; ${SET}; --'`),
  skips('unless standard_conforming_strings is off', `select 'a\\'; ${SET}; --'`, { standard: false }),
  skips('or it is an E string', `select E'a\\'; ${SET}; --'`),
  skips('whose E may be small', `select e'a\\'; ${SET}; --'`),
  finds('but has no blank behind it', `select E 'a\\'; ${SET}; --'`),
  finds('an identifier that ends in e is no E', `select date'2020-01-01\\'; ${SET}; --'`),
  finds('N strings are plain', `select N'a\\'; ${SET}; --'`),
  skips('with the backslashes of plain ones', `select N'a\\'; ${SET}; --'`, { standard: false }),
  finds('B strings have no backslashes', `select B'1\\'; ${SET}; --'`, { standard: false }),
  finds('nor have X strings', `select X'1\\'; ${SET}; --'`, { standard: false }),
  finds('nor have U& strings', `select U&'a\\'; ${SET}; --'`),
  skips('a string continues on the next line', `select 'a'\n'; ${SET}; --'`),
  skips('by the rules that it began with', `select E'a'\n'\\'; ${SET}; --'`),
  skips('also behind a -- comment', `select E'a' -- c\n '\\'; ${SET}; --'`),
  finds('not behind another comment', `select E'a' /* c */\n '\\'; ${SET}; --'`),
  finds('nor on the same line', `select E'a' '\\'; ${SET}; --'`),
  skips('a quote stands twice', `select 'a''; ${SET}; --'`),
  skips('in an E string too', `select E'a''\\'; ${SET}; --'`),
  finds('a quoted identifier has quotes', `select 1 as "x'y"; ${SET}; --'`),
  skips('doubled ones of its own', `select 1 as "x""; ${SET}; --"`),
  finds('and backslashes', `select 1 as "x\\"; ${SET}; --"`),
  finds('U& identifiers too', `select 1 as U&"a\\0027"; ${SET}`),
  finds('with UESCAPE', `select 1 as U&"a!0027" uescape '!'; ${SET}`),
  finds('U & x is an operator', `select 1; ${SET}; select U & "x"`),
  finds(
    'the text is read with what holds before it',
    `set standard_conforming_strings=off; select 'a\\'; ${SET}; --'`,
  ),
];

const encodings = [
  finds('95 5C is one character in SJIS', bytes("select E'", 0x95, 0x5c, "'; ", SET, "; --'"), {
    encoding: 'SJIS',
  }),
  finds('in a plain string as well', bytes("select '", 0x95, 0x5c, "'; ", SET, "; --'"), {
    encoding: 'SJIS',
    standard: false,
  }),
  skips('B1 is a whole character in SJIS', bytes("select E'", 0xb1, 0x5c, "'; ", SET, "; --'"), {
    encoding: 'SJIS',
  }),
  finds('95 5C in SHIFT_JIS_2004', bytes("select E'", 0x95, 0x5c, "'; ", SET, "; --'"), {
    encoding: 'SHIFT_JIS_2004',
  }),
  finds('A5 5C in BIG5', bytes("select E'", 0xa5, 0x5c, "'; ", SET, "; --'"), { encoding: 'BIG5' }),
  finds('81 5C in GBK', bytes("select E'", 0x81, 0x5c, "'; ", SET, "; --'"), { encoding: 'GBK' }),
  finds('81 41 in UHC', bytes("select E'", 0x81, 0x41, "'; ", SET, "; --'"), { encoding: 'UHC' }),
  skips('a backslash behind that', bytes("select E'", 0x81, 0x41, "\\'; ", SET, "; --'"), {
    encoding: 'UHC',
  }),
  finds('81 5C in GB18030', bytes("select E'", 0x81, 0x5c, "'; ", SET, "; --'"), { encoding: 'GB18030' }),
  skips('four bytes in GB18030', bytes("select E'", 0x81, 0x30, 0x81, 0x30, "\\'; ", SET, "; --'"), {
    encoding: 'GB18030',
  }),
  finds(
    '95 5C goes on with an identifier in SJIS',
    bytes('select 1 as ', 0x95, 0x5c, '$$; ', SET, '; --$$'),
    {
      encoding: 'SJIS',
    },
  ),
  finds(
    'the encoding is the one before it',
    bytes("set client_encoding='SJIS'; select E'", 0xc3, 0xa9, "'; ", SET, '; reset client_encoding'),
  ),
  finds('bytes of LATIN1 are characters', bytes("select '", 0xe9, "'; ", SET), { encoding: 'LATIN1' }),
  skips('a backslash behind a byte of LATIN1', bytes("select E'", 0xe9, "\\'; ", SET, "; --'"), {
    encoding: 'LATIN1',
  }),
];

const statements = [
  finds('TO', "SET SESSION work_mem TO '5MB'"),
  finds('a quoted name', 'set "work_mem" = \'5MB\''),
  finds('in any case', 'set "WORK_MEM" = \'5MB\''),
  finds('a name in code points', 'set U&"work\\005Fmem" = \'5MB\''),
  finds('a value in code points', "set work_mem = U&'5\\004DB'"),
  finds('a value with escapes', "set work_mem = E'5\\x4dB'"),
  finds('a value in two strings', "set work_mem = '5'\n'MB'"),
  finds('an old name', "set sort_mem = '5MB'"),
  skips('UPDATE … SET', "update tt set v='x' where false"),
  skips(
    'CREATE FUNCTION … SET',
    "create or replace function zf() returns int language sql set work_mem='5MB' as 'select 1'",
  ),
  finds(
    'behind BEGIN ATOMIC',
    `create or replace function zf2() returns int begin atomic select 1; select 2; end; ${SET}`,
  ),
  finds(
    'with CASE … END inside',
    `create or replace function zf3() returns int begin atomic select case when true then 1 end; select 2; end; ${SET}`,
  ),
  finds(
    'behind a rule with two actions',
    `create or replace rule zr as on insert to tt do also (select 1; select 2); ${SET}; drop rule zr on tt`,
  ),
  skips('ALTER ROLE … SET', "alter role carol set work_mem='5MB'"),
  skips('a CTE named set', 'with set as (select 1) select * from set'),
  skips('a column named set', 'select 1 as set'),
];

const calls = [
  finds('EXPLAIN ANALYZE', "explain analyze select set_config('work_mem','5MB',false)"),
  finds('in quotes', 'select "pg_catalog"."set_config"(\'work_mem\',\'5MB\',false)'),
  finds('in code points', "select U&\"set\\005Fconfig\"('work_mem','5MB',false)"),
  finds('a comment before the parenthesis', "select SET_CONFIG/**/ ('work_mem','5MB',false)"),
  finds('named arguments', "select set_config(is_local=>false,new_value=>'5MB',setting_name=>'work_mem')"),
  finds('a name that is computed', "select set_config('work'||'_mem','5MB','no')"),
  finds('a name in two strings', "select set_config('work'\n'_mem','5MB',0::bool)"),
  finds('a name from a table', "select set_config(n,'5MB',false) from (values('work_mem')) x(n)"),
  finds('VALUES', "values (set_config('work_mem','5MB',false))"),
  finds('INSERT', "insert into tt values(999,set_config('work_mem','5MB',false)) on conflict do nothing"),
  finds('WITH', "with x as materialized (select set_config('work_mem','5MB',false)) select * from x"),
  finds('DO', "do $x$ begin execute format('set %I = %L','work_mem','5MB'); end $x$"),
  finds('FROM', "select * from set_config('work_mem','5MB',false)"),
  finds('ON', "select 1 from tt where id=1 and set_config('work_mem','5MB',false) is not null"),
  finds('where it is never run', "select case when false then set_config('work_mem','5MB',false) end"),
  finds('COPY', "copy (select set_config('work_mem','5MB',false)) to stdout"),
  finds('CREATE TABLE AS', "create temp table za as select set_config('work_mem','5MB',false)"),
  finds('UPDATE pg_settings', "update pg_settings set setting='5MB' where name='work_mem'"),
  finds('in quotes', 'update only "pg_catalog"."pg_settings" set setting=\'5MB\' where name=\'work_mem\''),
  finds('query_to_xml', "select query_to_xml('select set_config(''work_mem'',''5MB'',false)',true,false,'')"),
  finds('ts_stat', "select * from ts_stat('select set_config(''work_mem'',''5MB'',false)::tsvector')"),
  finds('not local by an expression', "select set_config('work_mem','5MB',true and false)"),
  skips('local', "select set_config('work_mem','5MB',true)"),
  skips('current_setting', "select current_setting('work_mem')"),
];

export const corpus: readonly Sample[] = [
  ...comments,
  ...dollarQuotes,
  ...strings,
  ...encodings,
  ...statements,
  ...calls,
];

const MEGABYTE = 1 << 20;

/** Too much for all that is done with the others. */
export const largeTexts: readonly Sample[] = [
  finds('behind a megabyte of a string', `select '${';'.repeat(MEGABYTE)}'; ${SET}`),
  skips('in a megabyte of a string', `select '${"; SET work_mem=''5MB''".repeat(MEGABYTE / 16)}'`),
  skips('in a megabyte of a dollar quote', `select $a$${`; ${SET}; $`.repeat(MEGABYTE / 16)}$a$`),
  finds('behind a megabyte of comments', `/* ${"/* ' */".repeat(MEGABYTE / 8)} */ ${SET}`),
  finds('behind a megabyte of statements', `${'select 1;'.repeat(MEGABYTE / 8)} ${SET}`),
];
