/** What the lexer says, held against what PostgreSQL does with the same bytes. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import fc from 'fast-check';
import { functions } from '../../src/sql/functions.ts';
import { Hint, hintsOf, type Lexing } from '../../src/sql/hints.ts';
import { message, query as queryMessage } from '../support/messages.ts';
import { query, usePostgres } from '../support/postgres.ts';
import { RawClient } from '../support/raw-client.ts';
import { corpus, largeTexts } from './corpus.ts';
import { texts } from './texts.ts';

const postgres = usePostgres();

/** What has changed in the session. */
interface Left {
  readonly setting: boolean;
  readonly lock: boolean;
  readonly channel: boolean;
}

const PROBE = `select (current_setting('work_mem') <> '4MB')::int::text
  || (select count(*) > 0 from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())::int
  || (select count(*) > 0 from pg_listening_channels())::int`;
const CLEAN = 'reset all; select pg_advisory_unlock_all(); unlisten *';

/** What is set at login is what RESET ALL goes back to. */
const login = ({ encoding, standardConformingStrings }: Lexing): Promise<RawClient> =>
  RawClient.login(postgres(), {
    client_encoding: encoding ?? 'UTF8',
    standard_conforming_strings: standardConformingStrings === false ? 'off' : 'on',
  });

/** Runs the texts one after the other and tells what each has left. */
async function run(client: RawClient, batch: readonly Buffer[]): Promise<Left[]> {
  const around = ['rollback', PROBE, CLEAN].map((sql) => queryMessage(sql));
  const messages = batch.flatMap((text) => [
    message('Q', (writer) => writer.bytes(text).uint8(0)),
    ...around,
  ]);
  const replies = await client.ask(messages, messages.length);
  const probed = replies.filter(
    ({ type, body }) => type === 'D' && /^[01]{3}$/.test(body.toString('latin1', 6)),
  );
  assert.equal(probed.length, batch.length);
  return probed.map(({ body }) => {
    const [setting, lock, channel] = Array.from(body.toString('latin1', 6), (digit) => digit === '1');
    return { setting: setting === true, lock: lock === true, channel: channel === true };
  });
}

/** What is missing among the hints. */
function missed(text: Buffer, lexing: Lexing, left: Left): string[] {
  const { bits, names } = hintsOf(text, 0, text.length, lexing);
  const opaque = (bits & Hint.opaque) !== 0;
  return [
    ...(left.setting && !opaque && !names.includes('work_mem') ? ['work_mem'] : []),
    ...(left.lock && (bits & Hint.locks) === 0 ? ['lock'] : []),
    ...(left.channel && (bits & Hint.pins) === 0 ? ['channel'] : []),
  ];
}

const lexings: readonly Lexing[] = [
  { standardConformingStrings: true, encoding: 'UTF8' },
  { standardConformingStrings: false, encoding: 'UTF8' },
  { standardConformingStrings: true, encoding: 'SJIS' },
  { standardConformingStrings: false, encoding: 'SJIS' },
  { standardConformingStrings: false, encoding: 'GB18030' },
  { standardConformingStrings: true, encoding: 'LATIN1' },
];

test('the functions of pg_catalog are known: npm run generate:catalog', async () => {
  const rows = await query(
    postgres(),
    `select proname from pg_proc where pronamespace = 'pg_catalog'::regnamespace
       and 'internal'::regtype <> all (proargtypes)
       and prorettype not in ('internal'::regtype, 'trigger'::regtype, 'event_trigger'::regtype)`,
  );
  const names = rows.map(({ proname }) => String(proname));
  assert.ok(names.includes('set_config'));
  const unknown = names.filter((name) => functions.find(Buffer.from(name), 0, name.length, true) === 0);
  assert.deepEqual(unknown, []);
});

describe('hints', () => {
  before(async () => {
    await query(postgres(), 'create table tt (id int primary key, v text)');
  });

  test('find whatever of the corpus PostgreSQL runs, and skip only what it does not', async () => {
    const clients = new Map<string, RawClient>();
    for (const { about, text, found, lexing } of [...corpus, ...largeTexts]) {
      const key = JSON.stringify(lexing);
      const client = clients.get(key) ?? (await login(lexing));
      clients.set(key, client);
      const [left] = await run(client, [text]);
      assert.ok(left !== undefined);
      assert.deepEqual(missed(text, lexing, left), [], about);
      assert.ok(found || !left.setting, `PostgreSQL runs it: ${about}`);
    }
    for (const client of clients.values()) client.end();
  });

  for (const lexing of lexings) {
    const { encoding, standardConformingStrings: standard } = lexing;
    test(`are there for whatever leaves something, in ${String(encoding)} with${standard === true ? '' : 'out'} standard strings`, async (t) => {
      const client = await login(lexing);
      let ran = 0;
      let needless = 0;
      let all = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(texts, { minLength: 1, maxLength: 100, size: 'max' }), async (batch) => {
          const lefts = await run(client, batch);
          for (const [i, text] of batch.entries()) {
            const left = lefts[i];
            assert.ok(left !== undefined);
            assert.deepEqual(missed(text, lexing, left), [], JSON.stringify(text.toString('latin1')));
            const leaves = left.setting || left.lock || left.channel;
            all++;
            if (leaves) ran++;
            else if (hintsOf(text, 0, text.length, lexing).bits !== 0) needless++;
          }
        }),
        { numRuns: 15 },
      );
      client.end();
      t.diagnostic(
        `${String(all)} texts: ${String(ran)} left something, ${String(needless)} had needless hints`,
      );
      assert.ok(ran > all / 20, 'hardly any text runs');
    });
  }
});
