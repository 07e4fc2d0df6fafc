/** Every way for a client to be gone. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as m from '../support/messages.ts';
import type { Target } from '../support/postgres.ts';
import { RawClient } from '../support/raw-client.ts';
import type { Dirt } from './dirt.ts';

/** A session that is dirty, and about to end. */
export interface Leaver {
  leave(): Promise<void> | void;
}

export interface Farewell {
  readonly name: string;
  /** Makes a session dirty, up to where it ends. */
  begin(target: Target, dirt: Dirt): Promise<Leaver>;
}

/** Makes a session dirty; if anything goes wrong, it does not keep its server. */
async function dirty(
  target: Target,
  messages: readonly Buffer[],
  last: (client: RawClient) => Promise<unknown> | void = () => undefined,
): Promise<RawClient> {
  const client = await RawClient.login(target);
  try {
    for (const message of messages) assert.deepEqual(m.errorsOf(await client.ask([message])), []);
    await last(client);
    return client;
  } catch (error) {
    client.reset();
    throw error;
  }
}

/** `last` is what it does before it ends, and may be in the middle of when it ends. */
const farewell = (
  name: string,
  last: (client: RawClient) => Promise<unknown> | void,
  end: 'quit' | 'end' | 'reset' = 'reset',
): Farewell => ({
  name,
  begin: async (target, { messages }) => {
    const client = await dirty(target, messages, last);
    return { leave: () => client[end]() };
  },
});

export const QUIT = farewell('with Terminate', () => undefined, 'quit');

/** What it does, it does in a transaction that is still open when it ends. */
export const IN_A_TRANSACTION: Farewell = {
  name: 'in a transaction',
  begin: async (target, { messages }) => {
    const client = await dirty(target, [m.query('BEGIN'), ...messages]);
    return { leave: () => client.reset() };
  },
};

const KILLED: Farewell = {
  name: 'with its process',
  begin: async (target, { messages }) => {
    const { user, database = 'postgres', host, port } = target;
    const bytes = [m.startup({ user, database }), ...messages].map((each) => each.toString('base64'));
    const child = spawn(process.execPath, ['-e', CLIENT, host, String(port), ...bytes], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    return {
      leave: async () => {
        child.kill('SIGKILL');
        await once(child, 'close');
      },
    };
  },
};

/** Sends one message after the other, each when the one before is answered, says so at the end, and then waits to be killed. */
const CLIENT = `
const [host, port, ...messages] = process.argv.slice(1);
const socket = require('node:net').connect({ host, port: Number(port) });
const next = () => {
  if (messages.length > 0) socket.write(Buffer.from(messages.shift(), 'base64'));
  else console.log('dirty');
};
let rest = Buffer.alloc(0);
socket.on('connect', next).on('data', (chunk) => {
  rest = Buffer.concat([rest, chunk]);
  while (rest.length >= 5 && rest.length > rest.readInt32BE(1)) {
    if (rest[0] === 0x5a) next();
    rest = rest.subarray(1 + rest.readInt32BE(1));
  }
});`;

export const FAREWELLS: readonly Farewell[] = [
  QUIT,
  farewell('without a word', () => undefined, 'end'),
  farewell('with a reset', () => undefined),
  KILLED,
  IN_A_TRANSACTION,
  farewell(
    'in a transaction that has failed',
    (client) => client.query("BEGIN; SET work_mem = '7MB'; SELECT 1/0"),
    'quit',
  ),
  farewell('in a copy', async (client) => {
    await client.query('BEGIN READ WRITE');
    client.send(m.query('COPY public.sink FROM STDIN'));
    await client.upTo('G');
    client.send(m.copyData('1\n'));
  }),
  farewell('amid a pipeline', (client) =>
    client.send(
      m.run("SET work_mem = '7MB'"),
      m.sync,
      m.run('SELECT pg_advisory_lock(7)'),
      m.sync,
      m.parse('a', "SELECT 'secret'"),
      m.run('LISTEN pipe'),
    ),
  ),
  farewell('while a statement runs', (client) =>
    client.send(m.query("SELECT set_config('work_mem', '7MB', false), pg_advisory_lock(7), pg_sleep(60)")),
  ),
];
