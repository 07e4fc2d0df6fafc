/**
 * Other clients of the pool, one at a time: each leaves a server in another state than it was in, and gives it back, so that the
 * next session that comes meets another server, which somebody has used.
 */
import fc from 'fast-check';
import * as m from '../support/messages.ts';
import { RawClient } from '../support/raw-client.ts';
import type { Target } from '../support/postgres.ts';
import { isWanted } from './kinds.ts';

export interface Act {
  readonly name: string;
  /** Each is answered with one ReadyForQuery before the next is sent. */
  readonly messages: readonly Buffer[];
  /** Ends its session with everything as it is, and begins a new one. */
  readonly leaves: boolean;
}

const act = (name: string, messages: readonly (string | Buffer)[], leaves = false): Act => ({
  name,
  messages: messages.map((each) => (typeof each === 'string' ? m.query(each) : each)),
  leaves,
});

/** Does no more than take a server and give it back. */
export const PASS = act('pass', ['']);

/** The first are the simplest, to which a failing script shrinks. None keeps its server. */
const ACTS: readonly Act[] = [
  PASS,
  act('settings', [
    `SET search_path = s2; SET work_mem = '99MB'; SET TimeZone = 'Asia/Tokyo'; SET DateStyle = german; SET app.tenant = 'stranger'`,
  ]),
  act('client_encoding', [`SET client_encoding = 'latin1'; SET standard_conforming_strings = off`]),
  act('read only', ['SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE']),
  act('role', ['SET ROLE bob']),
  act('session authorization', ['SET SESSION AUTHORIZATION bob']),
  act('default', ['RESET SESSION AUTHORIZATION; RESET ALL']),
  act('nothing for long', ["BEGIN; SET work_mem = '77MB'", 'SELECT 1/0', 'ROLLBACK']),
  act('statements', [
    Buffer.concat([m.closeStatement('a'), m.parse('a', "SELECT 'stranger'"), m.sync]),
    Buffer.concat([m.parse('', "SELECT 'stranger'"), m.sync]),
  ]),
  act('lock', ['SELECT pg_advisory_lock(77)', 'SELECT pg_advisory_unlock(77)']),
  act('lock and leave', ['SELECT pg_advisory_lock(77)'], true),
  act('listen', ['LISTEN stranger', 'NOTIFY stranger', 'UNLISTEN *']),
  act('listen and leave', ['LISTEN stranger'], true),
  act('temp', [
    "CREATE TEMP TABLE place AS SELECT 'stranger' AS name",
    'SELECT * FROM place',
    'DISCARD TEMP',
  ]),
  act('temp and leave', ["CREATE TEMP TABLE place AS SELECT 'stranger' AS name"], true),
  act('cursor', ['DECLARE hc CURSOR WITH HOLD FOR SELECT 666', 'CLOSE ALL']),
  act('cursor and leave', ['DECLARE hc CURSOR WITH HOLD FOR SELECT 666'], true),
  act('prepare', ["PREPARE a AS SELECT 'stranger'", 'EXECUTE a', 'DEALLOCATE a']),
  act('prepare and leave', ["PREPARE q AS SELECT 'stranger'"], true),
  act('role and leave', ['SET ROLE bob'], true),
  act('leave amid a transaction', ["BEGIN; SET work_mem = '66MB'; SELECT pg_advisory_lock(77)"], true),
];
export const acts: fc.Arbitrary<Act> = fc.constantFrom(...(isWanted('strangers') ? ACTS : [PASS]));

export class Stranger {
  readonly #target: Target;
  #client: RawClient | undefined;

  constructor(target: Target) {
    this.#target = target;
  }

  async do(what: Act): Promise<void> {
    this.#client ??= await RawClient.login(this.#target);
    for (const message of what.messages) await this.#client.ask([message]);
    if (what.leaves) this.leave();
  }

  leave(): void {
    this.#client?.quit();
    this.#client = undefined;
  }
}
