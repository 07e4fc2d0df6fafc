/** What the command line understands, and how it refuses the rest. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ostler-cli-'));
});
after(() => rm(folder, { recursive: true, force: true }));

/** Runs it to its end, with a configuration in the environment, more of that, and this on standard input. */
async function ostler(
  argv: readonly string[],
  input = '',
  env: NodeJS.ProcessEnv = {},
): Promise<{ status: unknown; out: string; complaint: string }> {
  const child = spawn(process.execPath, [MAIN, ...argv], {
    cwd: folder,
    env: { ...process.env, DATABASE_URL: 'postgresql://app:secret@127.0.0.1:1/app', ...env },
  });
  const exited = once(child, 'exit');
  child.stdin.end(input);
  const [out, complaint, [status]] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
  return { status, out, complaint };
}

describe('the command line', () => {
  for (const [argv, complaint] of [
    [['run', '--nope', 'ostler.toml'], /^Unknown argument: nope$/m],
    [['--nope'], /^Unknown argument: nope$/m],
    [['check', 'a.toml', 'b.toml'], /^Unknown argument: b.toml$/m],
    [['healthcheck', '--timeout', 'soon'], /^--timeout must be seconds, up to 600$/m],
    [['scram-secret', '--iterations', '0'], /^--iterations must be a whole number from 1 to 10000000$/m],
  ] as const) {
    test(`is refused with status 2, and nothing is run: ${argv.join(' ')}`, async () => {
      const { status, out, complaint: said } = await ostler(argv, 'password');
      assert.match(said, complaint);
      assert.equal(out, '');
      assert.equal(status, 2);
    });
  }

  test('checks a configuration and prints it without its secrets', async () => {
    const checked = await ostler(['check']);
    assert.deepEqual(checked, { status: 0, out: 'environment: ok\n', complaint: '' });
    const printed = await ostler(['print-config']);
    assert.equal(printed.status, 0);
    assert.match(printed.out, /^\[databases\.app\]$/m);
    assert.doesNotMatch(printed.out, /secret/);
  });

  test('says that a health check needs HTTP, with status 1 as for one that fails', async () => {
    const { status, out } = await ostler(['healthcheck', '--timeout', '1'], '', {
      OSTLER__OSTLER__HTTP_PORT: '0',
    });
    assert.deepEqual([status, out], [1, 'HTTP is off: http_port is 0\n']);
  });

  test('makes a SCRAM verifier of a password on standard input', async () => {
    const { status, out } = await ostler(['scram-secret', '--iterations', '5000'], 'pencil\n');
    assert.equal(status, 0);
    assert.match(out, /^SCRAM-SHA-256\$5000:[^$]+\$[^:]+:\S+\n$/);
  });

  test('tells all that is wrong at once, in the file and in what it names', async () => {
    await writeFile(join(folder, 'userlist.txt'), '"app" "one"\n"app" "two"\n"broken\n');
    await writeFile(
      join(folder, 'wrong.toml'),
      `[ostler]
auth_file = "userlist.txt"
listen_prot = 1
[databases.app]
host = "127.0.0.1"
[users.hashed]
password = "md5${'0'.repeat(32)}"
`,
    );
    const { status, complaint } = await ostler(['check', 'wrong.toml']);
    assert.equal(status, 2);
    const places = complaint
      .trim()
      .split('\n')
      .map((line) => /^[\w.]+:\d+/.exec(line)?.[0]);
    assert.deepEqual(places, ['wrong.toml:3', 'wrong.toml:7', 'userlist.txt:3'], complaint);
  });
});
