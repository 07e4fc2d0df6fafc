import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { posix, sep } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../src/', import.meta.url));

const lower = [
  'base',
  'protocol',
  'sql',
  'session',
  'auth',
  'config',
  'observability',
  'net',
  'pool',
  'proxy',
];

/** Folder → the folders it may import from. The same table stands in src/README.md, for readers. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  base: [],
  protocol: ['base'],
  sql: ['base'],
  config: ['base'],
  observability: ['base'],
  auth: ['base', 'protocol'],
  session: ['base', 'protocol', 'sql'],
  net: ['base', 'observability'],
  pool: ['base', 'protocol (errors)', 'config (types)', 'observability'],
  proxy: lower.filter((folder) => folder !== 'proxy'),
  admin: lower,
  http: lower,
  cli: [...lower, 'admin', 'http'],
};

/** What a client may be told, by name and code: the part of `protocol` that has no bytes in it. */
const errorModules = /\/protocol\/(?:errors|sql-state)\.ts$/;

/** Modules of Node's that only some folders may use: the others are pure, or decide without seeing a byte. */
const socketModules = [
  'node:net',
  'node:tls',
  'node:dgram',
  'node:http',
  'node:https',
  'node:dns',
  'node:dns/promises',
];
const mayUseSockets = ['net', 'proxy', 'http', 'cli'];

/** Private names of Node's, which change without notice: one file adopts sockets and tests itself at start. */
const privateNames =
  /\._handle\b|['"]_handle['"]|process\.binding|\b(?:kBuffer|kBufferCb|kBufferGen|useUserBuffer|writeBuffer|WriteWrap)\b/;
const privateNamesIn = 'net/relay-socket.ts';

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typesOnly: boolean;
}

const statements =
  /(?:^|\n)\s*(?:import|export)\s+(?<type>type\s+)?(?:(?<names>[\w*\s{},$]+?)\s+from\s+)?['"](?<static>[^'"\n]+)['"]|\bimport\(\s*['"](?<dynamic>[^'"\n]+)['"]/g;

function importsIn(from: string, text: string): Import[] {
  return [...text.matchAll(statements)].map(({ groups }) => ({
    from,
    to: groups?.['static'] ?? groups?.['dynamic'] ?? '',
    typesOnly: groups?.['type'] !== undefined || namesTypesOnly(groups?.['names']),
  }));
}

function namesTypesOnly(names: string | undefined): boolean {
  const listed = /^\{(?<inside>.*)\}$/s.exec(names?.trim() ?? '')?.groups?.['inside'];
  if (listed === undefined) return false;
  return listed
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
    .every((name) => name.startsWith('type '));
}

function folderOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : '';
}

/** The rule an import breaks, or undefined. `to` is as written in the import. */
function violation({ from, to, typesOnly }: Import): string | undefined {
  const folder = folderOf(from);
  if (to.startsWith('.')) {
    const target = folderOf(posix.join(posix.dirname(from), to));
    if (target === folder || folder === '') return undefined;
    const allowed = mayImport[folder];
    if (allowed === undefined) return `${from}: src/${folder} is not in the table of layers`;
    if (allowed.includes(target) || (typesOnly && allowed.includes(`${target} (types)`))) return undefined;
    if (allowed.includes(`${target} (errors)`) && errorModules.test(to)) return undefined;
    return `${from} imports ${to}: ${folder} may import ${allowed.join(', ') || 'nothing of ours'}`;
  }
  if (socketModules.includes(to) && !typesOnly && folder !== '' && !mayUseSockets.includes(folder)) {
    // isIP and the like are pure, and a list of addresses is no socket.
    return to === 'node:net' && onlyAddresses(from)
      ? undefined
      : `${from} imports ${to}: ${folder} sees no sockets`;
  }
  return undefined;
}

function onlyAddresses(file: string): boolean {
  const names = /import\s+\{(?<names>[^}]*)\}\s+from\s+['"]node:net['"]/.exec(textOf(file))?.groups?.[
    'names'
  ];
  return (names ?? 'unknown')
    .split(',')
    .every((name) => /^\s*(?:isIP|isIPv4|isIPv6|BlockList|SocketAddress)?\s*$/.test(name));
}

function textOf(file: string): string {
  return readFileSync(source + file, 'utf8');
}

/** `| folder | what it may import |`, folders separated by commas, as it stands in src/README.md. */
function parseTable(markdown: string): Record<string, string[]> {
  const table: Record<string, string[]> = {};
  for (const line of markdown.split('\n')) {
    const cells = line.split('|').map((cell) => cell.replaceAll('`', '').trim());
    const [, folders, allowed] = cells;
    if (cells.length !== 4 || folders === undefined || allowed === undefined) continue;
    for (const folder of folders.split(',').map((name) => name.trim())) {
      if (folder in mayImport) table[folder] = expand(allowed, folder);
    }
  }
  return table;
}

function expand(allowed: string, folder: string): string[] {
  if (allowed === 'nothing of ours') return [];
  if (allowed === 'everything') return [...lower, 'admin', 'http'];
  if (allowed.startsWith('all above')) return lower.filter((name) => name !== folder);
  return allowed.split(',').map((name) => name.trim());
}

describe('the layers of src', () => {
  const files = globSync('**/*.ts', { cwd: source }).map((file) => file.split(sep).join('/'));

  test('import only what lies below them', () => {
    assert.notEqual(files.length, 0);
    const imports = files.flatMap((file) => importsIn(file, textOf(file)));
    assert.ok(imports.length > files.length / 2, 'the scan for imports finds too few of them');
    assert.deepEqual(
      imports.map(violation).filter((problem) => problem !== undefined),
      [],
    );
  });

  test('use private names of Node in one file only', () => {
    assert.deepEqual(
      files.filter((file) => file !== privateNamesIn && privateNames.test(textOf(file))),
      [],
    );
  });

  test(
    'are the ones that src/README.md shows',
    { skip: existsSync(`${source}README.md`) ? false : 'there is no src/README.md' },
    () => {
      const shown = parseTable(readFileSync(`${source}README.md`, 'utf8'));
      const sorted = (
        table: Readonly<Record<string, readonly string[]>>,
      ): Record<string, readonly string[]> =>
        Object.fromEntries(Object.entries(table).map(([folder, allowed]) => [folder, allowed.toSorted()]));
      assert.deepEqual(sorted(shown), sorted(mayImport));
    },
  );
});

describe('the scan for imports', () => {
  const found = (text: string): string[] => importsIn('pool/pool.ts', text).map(({ to }) => to);

  test('sees every form of import and export', () => {
    const text = [
      `import { a } from './one.ts';`,
      `import type { B } from './two.ts';`,
      `import {\n  c,\n  type D,\n} from './three.ts';`,
      `import * as e from './four.ts';`,
      `export { f } from './five.ts';`,
      `export * from './six.ts';`,
      `import './seven.ts';`,
      `const g = await import('./eight.ts');`,
    ].join('\n');
    const names = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight'];
    assert.deepEqual(
      found(text),
      names.map((name) => `./${name}.ts`),
    );
  });

  test('refuses an import that goes up, and accepts in pool only the types of config and the errors of protocol', () => {
    const check = (from: string, text: string): number =>
      importsIn(from, text).filter((statement) => violation(statement) !== undefined).length;
    assert.equal(check('pool/pool.ts', `import { x } from '../proxy/link.ts';`), 1);
    assert.equal(check('pool/pool.ts', `import type { x } from '../proxy/link.ts';`), 1);
    assert.equal(check('pool/pool.ts', `import { type X, y } from '../config/settings.ts';`), 1);
    assert.equal(check('pool/pool.ts', `import { type X, type Y } from '../config/settings.ts';`), 0);
    assert.equal(check('pool/pool.ts', `import { x } from '../base/assert.ts';`), 0);
    assert.equal(check('pool/pool.ts', `import { x } from '../protocol/errors.ts';`), 0);
    assert.equal(check('pool/pool.ts', `import type { x } from '../protocol/frontend.ts';`), 1);
    assert.equal(check('session/state.ts', `import tls from 'node:tls';`), 1);
    assert.equal(check('unknown/file.ts', `import { x } from '../base/assert.ts';`), 1);
  });
});
