import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { customNamesIn, definesInside } from '../../src/sql/inner-names.ts';

/** With what an unlucky reader would take for more of the text around it. */
function namesIn(text: string): string[] {
  const around = `set_config('out.side', ${text} set out.side`;
  const bytes = Buffer.from(around);
  const start = Buffer.byteLength("set_config('out.side', ");
  return customNamesIn(bytes, start, start + Buffer.byteLength(text));
}

describe('a text', () => {
  test('defines something inside if it says so, whatever it is', () => {
    const defines = (text: string): boolean => definesInside(Buffer.from(text), 0, Buffer.byteLength(text));
    for (const text of ["'ALTER TABLE t'", '$$create\ntable t()$$', "execute 'drop  table t'"])
      assert.ok(defines(text), text);
    for (const text of ['', 'create', "'recreate table'", 'created at', 'altered', 'no drops here'])
      assert.ok(!defines(text), text);
  });
});

describe('the custom settings that a text names', () => {
  test('are those that SET, RESET and set_config name, however it is written', () => {
    const texts: Readonly<Record<string, readonly string[]>> = {
      "SET app.tenant = 'x'": ['app.tenant'],
      'set session app.tenant to 1': ['app.tenant'],
      'RESET App.Tenant': ['app.tenant'],
      'begin\n\tSET\n\tapp.tenant = 1; end': ['app.tenant'],
      "perform set_config('app.tenant', v, false)": ['app.tenant'],
      "perform pg_catalog.set_config ( 'app.tenant' , v, false)": ['app.tenant'],
      "execute 'select set_config(''app.tenant'', 1, false)'": ['app.tenant'],
      "set a.b = 1; reset c.d; perform set_config('e.f.g', '', true); set a.b = 2": ['a.b', 'c.d', 'e.f.g'],
      'set _a.b$1 = 1': ['_a.b$1'],
    };
    for (const [text, expected] of Object.entries(texts)) assert.deepEqual(namesIn(text), expected, text);
  });

  test('are none where the names are of other settings, or of something else', () => {
    for (const text of [
      'set work_mem = 1',
      "perform set_config('work_mem', '1', false)",
      'select app.tenant from app.set',
      "perform current_setting('app.tenant')",
      'offset a.b',
      'perform set_config(name, value, false)',
      '',
    ])
      assert.deepEqual(namesIn(text), [], text);
  });

  test('are found anywhere in a text, whatever is around them', () => {
    const around = fc.string({
      unit: fc.constantFrom('é', "'", '$', ';', ' ', '\n', '.', '('),
      maxLength: 20,
    });
    const name = fc.stringMatching(/^[a-z_][a-z_0-9]{0,8}\.[a-z_][a-z_0-9]{0,8}$/);
    fc.assert(
      fc.property(around, around, name, fc.boolean(), (before, after, setting, called) => {
        const statement = called ? `set_config('${setting}'` : `set ${setting} =`;
        assert.deepEqual(namesIn(`${before} ${statement}${after}`), [setting]);
      }),
    );
  });

  test('are no more than 50, and of the first 65,536 bytes', () => {
    const many = Array.from({ length: 60 }, (_, index) => `set a.n${String(index)} = 1;`).join(' ');
    assert.equal(namesIn(many).length, 50);
    assert.deepEqual(namesIn(`${' '.repeat(65_525)}set a.b = 1`), ['a.b']);
    assert.deepEqual(namesIn(`${' '.repeat(65_536)}set a.b = 1`), []);
  });
});
