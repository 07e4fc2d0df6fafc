/**
 * What PostgreSQL answers to a sequence of messages, without SQL: every message says how it will end. Written from
 * tcop/postgres.c and commands/copyfromparse.c, not from what is tested with it.
 */
import { Backend } from '../../src/protocol/message-types.ts';

/** How a statement runs: what it sends, or a COPY FROM STDIN that fails by itself after having read so many messages. */
export type Step = 'rows' | 'none' | 'copyOut' | 'fail' | { readonly copyFailsAfter: number | undefined };

export type Message =
  | { readonly kind: 'query'; readonly steps: readonly Step[] }
  | { readonly kind: 'functionCall' | 'parse' | 'bind' | 'sync'; readonly fails: boolean }
  | { readonly kind: 'describe'; readonly answer: 'statement' | 'portal' | 'noData' | 'fail' }
  | { readonly kind: 'execute'; readonly step: Step; readonly suspends: boolean }
  | { readonly kind: 'close' | 'flush' | 'copyDone' | 'copyFail' }
  | { readonly kind: 'copyData'; readonly bad: boolean };

export interface Reply<Cause> {
  readonly type: number;
  /** Of the message that is answered. */
  readonly cause: Cause;
}

interface Copy<Cause> {
  readonly cause: Cause;
  readonly extended: boolean;
  /** The statements of a Query that come after this one. */
  readonly rest: readonly Step[];
  failsAfter: number | undefined;
}

export class BackendModel<Cause> {
  readonly #replies: Reply<Cause>[] = [];
  #copy: Copy<Cause> | undefined;
  #skipping = false;
  /** Something was executed that the next Sync commits; without it no commit fails. */
  #uncommitted = false;
  /** The connection has ended. */
  dead = false;
  /** The last thing said was ReadyForQuery and nothing has been begun since. */
  ready = true;

  get inCopy(): boolean {
    return this.#copy !== undefined;
  }

  get skipping(): boolean {
    return this.#skipping;
  }

  /** What there is to receive, oldest first; taken by the caller with `shift`. */
  get replies(): Reply<Cause>[] {
    return this.#replies;
  }

  receive(message: Message, cause: Cause): void {
    if (this.dead) return;
    if (this.#copy !== undefined) {
      this.#copyReads(this.#copy, message, cause);
      return;
    }
    if (message.kind === 'sync') {
      const fails = message.fails && this.#uncommitted;
      this.#skipping = false;
      if (fails) this.#send(cause, Backend.errorResponse);
      this.#readyForQuery(cause);
      return;
    }
    if (this.#skipping) return;
    const { kind } = message;
    const ignored = kind === 'flush' || kind === 'copyData' || kind === 'copyDone' || kind === 'copyFail';
    if (ignored) return;
    this.ready = false;
    this.#run(message, cause);
  }

  #run(message: Message, cause: Cause): void {
    switch (message.kind) {
      case 'query':
        if (message.steps.length === 0) this.#send(cause, Backend.emptyQueryResponse);
        this.#simple(message.steps, cause);
        break;
      case 'functionCall':
        this.#send(cause, message.fails ? Backend.errorResponse : Backend.functionCallResponse);
        this.#readyForQuery(cause);
        break;
      case 'parse':
      case 'bind':
        if (message.fails) this.#failExtended(cause);
        else this.#send(cause, message.kind === 'parse' ? Backend.parseComplete : Backend.bindComplete);
        break;
      case 'describe':
        if (message.answer === 'fail') this.#failExtended(cause);
        else if (message.answer === 'noData') this.#send(cause, Backend.noData);
        else if (message.answer === 'portal') this.#send(cause, Backend.rowDescription);
        else this.#send(cause, Backend.parameterDescription, Backend.rowDescription);
        break;
      case 'execute':
        this.#uncommitted = true;
        if (message.suspends) this.#send(cause, Backend.dataRow, Backend.portalSuspended);
        else this.#execute(message.step, cause);
        break;
      case 'close':
        this.#send(cause, Backend.closeComplete);
        break;
      case 'sync':
      case 'flush':
      case 'copyData':
      case 'copyDone':
      case 'copyFail':
        break;
    }
  }

  #simple(steps: readonly Step[], cause: Cause): void {
    for (const [index, step] of steps.entries()) {
      if (typeof step === 'object') {
        this.#beginCopy({
          cause,
          extended: false,
          rest: steps.slice(index + 1),
          failsAfter: step.copyFailsAfter,
        });
        return;
      }
      if (step === 'rows') this.#send(cause, Backend.rowDescription, Backend.dataRow);
      if (step === 'copyOut') this.#send(cause, Backend.copyOutResponse, Backend.copyData, Backend.copyDone);
      if (step === 'fail') {
        this.#send(cause, Backend.errorResponse);
        break;
      }
      this.#send(cause, Backend.commandComplete);
    }
    this.#readyForQuery(cause);
  }

  #execute(step: Step, cause: Cause): void {
    if (step === 'fail') {
      this.#failExtended(cause);
    } else if (typeof step === 'object') {
      this.#beginCopy({ cause, extended: true, rest: [], failsAfter: step.copyFailsAfter });
    } else {
      if (step === 'rows') this.#send(cause, Backend.dataRow);
      if (step === 'copyOut') this.#send(cause, Backend.copyOutResponse, Backend.copyData, Backend.copyDone);
      this.#send(cause, step === 'none' ? Backend.emptyQueryResponse : Backend.commandComplete);
    }
  }

  #beginCopy(copy: Copy<Cause>): void {
    this.#copy = copy;
    this.#send(copy.cause, Backend.copyInResponse);
    if (copy.failsAfter === 0) this.#failCopy(copy);
  }

  /** Sync and Flush are read and forgotten; what is not of a copy ends the connection. */
  #copyReads(copy: Copy<Cause>, message: Message, cause: Cause): void {
    switch (message.kind) {
      case 'copyDone':
        this.#copy = undefined;
        this.#send(copy.cause, Backend.commandComplete);
        if (!copy.extended) this.#simple(copy.rest, copy.cause);
        return;
      case 'copyFail':
        this.#failCopy(copy);
        return;
      case 'copyData':
        if (message.bad) {
          this.#failCopy(copy);
          return;
        }
        break;
      case 'sync':
      case 'flush':
        break;
      case 'query':
      case 'functionCall':
      case 'parse':
      case 'bind':
      case 'describe':
      case 'execute':
      case 'close':
        this.#send(cause, Backend.errorResponse, Backend.errorResponse);
        this.dead = true;
        return;
    }
    if (copy.failsAfter !== undefined && --copy.failsAfter === 0) this.#failCopy(copy);
  }

  #failCopy(copy: Copy<Cause>): void {
    this.#copy = undefined;
    if (copy.extended) {
      this.#failExtended(copy.cause);
      return;
    }
    this.#send(copy.cause, Backend.errorResponse);
    this.#readyForQuery(copy.cause);
  }

  #failExtended(cause: Cause): void {
    this.#send(cause, Backend.errorResponse);
    this.#skipping = true;
    this.#uncommitted = false;
  }

  #readyForQuery(cause: Cause): void {
    this.#send(cause, Backend.readyForQuery);
    this.ready = true;
    this.#uncommitted = false;
  }

  #send(cause: Cause, ...types: number[]): void {
    for (const type of types) this.#replies.push({ type, cause });
  }
}
