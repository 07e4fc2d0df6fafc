/** Nothing of a session is found by the next one on its server, whatever was left in it and however its client went away. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import * as m from '../support/messages.ts';
import type { Target } from '../support/postgres.ts';
import { useStage } from '../support/stage.ts';
import { DIRT, type Dirt, everything, HIDING_PLACES } from './dirt.ts';
import { type Farewell, FAREWELLS, IN_A_TRANSACTION, QUIT } from './leavers.ts';
import { Observer } from './observer.ts';
import { lookAt } from './oracle.ts';
import { SERVERS } from './playground.ts';
import { SCHEMA } from './vocabulary.ts';

interface Policy {
  readonly name: string;
  readonly pooling: string;
  /** It is proof against what can be seen neither in a text nor in a tag. */
  readonly findsHidden: boolean;
}

const POLICIES: readonly Policy[] = [
  { name: 'session', pooling: 'pool_mode = "session"', findsHidden: true },
  { name: 'strict', pooling: 'session_state = "strict"', findsHidden: true },
  { name: 'track', pooling: 'session_state = "track"', findsHidden: false },
];

/** What only a message can find: the statements of the protocol, and where sequences are. */
const QUESTIONS = [
  m.describeStatement('a'),
  m.sync,
  m.bind(),
  m.execute(),
  m.sync,
  m.execute('c'),
  m.sync,
  m.query('SELECT lastval()'),
  m.query("SELECT currval('numbers')"),
  m.query('SHOW work_mem'),
];
const QUESTION_COUNT = 6;

for (const server of SERVERS) {
  describe(`with ${server.name}`, { skip: server.missing ?? false }, () => {
    const stage = useStage({
      settings: 'query_wait_notify = 0',
      databases: Object.fromEntries(POLICIES.map(({ name, pooling }) => [name, `pool_size = 1\n${pooling}`])),
      schema: `${SCHEMA} ${HIDING_PLACES} CREATE TABLE sink (n int); CREATE ROLE alice;
        GRANT ALL ON ALL TABLES IN SCHEMA public TO alice; GRANT ALL ON SEQUENCE numbers TO alice;`,
      postgres: {
        ...(server.programs === undefined ? {} : { programs: server.programs }),
        files: { 'pg_hba.conf': 'host all all 127.0.0.1/32 trust\n' },
      },
    });
    let fresh: string[];
    before(async () => {
      fresh = await newSession(stage().postgres);
    });

    /** The one who waits for the server at the time, and the one who comes afterwards, find a fresh session. */
    const leavesNothing = async (target: Target, dirt: Dirt, farewell: Farewell): Promise<void> => {
      const leaver = await farewell.begin(target, dirt);
      const waits = newSession(target);
      await leaver.leave();
      const title = `of ${dirt.name}, left ${farewell.name}`;
      assert.deepEqual(await waits, fresh, `who waited finds something ${title}`);
      assert.deepEqual(await newSession(target), fresh, `who came later finds something ${title}`);
    };

    for (const { name, findsHidden } of POLICIES) {
      describe(`with session state "${name}"`, () => {
        const dirts = DIRT.filter(({ hidden }) => findsHidden || !hidden);
        for (const farewell of FAREWELLS) {
          test(`a client that goes away ${farewell.name} leaves nothing behind`, async () => {
            await leavesNothing(stage().through(name), everything(findsHidden), farewell);
          });
        }
        for (const farewell of [QUIT, IN_A_TRANSACTION]) {
          test(`nothing is left of anything when its client goes away ${farewell.name}`, async () => {
            for (const dirt of dirts) await leavesNothing(stage().through(name), dirt, farewell);
          });
        }
      });
    }
  });
}

/** All that a session finds that does nothing but look. */
async function newSession(target: Target): Promise<string[]> {
  const session = await Observer.login(target, {});
  session.send(QUESTIONS);
  const found = await session.answers(QUESTION_COUNT);
  found.push(...(await lookAt(session)));
  await session.leave('quit');
  return found;
}
