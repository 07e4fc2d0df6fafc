/** Texts at random, made of what is hard to read. */
import fc from 'fast-check';
import { corpus } from './corpus.ts';

/** Things to select, many of which are longer or shorter than they look, depending on how the server reads. */
const items: readonly (string | Buffer)[] = [
  '1',
  "'a'",
  "'a\\'",
  "'a\\\\'",
  "'a''\\'",
  "'\\",
  "E'a\\''",
  "e'a\\\\'",
  "E'\\\\\\'",
  "N'a\\'",
  "B'1'",
  "X'1f\\'",
  "U&'a\\\\'",
  "date'2020-01-01'",
  "'a'\n'\\'",
  "'a' -- '\n '\\'",
  "E'a'\n'\\'",
  "E'a' -- b\r '\\'",
  "E'a' '\\'",
  "'é\\'",
  "'--'",
  "'/*'",
  '1 /* /* \' */ " */',
  "1 -- '\n",
  '1 -- "\r',
  "5 +-- '\n 5",
  "5 */* ' */ 2",
  '$$ \' " $a$ $$',
  '$a$ $$ $A$ $a$',
  "$é$ $$ ' $é$",
  '1 as foo$$',
  '1 as é$a$',
  '1 as "x\'y"',
  '1 as "x""\'"',
  '1 as "\\"',
  '1 as "$$"',
  '1 as U&"a\\0027"',
  '(1)',
  'case when true then 1 end',
  'array[1, 2]',
  "lower('a')",
  // 表 in Shift JIS, whose second byte is a backslash; ｱ, which is one byte; four bytes of GB18030.
  Buffer.from([0x27, 0x95, 0x5c, 0x27]),
  Buffer.from([0x45, 0x27, 0x95, 0x5c, 0x27]),
  Buffer.from([0x45, 0x27, 0xb1, 0x5c, 0x27, 0x27]),
  Buffer.from([0x45, 0x27, 0x81, 0x30, 0x81, 0x30, 0x5c, 0x27, 0x27]),
  Buffer.from([0x31, 0x20, 0x61, 0x73, 0x20, 0x95, 0x5c, 0x24, 0x24]),
];

const openings = [
  '',
  ';; ',
  "/* ' /* */ */ ",
  '-- "\n',
  'begin; ',
  'create or replace function zf() returns int begin atomic select 1; select case when true then 2 end; end; ',
  'create or replace rule zr as on insert to tt do also (select 1; select 2); ',
  "create or replace function zg() returns int language sql set work_mem = '6MB' as 'select 1'; ",
  'prepare transaction_ as select 1; deallocate transaction_; ',
];

/** Whatever the text is inside of, here it ends; and where it is inside of nothing, this is a comment. */
const CLOSING = `; --'\n--"\n--$$\n--$a$\n--$A$\n--$é$\n--*/ */`;

export const canaries = [
  "SET work_mem='5MB'",
  'set/**/session "work_mem" to \'5MB\'',
  "select set_config('work_mem', '5MB', false)",
  "select pg_catalog . \"set_config\" /* x */ ('work_mem', '5' || 'MB', 'no')",
  "with x as (select set_config('work_mem', '5MB', true), set_config('work_mem', '5MB', false)) select * from x",
  "explain analyze select set_config('work_mem', '5MB', false)",
  "update pg_settings set setting = '5120' where name = 'work_mem'",
  "do $do$ begin perform set_config('work_mem', '5MB', false); end $do$",
  'select pg_advisory_lock(7)',
  'select 1 where pg_catalog.pg_try_advisory_lock_shared(7)',
  'listen zz',
  "select set_config('work_mem', '5MB', true)",
  "set local work_mem = '5MB'",
] as const;

const join = (parts: readonly (string | Buffer)[]): Buffer =>
  Buffer.concat(parts.map((part) => Buffer.from(part)));

/** A SELECT of hard things, a canary behind it, and again. */
export const texts: fc.Arbitrary<Buffer> = fc
  .record({
    opening: fc.constantFrom(...openings),
    before: fc.array(fc.constantFrom(...items), { minLength: 1, maxLength: 4 }),
    canary: fc.constantFrom(...canaries),
    after: fc.array(fc.constantFrom(...items), { maxLength: 3 }),
    semicolon: fc.constantFrom('; ', ';', '\n;\r'),
  })
  .map(({ opening, before, canary, after, semicolon }) => {
    const select = (list: readonly (string | Buffer)[]): (string | Buffer)[] =>
      list.flatMap((item, i) => [i === 0 ? 'select ' : ', ', item]);
    return join([opening, ...select(before), semicolon, canary, semicolon, ...select(after), CLOSING]);
  });

const tokens: readonly (string | Buffer)[] = [
  ...Array.from('\'"$;(),.*/-=&:\\ \n\r[]'),
  ...`E' U&" U&' B' -- /* */ $$ $a$ '' "" \\' :: $1 123 é`.split(' '),
  ...'set reset local to default all set_config pg_temp temp create into select deallocate prepare true'.split(
    ' ',
  ),
  ...'null f as pg_catalog lower begin update pg_settings work_mem'.split(' '),
  "'work_mem'",
  "set a.b = 'c';",
  "set_config('a', 'b', true)",
  "set_config('a', 'b', false)",
  'deallocate "x""y"',
  'x'.repeat(600),
  'x'.repeat(1024),
  `'${'y'.repeat(1100)}'`,
  `"${'z'.repeat(1030)}"`,
  Buffer.from([0x95, 0x5c]),
  Buffer.from([0x81, 0x30, 0x81, 0x30]),
  Buffer.from([0xb1]),
];

/** Anything, most of which is no SQL. */
export const noise: fc.Arbitrary<Buffer> = fc.oneof(
  fc.array(fc.constantFrom(...tokens), { maxLength: 30 }).map((parts) => join(parts)),
  fc
    .array(fc.constantFrom(...tokens), { maxLength: 30 })
    .map((parts) => join(parts.flatMap((part) => [part, ' ']))),
  fc.constantFrom(...corpus.map(({ text }) => text)),
  texts,
);
