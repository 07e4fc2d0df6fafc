/** psql, as people use it: one session after another, in which each answer is read. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Authority, writeCertificate } from '../support/certificates.ts';
import { chosenPooler } from '../support/poolers/chosen.ts';
import { useArena } from '../support/arena.ts';
import { findProgram, runProgram } from './support/programs.ts';
import { TAKING_TURNS } from './support/scenarios.ts';
import { SESSION_TABLES, TENANTS } from './support/sessions.ts';

const psql = await findProgram('psql', 'postgresql-client');
if (psql.kind === 'missing') {
  test('psql', { skip: psql.reason }, () => undefined);
} else {
  await describePsql(psql.value);
  await describeSessions(psql.value);
}

async function describePsql(program: string): Promise<void> {
  const pooler = await chosenPooler();
  const folder = await mkdtemp(join(tmpdir(), 'psql-test-'));
  after(() => rm(folder, { recursive: true, force: true }));
  const authority = new Authority();
  const certificate = writeCertificate(authority.issue(), 'server', folder);
  const caFile = writeCertificate(authority.certificate, 'ca', folder).certFile;

  describe(`psql through ${pooler.name}`, () => {
    const arena = useArena({ pooler, poolSize: 3, certificate });

    const psqlWith = (args: readonly string[], environment: Readonly<Record<string, string>> = {}) =>
      runProgram(program, ['--no-psqlrc', '--no-align', '--set=ON_ERROR_STOP=1', ...args], {
        environment: { ...arena().environment, ...environment },
        cwd: folder,
      });
    const session = async (...commands: string[]): Promise<string[]> => {
      const { stdout } = await psqlWith([
        '--tuples-only',
        ...commands.map((command) => `--command=${command}`),
      ]);
      return stdout.trimEnd().split('\n');
    };

    before(async () => {
      await session(
        'CREATE TABLE horse (id int PRIMARY KEY, name text NOT NULL)',
        `INSERT INTO horse SELECT n, 'horse ' || n FROM generate_series(1, 1000) n`,
        'CREATE VIEW young AS SELECT * FROM horse WHERE id > 900',
      );
    });

    test('describes tables, views and functions', async () => {
      assert.deepEqual(await session(String.raw`\d`), ['public|horse|table|app', 'public|young|view|app']);
      const { stdout } = await psqlWith([String.raw`--command=\d horse`]);
      assert.match(stdout, /^id\|integer\|\|not null\|$/m);
      assert.match(stdout, /"horse_pkey" PRIMARY KEY/);
      assert.match(
        (await session(String.raw`\df pg_catalog.pg_backend_pid`)).join('\n'),
        /pg_backend_pid\|integer/,
      );
      assert.match((await session(String.raw`\conninfo`)).join('\n'), /app/);
    });

    test('answers several statements of one query, and nothing of those after a mistake', async () => {
      assert.deepEqual(await session('SELECT 1; SELECT 2; SELECT 3'), ['1', '2', '3']);
      assert.deepEqual(await session('BEGIN; SELECT 1', 'SELECT 2; COMMIT', 'SELECT 3'), [
        'BEGIN',
        '1',
        '2',
        'COMMIT',
        '3',
      ]);
      await assert.rejects(
        session(`INSERT INTO horse VALUES (-1, 'lost'); SELECT 1 / 0; SELECT 'on'`),
        /division by zero/,
      );
      assert.deepEqual(await session('SELECT count(*) FROM horse WHERE id < 0'), ['0']);
    });

    test('commits and rolls back, savepoint by savepoint', async () => {
      const output = await session(
        'BEGIN',
        `INSERT INTO horse VALUES (2001, 'kept')`,
        'SAVEPOINT before',
        `INSERT INTO horse VALUES (2002, 'lost')`,
        'ROLLBACK TO before',
        'COMMIT',
        'SELECT name FROM horse WHERE id > 2000',
      );
      assert.equal(output.at(-1), 'kept');
      await session('DELETE FROM horse WHERE id > 2000');
    });

    test(String.raw`copies out and in with \copy`, async () => {
      const file = join(folder, 'horses.csv');
      await session(
        String.raw`\copy (SELECT id + 5000, name FROM horse ORDER BY id) TO '${file}' (FORMAT csv)`,
      );
      const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
      assert.deepEqual([lines.length, lines[0]], [1000, '5001,horse 1']);
      await session(String.raw`\copy horse FROM '${file}' (FORMAT csv)`);
      assert.deepEqual(await session('SELECT count(*) FROM horse WHERE id > 5000'), ['1000']);
      await assert.rejects(session(String.raw`\copy horse FROM '${file}' (FORMAT csv)`), /duplicate key/);
      await session('DELETE FROM horse WHERE id > 5000');
    });

    test(
      String.raw`runs what a query gives with \gexec, and reads rows in parts with FETCH_COUNT`,
      async () => {
        const script = join(folder, 'script.sql');
        await writeFile(script, SCRIPT);
        const { stdout } = await psqlWith(['--tuples-only', `--file=${script}`]);
        const rows = Array.from({ length: 1000 }, (_, n) => n + 1);
        assert.deepEqual(stdout.trimEnd().split('\n').map(Number), [-1, -2, -3, ...rows]);
      },
    );

    test('shows a result of several megabytes whole', async () => {
      const [line = ''] = await session(`SELECT repeat('neigh', 2000000)`);
      assert.ok(line === 'neigh'.repeat(2_000_000), 'ten million characters, all of them right');
    });

    test('reports the errors of the server in its words', async () => {
      await assert.rejects(session('SELECT * FROM unicorn'), /relation "unicorn" does not exist/);
      await assert.rejects(session('SELEKT'), /syntax error at or near "SELEKT"/);
    });

    test(
      'uses TLS when told to',
      { skip: pooler.limitsServers ? false : 'this PostgreSQL has no certificate' },
      async () => {
        const secure = { PGSSLMODE: 'verify-full', PGSSLROOTCERT: caFile, PGHOST: 'localhost' };
        const { stdout } = await psqlWith(
          ['--tuples-only', String.raw`--command=\conninfo`, '--command=SELECT 1'],
          secure,
        );
        assert.match(stdout, /SSL|TLS/);
        assert.equal(stdout.trimEnd().split('\n').at(-1), '1');
        await psqlWith(['--command=SELECT 1'], { PGSSLMODE: 'disable' });
      },
    );

    test('is refused with a wrong password', async () => {
      await assert.rejects(
        psqlWith(['--command=SELECT 1'], { PGPASSWORD: 'wrong' }),
        /authentication failed/,
      );
    });

    test('never takes more servers than the pool has, 20 sessions at a time', async () => {
      await arena().watching(() =>
        Promise.all(
          Array.from({ length: 20 }, async (_, n) => {
            const output = await session(
              `SELECT ${String(n)}, pg_sleep(0.05)`,
              'BEGIN',
              `SELECT ${String(n)}`,
              'COMMIT',
            );
            assert.deepEqual(output, [`${String(n)}|`, 'BEGIN', String(n), 'COMMIT']);
          }),
        ),
      );
    });
  });
}

/** Scripts that need their session from their first line to their last, eight at once. */
async function describeSessions(program: string): Promise<void> {
  const pooler = await chosenPooler();
  const skip = pooler.sessionState ? false : `${pooler.name} does not keep the state of a session`;
  describe(`A session of psql through ${pooler.name}`, { skip }, () => {
    const arena = useArena({ ...TAKING_TURNS, pooler, setup: SESSION_TABLES });

    /** One query a line; what they give, and what was wrong with them. */
    const run = async (script: string, environment: Readonly<Record<string, string>> = {}) => {
      const lines = script.trim().split('\n');
      const { stdout, stderr } = await runProgram(
        program,
        [
          '--no-psqlrc',
          '--no-align',
          '--tuples-only',
          '--quiet',
          ...lines.map((line) => `--command=${line.trim()}`),
        ],
        { environment: { ...arena().environment, ...environment } },
      );
      return { answers: stdout.trimEnd().split('\n'), stderr };
    };
    const eightTimes = (work: (n: number) => Promise<void>): Promise<number> =>
      arena().watching(() => Promise.all(Array.from({ length: 8 }, (_, n) => work(n))));

    test('keeps what a script has set, created, prepared, declared and locked', async () => {
      await eightTimes(async (n) => {
        const [tenant, key] = [String(n % TENANTS), String(n % 2)];
        const { answers, stderr } = await run(`
          SET search_path TO tenant_${tenant}
          SET app.tenant TO 'tenant ${tenant}'
          SELECT tenant FROM who
          BEGIN
          SET app.tenant TO 'lost'
          ROLLBACK
          SHOW app.tenant
          CREATE TEMP TABLE basket AS SELECT ${tenant} AS article
          SELECT article FROM basket
          DECLARE kept CURSOR WITH HOLD FOR SELECT generate_series(1, 4)
          FETCH 2 FROM kept
          PREPARE plus (int) AS SELECT $1 + 100
          EXECUTE plus (${tenant})
          FETCH 2 FROM kept
          SELECT 'locked' FROM pg_advisory_lock(${key})
          CLOSE kept
          DEALLOCATE plus
          DROP TABLE basket
          SELECT article FROM basket
          SELECT tenant FROM who
          SELECT pg_advisory_unlock(${key})
          RESET search_path
          SHOW search_path`);
        const wanted = `${tenant},tenant ${tenant},${tenant},1,2,10${tenant},3,4,locked,${tenant},t,"$user", public`;
        assert.equal(answers.join(','), wanted);
        assert.match(stderr, /^ERROR: {2}relation "basket" does not exist$/m);
      });
    });

    test('takes settings from PGOPTIONS and returns to them', async () => {
      await eightTimes(async (n) => {
        const [tenant, memory] = [String(n % TENANTS), `${String(n + 1)}MB`];
        const { answers } = await run(
          `
          SHOW search_path
          SELECT tenant FROM who
          SHOW work_mem
          SET work_mem TO '99MB'
          SHOW work_mem
          RESET work_mem
          SHOW work_mem`,
          { PGOPTIONS: `-c search_path=tenant_${tenant} -c work_mem=${memory}` },
        );
        assert.deepEqual(answers, [`tenant_${tenant}`, tenant, memory, '99MB', memory]);
      });
    });
  });
}

const SCRIPT = String.raw`
  SELECT 'SELECT -' || n FROM generate_series(1, 3) n \gexec
  \set FETCH_COUNT 100
  SELECT id FROM horse ORDER BY id;
`;
