import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { changesSchema } from '../../src/session/schema.ts';
import { isQuietTag, Suspicion } from '../../src/session/suspicion.ts';
import { Hint, hintsOf, noHints } from '../../src/sql/hints.ts';

const listed = (items: string): string[] => items.split(', ');

/** The kinds of objects that PostgreSQL 13 to 18 can create, alter or drop, and what else their tags say. */
const kinds = [
  ...listed('ACCESS METHOD, AGGREGATE, CAST, COLLATION, CONSTRAINT, CONVERSION, DATABASE, DOMAIN'),
  ...listed('EVENT TRIGGER, EXTENSION, FOREIGN DATA WRAPPER, FOREIGN TABLE, FUNCTION, INDEX, LANGUAGE'),
  ...listed('MATERIALIZED VIEW, OPERATOR, OPERATOR CLASS, OPERATOR FAMILY, POLICY, PROCEDURE, ROLE'),
  ...listed('PUBLICATION, ROUTINE, RULE, SCHEMA, SEQUENCE, SERVER, STATISTICS, SUBSCRIPTION, TABLE'),
  ...listed('TABLESPACE, TEXT SEARCH CONFIGURATION, TEXT SEARCH DICTIONARY, TEXT SEARCH PARSER, TRANSFORM'),
  ...listed('TEXT SEARCH TEMPLATE, TRIGGER, TYPE, USER MAPPING, VIEW'),
];
const creating = [...kinds.map((kind) => `CREATE ${kind}`), 'CREATE TABLE AS'];
const dropping = [...kinds.map((kind) => `DROP ${kind}`), 'DROP OWNED'];
const altering = [
  ...kinds.map((kind) => `ALTER ${kind}`),
  ...listed('ALTER DEFAULT PRIVILEGES, ALTER LARGE OBJECT, ALTER SYSTEM, IMPORT FOREIGN SCHEMA'),
];

/** What each tag gives where no text has shown its statement. */
const leaving: Readonly<Record<string, string>> = {
  ...Object.fromEntries(creating.map((tag) => [tag, 'pins'])),
  ...Object.fromEntries(dropping.map((tag) => [tag, 'removes'])),
  SET: 'opaque',
  RESET: 'opaque',
  'DISCARD ALL': 'opaque resetAll removes',
  'DISCARD TEMP': 'removes',
  LISTEN: 'pins',
  UNLISTEN: 'removes',
  'CLOSE CURSOR': 'removes',
  'CLOSE CURSOR ALL': 'removes',
  PREPARE: 'prepare',
  DEALLOCATE: 'removes',
  'DEALLOCATE ALL': 'removes',
  LOAD: 'permanent',
  DO: 'opaque',
  CALL: 'opaque',
};

const leavingNothing = [
  // What functions do in them shows in no tag, and whether SELECT creates something neither.
  ...listed('SELECT 1, INSERT 0 1, UPDATE 2, DELETE 3, MERGE 4, COPY 5, FETCH 6, MOVE 7, EXPLAIN'),
  // What lasts beyond a transaction has had a statement of its own.
  ...listed('BEGIN, START TRANSACTION, COMMIT, ROLLBACK, SAVEPOINT, RELEASE'),
  ...listed('PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED'),
  // Only WITH HOLD outlives its transaction, which the text tells.
  'DECLARE CURSOR',
  // Of the transaction, or a cache.
  ...listed('SET CONSTRAINTS, LOCK TABLE, DISCARD PLANS, DISCARD SEQUENCES'),
  // Of the database, or of everybody.
  ...listed('NOTIFY, SHOW, TRUNCATE TABLE, ANALYZE, VACUUM, CLUSTER, REINDEX, CHECKPOINT, COMMENT'),
  ...listed('GRANT, GRANT ROLE, REVOKE, REVOKE ROLE, REASSIGN OWNED, SECURITY LABEL'),
  'REFRESH MATERIALIZED VIEW',
  ...altering,
];
const tags = [...Object.keys(leaving), ...leavingNothing];

const namesOf = (bits: number): string =>
  Object.entries(Hint)
    .filter(([, bit]) => (bits & bit) !== 0)
    .map(([name]) => name)
    .join(' ');

function afterTag(tag: string): Suspicion {
  const suspicion = new Suspicion();
  suspicion.addTag(tag);
  return suspicion;
}

function afterTexts(...texts: readonly string[]): Suspicion {
  const suspicion = new Suspicion();
  for (const text of texts) suspicion.add(hintsIn(text));
  return suspicion;
}
const hintsIn = (text: string): ReturnType<typeof hintsOf> => {
  const bytes = Buffer.from(text);
  return hintsOf(bytes, 0, bytes.length, { standardConformingStrings: true, encoding: 'UTF8' });
};

/** As it stands in a CommandComplete, which is not alone in its buffer. */
const quiet = (tag: string, before = ''): boolean =>
  isQuietTag(Buffer.from(`${before}${tag}\0SET\0`), before.length);

describe('a tag', () => {
  test('gives the hint of what its statement may leave', () => {
    const found = Object.keys(leaving).map((tag) => [tag, namesOf(afterTag(tag).bits)]);
    assert.deepEqual(Object.fromEntries(found), leaving);
  });

  test('gives none where nothing is left', () => {
    assert.deepEqual(
      leavingNothing.filter((tag) => afterTag(tag).bits !== 0),
      [],
    );
  });

  test('that hints, or changes a schema, is never a quiet one, wherever it stands', () => {
    const telling = tags.filter((tag) => afterTag(tag).bits !== 0 || changesSchema(Buffer.from(tag), 0));
    assert.ok(telling.length > Object.keys(leaving).length);
    fc.assert(
      fc.property(
        fc.constantFrom(...telling),
        fc.string({ unit: 'binary-ascii', maxLength: 5 }),
        (tag, before) => {
          assert.equal(quiet(tag, before), false);
        },
      ),
      { numRuns: 20 * telling.length },
    );
  });

  test('of what clients run all the time is quiet', () => {
    const frequent = [
      ...listed('SELECT 1, INSERT 0 1, UPDATE 2, DELETE 3, MERGE 4, COPY 5, FETCH 6, MOVE 7, SHOW'),
      ...listed('BEGIN, START TRANSACTION, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, NOTIFY, LOCK TABLE'),
    ];
    assert.deepEqual(
      frequent.filter((tag) => !quiet(tag)),
      [],
    );
  });
});

describe('the tag of a SET', () => {
  const announced: readonly (readonly [text: string, tag: string])[] = [
    ['set work_mem = 1', 'SET'],
    ['set local work_mem = 1', 'SET'],
    ['set transaction read only', 'SET'],
    ['set constraints all deferred', 'SET CONSTRAINTS'],
    ['reset work_mem', 'RESET'],
    ['reset all', 'RESET'],
    ['discard all', 'DISCARD ALL'],
    ['discard plans', 'DISCARD PLANS'],
    ['discard sequences', 'DISCARD SEQUENCES'],
    ['discard temp', 'DISCARD TEMP'],
  ];

  test('is expected once for each that a text has shown, and says that anything may be set where there is one more', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...announced), { maxLength: 6 }), (statements) => {
        const suspicion = afterTexts(statements.map(([text]) => text).join('; '));
        for (const [, tag] of statements) suspicion.addTag(tag);
        assert.equal(suspicion.bits & Hint.opaque, 0);
        suspicion.addTag('SET');
        assert.equal(suspicion.bits & Hint.opaque, Hint.opaque);
      }),
    );
  });

  test('is not expected any more once the server has been asked', () => {
    const suspicion = afterTexts('set work_mem = 1');
    suspicion.clear();
    suspicion.addTag('SET');
    assert.equal(namesOf(suspicion.bits), 'opaque');
  });

  test('nor is it where that was in vain', () => {
    const suspicion = afterTexts('select 1');
    suspicion.addAll(afterTexts('set work_mem = 1'));
    suspicion.addTag('SET');
    assert.equal(namesOf(suspicion.bits), 'settings opaque');
  });
});

describe('a suspicion', () => {
  test('of two settings whose names nobody has seen is of several, also where the first was asked in vain', () => {
    const hidden = "select set_config($1, 'x', false)";
    const several = namesOf(afterTexts(hidden, hidden).bits);
    assert.match(several, /hiddenNames/);
    assert.doesNotMatch(namesOf(afterTexts(hidden).bits), /hiddenNames/);
    const suspicion = afterTexts(hidden);
    suspicion.addAll(afterTexts(hidden));
    assert.equal(namesOf(suspicion.bits), several);
  });

  test('has the names, resets and functions of all texts', () => {
    const suspicion = afterTexts('set work_mem = 1; reset app.x', 'select f(), g()', 'set role app');
    assert.deepEqual([...suspicion.names], ['work_mem', 'app.x', 'role']);
    assert.deepEqual([...suspicion.resets], ['app.x']);
    assert.deepEqual([...suspicion.functions], ['f', 'g']);
    assert.equal(namesOf(suspicion.bits), 'settings functions');
  });

  test('is none where texts leave nothing, or nothing beyond their transaction and in this session', () => {
    for (const text of [
      'select 1',
      'set local timezone = 1',
      "select nextval('s'), lastval()",
      'drop database d',
    ])
      assert.equal(afterTexts(text).any, false, text);
    for (const text of ['set timezone = 1', 'listen x', 'unlisten x', 'load x', 'select f()'])
      assert.equal(afterTexts(text).any, true, text);
  });

  test('is of pins for what may pin and what may be anything', () => {
    assert.equal(afterTexts('listen x').ofPins, true);
    assert.equal(afterTexts('do $$ $$').ofPins, true);
    assert.equal(afterTexts('set a.b = 1; select f()').ofPins, false);
  });

  test('is of anything once more names were set than are asked for', () => {
    const settings = Array.from({ length: 250 }, (_, index) => `set a.b${String(index)} = 1`);
    const suspicion = afterTexts(...settings.slice(0, 200));
    assert.equal(namesOf(suspicion.bits), 'settings');
    suspicion.add(hintsIn(settings.slice(200).join(';')));
    assert.equal(namesOf(suspicion.bits), 'settings opaque');
    assert.equal(suspicion.names.size, 200);
  });

  test('of a report alone may mean that what is usual has changed, of one that a text has shown not', () => {
    const suspicion = afterTexts('set timezone = 1');
    suspicion.addReport('timezone');
    assert.equal(suspicion.reported, false);
    suspicion.addReport('datestyle');
    assert.equal(suspicion.reported, true);
    assert.deepEqual([...suspicion.names], ['timezone', 'datestyle']);
    assert.equal(namesOf(suspicion.bits), 'settings');
  });

  test('knows as many temporary objects as texts have shown, by the tags of CREATE only', () => {
    const suspicion = afterTexts(
      'create temp table a (); create temp table b ()',
      'create temp view c as select 1',
    );
    assert.equal(suspicion.takeTemporary('SELECT 1'), false);
    assert.equal(suspicion.takeTemporary('CREATE TABLE'), true);
    assert.equal(suspicion.takeTemporary('CREATE VIEW'), true);
    assert.equal(suspicion.takeTemporary('CREATE TABLE'), false);
  });

  test('has nothing left once the server has been asked', () => {
    const suspicion = afterTexts('set a.b = 1; reset c; select f(); create temp table t ()');
    suspicion.addReport('timezone');
    suspicion.clear();
    assert.deepEqual(
      [suspicion.bits, suspicion.any, suspicion.reported, suspicion.takeTemporary('CREATE TABLE')],
      [0, false, false, false],
    );
    assert.deepEqual([suspicion.names.size, suspicion.resets.size, suspicion.functions.size], [0, 0, 0]);
    suspicion.add(noHints);
    assert.equal(suspicion.any, false);
  });
});
