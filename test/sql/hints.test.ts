import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  Hint,
  hintsOf,
  type Lexing,
  noHints,
  opaqueHints,
  type StatementHints,
} from '../../src/sql/hints.ts';
import { corpus, largeTexts } from './corpus.ts';

const usual: Lexing = { standardConformingStrings: true, encoding: 'UTF8' };

function hints(text: string | Buffer, lexing = usual): StatementHints {
  const bytes = Buffer.from(text);
  return hintsOf(bytes, 0, bytes.length, lexing);
}

/** The bits by name, in the order of their values. */
function bits(text: string, lexing = usual): string {
  const found = hints(text, lexing).bits;
  return Object.entries(Hint)
    .filter(([, bit]) => (found & bit) !== 0)
    .map(([name]) => name)
    .join(' ');
}

const foundIn = (text: Buffer, lexing: Lexing): boolean => {
  const found = hints(text, lexing);
  return (found.bits & Hint.opaque) !== 0 || found.names.includes('work_mem');
};

/** Every text with its bits. */
function holds(table: Readonly<Record<string, string>>): void {
  assert.deepEqual(Object.fromEntries(Object.keys(table).map((text) => [text, bits(text)])), table);
}

describe('a SET', () => {
  for (const { about, text, found, lexing } of [...corpus, ...largeTexts]) {
    test(`${found ? 'is found' : 'is no statement'}: ${about}: ${text.toString('latin1', 0, 200)}`, () => {
      assert.equal(foundIn(text, lexing), found);
    });
  }

  test('is doubtful where the reading depends on what is not known', () => {
    const unknown: Lexing = { standardConformingStrings: undefined, encoding: undefined };
    assert.equal(bits("select 'a\\'; --'", unknown), 'opaque pins locks');
    assert.equal(bits("select 'a\\b', 'c\\\\', e'\\''", unknown), '');
    assert.equal(bits("select 'é\\', 1", { ...unknown, standardConformingStrings: true }), '');
    assert.equal(
      bits("select e'é\\', 1", { ...unknown, standardConformingStrings: true }),
      'opaque pins locks',
    );
    assert.equal(bits('select é$x, "é\\"', unknown), '');
    assert.equal(bits('select é@x', unknown), 'opaque pins locks');
    assert.equal(hints("set a = 1; select 'a\\''", unknown).setStatements, 0);
  });

  test('is doubtful behind a word of more than 1,024 bytes', () => {
    assert.equal(bits(`select ${'x'.repeat(1024)}`), '');
    assert.equal(bits(`select ${'x'.repeat(1025)}`), 'opaque pins locks');
    assert.equal(bits(`select "${'x'.repeat(1025)}"`), 'opaque pins locks');
    assert.equal(bits(`select $${'x'.repeat(1025)}$`), 'opaque pins locks');
  });
});

describe('the names of settings', () => {
  const named = (text: string): string => {
    const { names, resets, setStatements, bits: found } = hints(text);
    assert.equal((found & (Hint.settings | Hint.resetAll)) !== 0, names.length > 0 || text === 'reset all');
    const kept = names.filter((name) => !resets.includes(name));
    return `${String(setStatements)}: ${kept.join(' ')}${resets.length > 0 ? ` / ${resets.join(' ')}` : ''}`;
  };
  const table: Readonly<Record<string, string>> = {
    'SET Search_Path TO a, b': '1: search_path',
    'set session x.Y.z = 1': '1: x.y.z',
    'set "X"."y" to 1': '1: x.y',
    'set work_mem to default': '1:  / work_mem',
    'set work_mem = DEFAULT;': '1:  / work_mem',
    'set work_mem = "default"': '1: work_mem',
    'set work_mem from current': '1: work_mem',
    'reset work_mem': '1:  / work_mem',
    'reset x.y': '1:  / x.y',
    'reset all': '1: ',
    'reset "all"': '1:  / all',
    'reset role': '1:  / role',
    'reset session authorization': '1:  / session_authorization role',
    'reset time zone': '1:  / timezone',
    'reset transaction isolation level': '1: ',
    'set local work_mem = 1': '1: ',
    'set local time zone 1': '1: ',
    'set local.x = 1': '1: local.x',
    'set session.x = 1': '1: session.x',
    'set session local.x = 1': '1: local.x',
    'set role.x = 1': '1: role.x',
    'set transaction.x to 1': '1: transaction.x',
    'set role alice': '1: role',
    'set role none': '1: role',
    "set role to 'alice'": '1: role',
    'set session role alice': '1: role',
    'set role to default': '1:  / role',
    'set session authorization alice': '1: session_authorization role',
    'set session session authorization alice': '1: session_authorization role',
    'set session authorization default': '1:  / session_authorization role',
    'set local session authorization alice': '1: ',
    "set time zone 'UTC'": '1: timezone',
    "set time zone interval '1' hour to minute": '1: timezone',
    'set time zone local': '1:  / timezone',
    'set time zone default': '1:  / timezone',
    "set names 'utf8'": '1: client_encoding',
    'set names': '1:  / client_encoding',
    'set names default': '1:  / client_encoding',
    "set schema 'a'": '1: search_path',
    'set xml option document': '1: xmloption',
    'set session characteristics as transaction read only':
      '1: default_transaction_isolation default_transaction_read_only default_transaction_deferrable',
    'set transaction isolation level serializable': '1: ',
    'set session transaction read only': '1: ',
    "set transaction snapshot 'x'": '1: ',
    'set constraints all deferred': '1: ',
    "set transaction_isolation = 'serializable'": '1: ',
    'set a = 1; set b = 2; reset a': '3: b / a',
    [`set ${'x'.repeat(70)} = 1`]: `1: ${'x'.repeat(63)}`,
    'discard all': '1:  / session_authorization role',
    'discard plans; discard sequences; discard temp': '3: ',
    "select set_config('A.b', 'c', false)": '0: a.b',
    "select set_config('a', $1, false)": '0:  / a',
    "select set_config('a', null, false), set_config('b', 'c', $1)": '0: b / a',
    "select set_config('a', 'b', true), set_config($1, f(x, (1, 2)), true)": '0: ',
    "select set_config('a', (array['b', 'c'])[1], true)": '0: ',
    "select set_config('role', 'alice', false)": '0: role',
    "select set_config('session_authorization', 'alice', false)": '0: session_authorization role',
  };
  for (const [text, expected] of Object.entries(table)) {
    test(`are ${expected} in: ${text}`, () => assert.equal(named(text), expected));
  }

  test('are not told where the text does not show them', () => {
    holds({
      'set é = 1': 'opaque',
      set: 'opaque',
      "select set_config($1, 'b', false)": 'opaque hiddenName',
      "select set_config('a'::text, 'b', false)": 'opaque hiddenName',
      "select set_config(E'a', 'b', false)": 'opaque hiddenName',
      "select set_config('a''b', 'b', false)": 'opaque hiddenName',
      [`select set_config('${'a'.repeat(1100)}', 'b', false)`]: 'opaque hiddenName',
      "select set_config($1::text, 'b', false)": 'opaque hiddenName',
      "select set_config('a', set_config('b', 'c', false), false)": 'settings opaque hiddenNames',
      'select set_config($1, $2, false), set_config($3, $4, false)': 'opaque hiddenName hiddenNames',
      'select set_config(k, v, false) from t': 'opaque hiddenNames',
      [`select set_config('app.' || "k", v, false) from t`]: 'opaque hiddenNames',
      "select set_config('app.é', 'b', false)": 'opaque hiddenNames',
      'set app.é = 1; reset "é".a; set local app.é = 1': 'opaque hiddenNames',
      "select set_config('a', 'b'": 'opaque',
    });
    assert.equal(hints('set é = 1').setStatements, 0);
  });
});

describe('hints', () => {
  test('are one frozen value for what leaves nothing', () => {
    for (const text of [
      '',
      ';',
      '-- only a comment',
      'SELECT abalance FROM pgbench_accounts WHERE aid = 12345;',
      'UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2',
      'BEGIN ISOLATION LEVEL SERIALIZABLE',
      'COMMIT',
      'savepoint a',
      'SELECT setting FROM pg_settings',
      'select temp, into_, hold from temperatures',
      'fetch 10 from c',
    ])
      assert.equal(hints(text), noHints, text);
    assert.ok(Object.isFrozen(noHints) && Object.isFrozen(opaqueHints));
  });

  test('say that anything may have changed for code that is not in the text', () => {
    holds({
      'do $$begin end$$': 'opaque pins locks',
      'call p(1)': 'opaque pins locks',
      'execute p': 'opaque pins locks',
      'explain analyze execute p': 'opaque pins locks',
      'create table x as execute p': 'opaque pins locks',
      "select cursor_to_xml('c', 1, true, true, '')": 'opaque pins locks',
      "select ts_rewrite(q, 'select 1')": 'opaque pins locks',
      "with x as (update pg_settings set setting = '1' returning 1) select * from x": 'opaque',
    });
    assert.equal(opaqueHints.bits, Hint.opaque | Hint.pins | Hint.locks);
  });

  test('name what is parsed differently until the transaction ends', () => {
    holds({
      'set local search_path = a': 'localParsing',
      'set local schema a': 'localParsing',
      "set local time zone 'UTC'": 'localParsing',
      "set local names 'UTF8'": 'localParsing',
      'set local DateStyle to default': 'localParsing',
      'set local work_mem = 1': '',
      "set local app.tenant = 'a'": '',
      "select set_config('TimeZone', 'UTC', true)": 'localParsing',
      "select set_config($1, 'UTC', true)": 'localParsing',
      "select set_config('app.tenant', 'a', true)": '',
      'set time zone 1': 'settings',
    });
  });

  test('name what pins', () => {
    holds({
      'listen a': 'pins',
      'unlisten *': 'removes',
      'close all': 'removes',
      'declare c cursor with hold for select 1': 'pins',
      'declare c no scroll cursor without hold for select 1': '',
      'declare c cursor for select 1': '',
      'select 1 into temp x': 'pins',
      'select 1 into x': 'pins',
      'insert into x select 1': '',
      'merge into x using y on true when matched then do nothing': '',
      'create temp table x (a int)': 'pins temporaryDdl',
      'create local temporary table x as select 1': 'pins temporaryDdl',
      'create or replace temp view x as select 1': 'pins temporaryDdl',
      'explain analyze create temp table x as select 1': 'pins temporaryDdl',
      'create temp table x (a int); create table y (a int)': 'pins',
      'create temp table x (a int); drop table y': 'pins',
      'create table temp (temp int)': '',
      'create table x as select 1': 'pins',
      'create unlogged table x (a) as table y': 'pins',
      'explain analyze create table x as values (1)': 'pins',
      'create view x as select 1': '',
      'create table pg_temp.x (a int)': 'pins',
      'select "pg_temp".f(1)': 'pins functions',
      'drop table pg_temp_3.x': 'pins',
      'set search_path = a, pg_temp': 'settings',
      'discard temp': 'removes',
      'discard all': 'resetAll removes',
    });
  });

  test('name what functions leave', () => {
    holds({
      'select pg_advisory_lock(1)': 'locks',
      'select pg_catalog.pg_try_advisory_lock_shared (1)': 'locks',
      'select pg_advisory_unlock_all()': 'removes',
      'select pg_advisory_xact_lock(1)': '',
      'select my_advisory_thing(1)': 'locks functions',
      'select setseed(0.5)': 'seed',
      'set seed = 0.5': 'seed',
      "select set_config('seed', '0.5', false)": 'seed',
      "select currval('s')": 'sequences',
      'select lastval()': 'sequences',
      "select nextval('s'), setval('s', 1)": 'nextval',
      "load 'x'": 'permanent',
      "select dblink_connect('x', '')": 'permanent',
      "select pg_backup_start('x')": 'permanent',
      "select pg_create_physical_replication_slot('x', true, true)": 'permanent',
      "select pg_replication_origin_session_setup('x')": 'permanent',
      'reset all': 'resetAll',
    });
  });

  test('name functions that are unknown', () => {
    const unknown = (text: string): string => hints(text).functions.join(' ');
    for (const [text, expected] of Object.entries({
      'select F(1), a.G /* x */ (2), "H i"(3), f(4)': 'f g H i',
      'select * from f() join lateral s.g(1) on true where h(1) and (i(2) or j(3))': 'f g h i j',
      'select lower(a), pg_catalog.upper(b), coalesce(c, 1), count(*) from t': '',
      'select public.lower(a)': 'lower',
      'select "Lower"(a)': 'Lower',
      'select a in (1), exists (select 1), not (a), cast(a as foo(1)), a::bar(2), a::numeric(3, 4)': '',
      'select count(*) filter (where a) over (partition by (b) order by (c)), row(1), array(select 1)': '',
      'select a[1:f(2)]': 'f',
      'select a::public.vector(3), cast(b as public.vector(4)), c at time zone (d)': '',
      'select * from g(1) with ordinality t(a, n)': 'g',
      'select distinct on (a) f(b) from t': 'f',
      'select * from g(1) as t(a, b), (values (1)) u(c), rows from (h(1)) w': 'g h',
      'insert into t (a, b) values (f(1)) on conflict (a) do update set (a) = (1) returning (g(b))': 'f g',
      'insert into "s"."T" (a) select 1': '',
      'insert into t as u (a) values (1)': '',
      'merge into t using u on a when not matched then insert (a) values (f(1))': 'f',
      'with recursive t(n) as (select 1) select f(n) from t': 'f',
      'create table t (a numeric(1), b varchar(2) default f(1), primary key (a), foreign key (b) references u (b))':
        '',
      'create index i on t using gin (f(a)) where (b > 1)': '',
      'create table t as select f(1)': 'f',
      'create function f(a int) returns int language sql as $$ select g(1) $$': '',
      'create table t (a int) partition by range (a)': '',
      'alter table t add column a foo(1) default f(1)': 'f',
      'alter table t alter column a type foo(3) using g(a)': 'g',
      'alter function f(int) owner to x': '',
      'drop function f(int)': '',
      'grant select (a), update (b) on t to x': '',
      'comment on function f(int) is null': '',
      'copy t(a, b) from stdin': '',
      'copy (select f(1)) to stdout': 'f',
      'explain (analyze, buffers) select f(1)': 'f',
      'explain analyze verbose insert into t (a) values (g(1))': 'g',
      'prepare x (int) as select f($1)': 'f',
      'declare c cursor for select f(1)': 'f',
      'vacuum (full) t (a)': '',
      'select copy(a), key(b), explain(c)': 'copy key explain',
      "select interval '1 day', timestamp(3) '2020-01-01', extract(year from a), json_object('a': 1)": '',
      'select a.f, f from t': '',
    }))
      assert.equal(unknown(text), expected, text);
    const { bits: found, functions } = hints('select f(1)');
    assert.equal(found, Hint.functions);
    assert.deepEqual(functions, ['f']);
  });

  test('owe nothing to the text before', () => {
    assert.equal(bits('select pg_catalog.'), '');
    assert.equal(bits('select lower(a), public.lower(a)'), 'functions');
    assert.equal(bits("set a = 1; select 'x', set_config('a'"), 'settings opaque');
    assert.equal(bits('select 1'), '');
  });

  test('name what wants a database to itself', () => {
    holds({
      'drop database x': 'database',
      'DROP /* it */ DATABASE IF EXISTS x WITH (FORCE)': 'database',
      'create database x template y': 'database',
      'alter database x rename to y': 'database',
      'select 1; drop database x': 'database',
      'comment on database x is null': '',
      'grant connect on database x to y': '',
      'drop table database': '',
      'drop "database" x': '',
      'select database from x': '',
    });
  });

  test('know PREPARE from PREPARE TRANSACTION', () => {
    holds({
      'prepare x as select 1': 'prepare',
      "prepare transaction 'x'": '',
      'prepare transaction (int) as select 1': 'prepare',
      'deallocate x': 'removes',
      'deallocate all': 'removes',
    });
  });
});

describe('what a text prepares', () => {
  const prepared = (text: string): unknown => hints(text).prepared;

  test('is named as PostgreSQL reads the name, in order', () => {
    assert.deepEqual(prepared(`PREPARE A AS SELECT 1; prepare "B" (int) as select $1`), ['a', 'B']);
    assert.deepEqual(prepared(`prepare transaction 'x'; prepare transaction as select 1`), ['transaction']);
    assert.deepEqual(prepared('prepare a as select 1; '.repeat(101)), []);
  });
});

describe('what a text deallocates', () => {
  const deallocated = (text: string): unknown => hints(text).deallocated;

  test('is named as PostgreSQL reads the name', () => {
    assert.deepEqual(deallocated('DEALLOCATE Abc'), ['abc']);
    assert.deepEqual(deallocated(' deallocate /* é */ prepare "A""b" ; -- x'), ['A"b']);
    assert.deepEqual(deallocated('deallocate prepare'), ['prepare']);
    assert.deepEqual(deallocated('deallocate "all"'), ['all']);
    assert.deepEqual(deallocated(`deallocate ${'x'.repeat(70)}`), ['x'.repeat(70)]);
    assert.deepEqual(deallocated('deallocate É'), [Buffer.from('É').toString('latin1')]);
  });

  test('is told in order, and of any number of statements', () => {
    assert.deepEqual(deallocated(`select 1; deallocate a; deallocate all; deallocate prepare "B";;`), [
      'a',
      'B',
    ]);
    assert.deepEqual(deallocated('deallocate a'.concat('; deallocate a'.repeat(99))), Array(100).fill('a'));
    for (const [text, isSingle] of Object.entries({
      'deallocate a': true,
      ' ; deallocate a ;;': true,
      'deallocate a; deallocate b': false,
      'deallocate a; select 1': false,
      'select 1; deallocate a': false,
    }))
      assert.equal(hints(text).isSingle, isSingle, text);
  });

  test('keeps its place where the name cannot be told', () => {
    for (const text of ['deallocate a b', 'deallocate', `deallocate ${'é'.repeat(40)}`])
      assert.deepEqual(deallocated(`deallocate x; ${text}; deallocate y`), ['x', undefined, 'y'], text);
  });

  test('is not told of texts that cannot be read for sure, nor of more than a hundred names', () => {
    assert.deepEqual(deallocated('deallocate all'), []);
    assert.deepEqual(deallocated('deallocate prepare all'), []);
    assert.deepEqual(deallocated('deallocate a; deallocate U&"a"'), []);
    assert.deepEqual(hints('deallocate a; select é@x', { ...usual, encoding: undefined }).deallocated, []);
    assert.deepEqual(deallocated('deallocate a;'.repeat(101)), []);
  });
});
