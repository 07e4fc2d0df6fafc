/** pgbench in each of its modes: TPC-B with 50 clients over 5 servers, and books that must balance afterwards. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { chosenPooler } from '../support/poolers/chosen.ts';
import { useArena } from '../support/arena.ts';
import { findProgram, runProgram } from './support/programs.ts';
import { TAKING_TURNS } from './support/scenarios.ts';

const POOL_SIZE = 5;
const CLIENTS = 50;
const TRANSACTIONS_EACH = 20;

const pgbench = await findProgram('pgbench', 'postgresql-contrib');
if (pgbench.kind === 'missing') {
  test('pgbench', { skip: pgbench.reason }, () => undefined);
} else {
  await describePgbench(pgbench.value);
  await describeSessions(pgbench.value);
}

async function describePgbench(program: string): Promise<void> {
  const pooler = await chosenPooler();
  describe(`pgbench through ${pooler.name}`, () => {
    const arena = useArena({ pooler, poolSize: POOL_SIZE });
    const run = async (...args: string[]): Promise<string> =>
      (await runProgram(program, args, { environment: arena().environment })).stdout;

    before(async () => {
      await run('--initialize', '--scale=2', '--quiet');
    });

    for (const mode of ['simple', 'extended', 'prepared']) {
      const unable = mode === 'prepared' && !pooler.namedPreparedStatements;
      const skip = unable ? `${pooler.name} does not know named prepared statements` : false;
      // Older pgbenches block a whole thread, with all its clients, while one of them prepares and waits for a server.
      const jobs = mode === 'prepared' ? CLIENTS : 2;
      const load = [
        `--protocol=${mode}`,
        `--client=${String(CLIENTS)}`,
        `--jobs=${String(jobs)}`,
        '--no-vacuum',
      ];

      test(`runs its transactions with -M ${mode}, and the books balance`, { skip }, async () => {
        await arena().query('TRUNCATE pgbench_history');
        await watched([...load, `--transactions=${String(TRANSACTIONS_EACH)}`]);
        const [books] = await arena().query(BOOKS);
        assert.deepEqual(books, { history: CLIENTS * TRANSACTIONS_EACH, balanced: true });
      });

      test(`selects with -M ${mode} on a new connection for each transaction`, { skip }, async () => {
        await watched([...load, '--select-only', '--connect', '--transactions=5']);
      });

      if (mode === 'simple') continue; // It has no pipelines.
      test(`runs pipelines with -M ${mode}`, { skip }, async () => {
        await watched([...load, '--transactions=20', `--file=${PIPELINE}`]);
      });
    }

    async function watched(args: readonly string[]): Promise<void> {
      let report = '';
      const peak = await arena().watching(async () => {
        report = await run(...args);
      });
      // A client that meets an error is aborted, with only this line and the status to tell.
      assert.match(report, /number of failed transactions: 0 /);
      if (pooler.limitsServers) assert.equal(peak, POOL_SIZE, 'the load kept the whole pool busy');
    }
  });
}

/** Each transaction sets, creates, declares and locks something, and fails unless it is there in the next. */
async function describeSessions(program: string): Promise<void> {
  const pooler = await chosenPooler();
  const skip = pooler.sessionState ? false : `${pooler.name} does not keep the state of a session`;
  describe(`A session of pgbench through ${pooler.name}`, { skip }, () => {
    const arena = useArena({ ...TAKING_TURNS, pooler });
    for (const mode of ['simple', 'extended', 'prepared']) {
      test(`keeps what each client has set, created, declared and locked with -M ${mode}`, async () => {
        const args = [`--protocol=${mode}`, '--client=9', '--jobs=9', '--transactions=20', '--no-vacuum'];
        await arena().watching(async () => {
          const { environment } = arena();
          const { stdout } = await runProgram(program, [...args, `--file=${SESSION}`], { environment });
          assert.match(stdout, /number of failed transactions: 0 /);
        });
      });
    }
  });
}

const SESSION = new URL('session.pgbench.sql', import.meta.url).pathname;

const PIPELINE = new URL('pipeline.pgbench.sql', import.meta.url).pathname;

/** Every transaction adds its delta to an account, a teller and a branch, and writes it down. */
const BOOKS = `
  WITH change AS (SELECT coalesce(sum(delta), 0) AS sum, count(*)::int AS count FROM pgbench_history),
  total AS (SELECT (SELECT sum(abalance) FROM pgbench_accounts) AS accounts,
                   (SELECT sum(tbalance) FROM pgbench_tellers) AS tellers,
                   (SELECT sum(bbalance) FROM pgbench_branches) AS branches)
  SELECT change.count AS history, accounts = tellers AND tellers = branches AS balanced FROM change, total`;
