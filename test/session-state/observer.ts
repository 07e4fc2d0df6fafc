/** A session as its client sees it: every reply on a line, and after each ReadyForQuery the parameters that are known by then. */
import assert from 'node:assert/strict';
import { BodyReader } from '../../src/protocol/body-reader.ts';
import { type Reply, rowOf, told } from '../support/messages.ts';
import type { Target } from '../support/postgres.ts';
import { type Parameters, RawClient } from '../support/raw-client.ts';

const KNOWN = '    ';

export class Observer {
  readonly #client: RawClient;
  /** What was known at each ReadyForQuery that has not been told yet. */
  #known: string[][] = [];

  private constructor(client: RawClient) {
    this.#client = client;
    client.onReply = (type) => {
      if (type === 'Z') this.#known.push(parametersOf(client));
    };
  }

  static async login(target: Target, brings: Parameters): Promise<Observer> {
    return new Observer(await RawClient.login(target, brings));
  }

  /** Of the last ReadyForQuery: `I`, `T` or `E`. */
  get status(): string {
    return this.#client.status;
  }

  get parameters(): string[] {
    return parametersOf(this.#client);
  }

  send(messages: readonly Buffer[]): void {
    this.#client.send(...messages);
  }

  /** What is answered up to the `count`-th ReadyForQuery. */
  async answers(count: number): Promise<string[]> {
    const replies = await this.#client.ready(count);
    const lines: string[] = [];
    for (const reply of replies) {
      lines.push(lineOf(reply));
      if (reply.type === 'Z') lines.push(...(this.#known.shift() ?? []));
    }
    return lines;
  }

  /** The rows that these messages give; throws if they give an error. */
  async rows(messages: readonly Buffer[]): Promise<string[]> {
    const replies = await this.#client.ask(messages);
    this.#known = [];
    const failure = replies.find(({ type }) => type === 'E');
    if (failure !== undefined) throw new Error(`the session cannot be looked at: ${lineOf(failure)}`);
    return replies.filter(({ type }) => type === 'D').map(({ body }) => rowOf(body).join(' | '));
  }

  /** Ends the session, and waits until the other side has closed the connection. */
  async leave(how: 'quit' | 'end' | 'reset'): Promise<void> {
    this.#client[how]();
    await this.#client.untilClosed();
  }
}

const parametersOf = ({ parameters }: RawClient): string[] =>
  [...parameters].map(([name, value]) => `${KNOWN}${name}=${value}`).toSorted();

export const withoutKnown = (answers: readonly string[]): string[] =>
  answers.filter((line) => !line.startsWith(KNOWN));

/** Equal for what no client can tell apart; who notifies is a process, which is another one behind a pooler. */
function lineOf(reply: Reply): string {
  if (reply.type === 'E' || reply.type === 'N') return `${reply.type} ${fieldsOf(reply.body)}`;
  if (reply.type === 'A') {
    const reader = new BodyReader(reply.body);
    reader.int32();
    return `A ${reader.cstring()} ${reader.cstring()}`;
  }
  return told(reply);
}

/** All but where in PostgreSQL's source it was raised. */
function fieldsOf(body: Buffer): string {
  const reader = new BodyReader(body);
  const fields: string[] = [];
  for (let code = reader.uint8(); code !== 0; code = reader.uint8()) {
    const letter = String.fromCharCode(code);
    const value = reader.cstring();
    if (!'SFLR'.includes(letter)) fields.push(`${letter}:${value}`);
  }
  return fields.join(' ');
}

/**
 * Describe of a statement that cannot be parsed again tells its parameters and then the error, where the server had parsed it before; a
 * server that had not only has the error. Nor is Bind told there of a wrong number of parameters, where a transaction has failed.
 */
const comparable = (lines: readonly string[]): string =>
  lines
    .join('\n')
    .replaceAll(/^t .*\n(?=E )/gm, '')
    .replaceAll(/^E .* C:08P01 M:bind message supplies .*(?=\nZ E$)/gm, FAILED);

const FAILED =
  'E V:ERROR C:25P02 M:current transaction is aborted, commands ignored until end of transaction block';

/** A difference is shown line by line, with some lines around it, and not the whole of both once more. */
export function sameLines(actual: readonly string[], expected: readonly string[], what: string): void {
  try {
    assert.equal(comparable(actual), comparable(expected));
  } catch (error) {
    throw new Error(`${what}\n${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
