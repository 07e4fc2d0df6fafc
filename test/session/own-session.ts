/** A session of PostgreSQL's in which our own statements run beside a client's, as on a server of a pool. */
import assert from 'node:assert/strict';
import { type Batch, noGuests } from '../../src/session/guest-statements.ts';
import type { ProbeRows } from '../../src/session/probe.ts';
import { errorsOf, type Reply, rowOf, sync, told } from '../support/messages.ts';
import type { Target } from '../support/postgres.ts';
import { type Parameters, RawClient } from '../support/raw-client.ts';

export class OwnSession {
  readonly client: RawClient;
  /** What of ours is prepared. */
  guests = noGuests;

  private constructor(client: RawClient) {
    this.client = client;
  }

  static async open(target: Target, brings: Parameters = {}): Promise<OwnSession> {
    return new OwnSession(await RawClient.login(target, brings));
  }

  /** A client's SQL, which must succeed. */
  async run(...texts: readonly string[]): Promise<void> {
    for (const text of texts) succeeded(await this.client.query(text), text);
  }

  /** What a client sees of the SQL's first value. */
  async see(text: string): Promise<string | null | undefined> {
    const replies = succeeded(await this.client.query(text), text);
    const row = replies.find(({ type }) => type === 'D');
    return row === undefined ? undefined : rowOf(row.body)[0];
  }

  /** A batch and a Sync; the rows of each of its statements. Throws if it fails. */
  async send(batch: Batch): Promise<ProbeRows> {
    return this.sendAlone({ ...batch, bytes: Buffer.concat([batch.bytes, sync]) });
  }

  /** One that has its Sync. */
  async sendAlone(batch: Batch): Promise<ProbeRows> {
    const replies = succeeded(await this.client.ask([batch.bytes]), 'our own statements');
    this.guests = batch.prepared;
    return rowsOf(replies);
  }

  quit(): void {
    this.client.quit();
  }
}

function succeeded(replies: Reply[], what: string): Reply[] {
  assert.deepEqual(errorsOf(replies), [], `${what}: ${replies.map(told).join('; ')}`);
  return replies;
}

function rowsOf(replies: readonly Reply[]): ProbeRows {
  const results: (string | null)[][][] = [];
  let rows: (string | null)[][] = [];
  for (const { type, body } of replies) {
    if (type === 'D') rows.push(rowOf(body));
    if (type !== 'C') continue;
    results.push(rows);
    rows = [];
  }
  return results;
}
