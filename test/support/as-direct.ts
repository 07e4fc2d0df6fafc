/** Scripts of a raw client, run through the pooler and straight to PostgreSQL, to be compared. */
import assert from 'node:assert/strict';
import * as m from './messages.ts';
import type { RawClient } from './raw-client.ts';
import type { Stage } from './stage.ts';

export const tell = async (replies: Promise<m.Reply[]>): Promise<string[]> => (await replies).map(m.told);

/** What a client hears from a connection of its own: the script's replies must be the same through the pooler. */
export async function sameAsDirect(
  stage: Stage,
  database: string,
  script: (client: RawClient) => Promise<string[]>,
): Promise<string[]> {
  const direct = await stage.direct();
  const expected = await script(direct);
  direct.quit();
  const client = await stage.login(database);
  const got = await script(client);
  client.quit();
  assert.deepEqual(got, expected);
  return got;
}

export interface Occupied {
  readonly pid: string | null | undefined;
  letGo(): Promise<void>;
}

/** Takes the server that the pool would give next, until told to let go: whoever comes meanwhile meets another one. */
export async function occupy(stage: Stage, database: string): Promise<Occupied> {
  const client = await stage.login(database);
  const replies = await client.query('BEGIN; SELECT pg_backend_pid()');
  return {
    pid: m.valuesOf(replies)[0],
    letGo: async () => {
      await client.query('COMMIT');
      client.quit();
    },
  };
}
