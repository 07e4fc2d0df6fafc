/**
 * What a server still owes: one entry for each message sent to it that will be answered, in order.
 *
 *     sent      Parse  Bind  Execute  Sync                Query                      Close  Sync    (ours)
 *     owed      parse  bind  execute  sync                query                      close  sync    own
 *     settled   1      2      C I s    Z     or, from E:  Z (T D C … leave it)       3      Z       swallowed
 *                 └─────────────────┴── E drops them all up to the next sync
 *
 * It tells whose reply a frame is (the client's: forward; ours: swallow), when a reply that no server will give is due
 * (an injection), and when a server provably owes nothing, which is the only moment it may change hands.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
 */
import { Backend } from '../protocol/message-types.ts';

/** The kinds of entries. */
export const Owed = {
  query: 1,
  functionCall: 2,
  sync: 3,
  parse: 4,
  bind: 5,
  describe: 6,
  execute: 7,
  close: 8,
  /** CopyDone or CopyFail: not answered itself, but it tells which Syncs a copy swallowed. */
  copyEnd: 9,
  /** Owed by nobody: the client gets a ParseComplete from us when its turn comes. */
  injectedParse: 10,
  /** The same with a CloseComplete. */
  injectedClose: 11,
  /** Our Close that proves, by its answer, that everything before it has been answered. */
  fence: 12,
  /** Owed by nobody: the client is told that a DEALLOCATE has been done. */
  injectedDeallocate: 13,
} as const;

export type Owed = (typeof Owed)[keyof typeof Owed];

const KIND = 0x0f;
/** Set on entries of messages that are ostler's own: their replies are swallowed. */
export const OWN = 0x10;

export class OwedReplies<Ref> {
  #entries = new Uint8Array(16);
  #refs: (Ref | undefined)[] = Array.from({ length: 16 });
  #head = 0;
  #size = 0;
  #copyIn = false;
  #skipping = false;
  #doubtful = false;
  #lost = false;
  /** The oldest entry is a Query or FunctionCall that has been answered but for its ReadyForQuery. */
  #answered = false;
  #batches = 0;
  /** How many of the entries end a batch. */
  #ends = 0;
  #batchOpen = false;
  /** The last thing that happened is a ReadyForQuery that settled all there was. */
  #atReady = true;
  readonly #dropped: (entry: number, ref: Ref) => void;

  /**
   * `dropped` hears of entries with a reference whose message failed, or was skipped because of an error before it: the last one first.
   */
  constructor(dropped: (entry: number, ref: Ref) => void) {
    this.#dropped = dropped;
  }

  /** Nothing is owed, and the server is not waiting for a Sync to go on or to commit. */
  get settled(): boolean {
    return this.#size === 0 && this.#atReady;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * The count may be too low (a copy failed around a Sync): only a fence, pushed when all else is settled, can tell that
   * nothing is owed.
   */
  get doubtful(): boolean {
    return this.#doubtful;
  }

  /** Not even a fence can tell: the server is to be closed. */
  get lost(): boolean {
    return this.#lost;
  }

  /** An error happened and everything up to the next Sync is skipped. */
  get skipping(): boolean {
    return this.#skipping;
  }

  /** Messages of the extended protocol went out and no Sync behind them: a Sync would commit what they have done. */
  get batchOpen(): boolean {
    return this.#batchOpen;
  }

  /** The number of the batch that is being sent: what it still owes of an earlier one may fail without this one being skipped. */
  get batch(): number {
    return this.#batches;
  }

  /** A batch before the one that is being sent has not been answered to its end. */
  get ahead(): boolean {
    return this.#ends > 0;
  }

  /** The server waits for CopyData. */
  get copyIn(): boolean {
    return this.#copyIn;
  }

  /** The next reply is to a message of ours. */
  get headIsOwn(): boolean {
    return this.#size > 0 && (this.#at(0) & OWN) !== 0;
  }

  get headRef(): Ref | undefined {
    return this.#size === 0 ? undefined : this.#refs[this.#head];
  }

  /** Of the message that was sent last, if that has not been answered. */
  get lastRef(): Ref | undefined {
    return this.#size === 0 ? undefined : this.#refs[this.#slot(this.#size - 1)];
  }

  /** The references of the messages that the server has yet to answer, but for the one that it is answering. */
  *refsBehindHead(): Iterable<Ref> {
    for (let index = 1; index < this.#size; index++) {
      const ref = this.#refs[this.#slot(index)];
      if (ref !== undefined) yield ref;
    }
  }

  /** The message that `ref` went with has not been answered. */
  owes(ref: Ref): boolean {
    return this.#size > 0 && this.#refs.includes(ref);
  }

  /** No message of the client's that is still to be answered can begin, end or fail a transaction by what it runs. */
  get runsNothing(): boolean {
    for (let index = 0; index < this.#size; index++) {
      const entry = this.#at(index);
      if (entry === Owed.query || entry === Owed.execute || entry === Owed.functionCall) return false;
    }
    return true;
  }

  /** A message of kind `entry` (with OWN if it is ours) goes to the server now. */
  push(entry: number, ref?: Ref): void {
    const kind = entry & KIND;
    const ends = endsBatch(kind);
    if (ends) {
      this.#batchOpen = false;
      this.#batches++;
    } else if (kind !== Owed.copyEnd) this.#batchOpen = true;
    if (this.#skipping) {
      if (kind !== Owed.sync) {
        this.#drop(entry, ref);
        return;
      }
      this.#skipping = false;
    }
    if (kind === Owed.copyEnd && this.#size === 0) return;
    this.#atReady = false;
    if (ends) this.#ends++;
    if (this.#size === this.#entries.length) this.#grow();
    const slot = this.#slot(this.#size++);
    this.#entries[slot] = entry;
    this.#refs[slot] = ref;
  }

  /**
   * A frame of `type` came from the server: anything but ErrorResponse, ReadyForQuery and the asynchronous three
   * (NoticeResponse, NotificationResponse, ParameterStatus). True when it answers a message of ours.
   */
  reply(type: number): boolean {
    if (this.#size === 0) return this.#expect(false);
    const entry = this.#at(0);
    const kind = entry & KIND;
    const own = (entry & OWN) !== 0;
    const runs = kind === Owed.query || kind === Owed.execute;
    switch (type) {
      case Backend.parseComplete:
        return this.#settle(kind === Owed.parse) && own;
      case Backend.bindComplete:
        return this.#settle(kind === Owed.bind) && own;
      case Backend.closeComplete:
        return this.#settle(kind === Owed.close || kind === Owed.fence) && own;
      case Backend.rowDescription:
      case Backend.noData:
        return (kind === Owed.query ? this.#expect(true) : this.#settle(kind === Owed.describe)) && own;
      case Backend.parameterDescription:
        return this.#expect(kind === Owed.describe) && own;
      case Backend.commandComplete:
      case Backend.emptyQueryResponse:
      case Backend.portalSuspended:
        if (this.#copyIn) this.#endCopy();
        if (kind !== Owed.query) return this.#settle(kind === Owed.execute) && own;
        this.#answered = true;
        return this.#expect(true) && own;
      case Backend.functionCallResponse:
        this.#answered = true;
        return this.#expect(kind === Owed.functionCall) && own;
      case Backend.copyInResponse:
      case Backend.copyBothResponse:
        this.#copyIn = true;
        return this.#expect(runs) && own;
      default:
        return this.#expect(runs) && own;
    }
  }

  /** An ErrorResponse came. True when the message that failed is ours. */
  error(): boolean {
    if (this.#size === 0) {
      // Whether the server skips now nobody knows.
      this.#atReady = false;
      return this.#expect(false);
    }
    // Syncs that a copy read are not answered, those it did not read are, and nothing tells which is which.
    if (this.#copyIn && this.#endCopy() > 0) this.#doubtful = true;
    else this.#expect(true);
    const entry = this.#at(0);
    const kind = entry & KIND;
    const own = (entry & OWN) !== 0;
    if (kind === Owed.query || kind === Owed.functionCall || kind === Owed.sync) {
      this.#answered = true;
      const ref = this.#refs[this.#head];
      if (ref !== undefined) this.#dropped(entry, ref);
      return own;
    }
    let end = 1;
    while (end < this.#size && (this.#at(end) & KIND) !== Owed.sync) end++;
    for (let index = end - 1; index > 0; index--) this.#drop(this.#at(index), this.#refs[this.#slot(index)]);
    const failed = this.#refs[this.#head];
    if (failed !== undefined) this.#dropped(entry, failed);
    for (; end > 0; end--) this.#pop();
    if (this.#size === 0) this.#skipping = true;
    return own;
  }

  /** A ReadyForQuery came. True when it answers a message of ours. */
  ready(): boolean {
    this.#copyIn = false;
    const entry = this.#size === 0 ? 0 : this.#at(0);
    const kind = entry & KIND;
    const expected =
      kind === Owed.sync || (this.#answered && (kind === Owed.query || kind === Owed.functionCall));
    if (expected) {
      this.#pop();
      this.#skipCopyEnds();
    } else {
      // The answer to a Sync that a copy has not read, after all.
      if (!this.#doubtful) this.#lost = true;
      this.#doubtful = true;
      this.#skipping = false;
    }
    this.#atReady = this.#size === 0;
    return expected && (entry & OWN) !== 0;
  }

  /** Takes the injection whose turn it is: its kind, or 0 when the next reply is the server's to give. */
  takeInjection(): number {
    if (this.#size === 0) return 0;
    const kind = this.#at(0) & KIND;
    if (!isInjected(kind)) return 0;
    this.#pop();
    this.#skipCopyEnds();
    return kind;
  }

  #at(index: number): number {
    return this.#entries[this.#slot(index)] ?? 0;
  }

  #settle(expected: boolean): boolean {
    if (!this.#expect(expected)) return false;
    this.#pop();
    this.#skipCopyEnds();
    return true;
  }

  /**
   * What a reply other than ReadyForQuery proves: if it answers the oldest entry, everything before has been answered;
   * else the count is wrong.
   */
  #expect(expected: boolean): boolean {
    if (!expected) this.#lost = true;
    this.#doubtful = this.#lost;
    return expected;
  }

  /** The server skips a message, or so it seems: in doubt it may answer it after all, and then even a fence proves nothing. */
  #drop(entry: number, ref: Ref | undefined): void {
    if (this.#doubtful && (entry & KIND) !== Owed.copyEnd) this.#lost = true;
    if (ref !== undefined) this.#dropped(entry, ref);
  }

  #pop(): void {
    if (endsBatch(this.#at(0) & KIND)) this.#ends--;
    this.#refs[this.#head] = undefined;
    this.#answered = false;
    this.#head = (this.#head + 1) & (this.#entries.length - 1);
    this.#size--;
  }

  /** A copy's end that is first in line has nothing before it any more that it could belong to. */
  #skipCopyEnds(): void {
    while (this.#size > 0 && (this.#at(0) & KIND) === Owed.copyEnd) this.#pop();
  }

  /**
   * The copy of the oldest entry is over: forgets its end and the Syncs sent before that. Returns how many Syncs. A copy
   * reads nothing else: what follows another message is not its own.
   */
  #endCopy(): number {
    this.#copyIn = false;
    let kept = 1;
    let syncs = 0;
    let over = false;
    for (let index = 1; index < this.#size; index++) {
      const kind = this.#at(index) & KIND;
      if (!over && kind === Owed.sync) {
        syncs++;
        continue;
      }
      const ends = !over && kind === Owed.copyEnd;
      over ||= !isInjected(kind);
      if (!ends) this.#move(index, kept++);
    }
    for (let index = kept; index < this.#size; index++) this.#refs[this.#slot(index)] = undefined;
    this.#size = kept;
    this.#ends -= syncs;
    return syncs;
  }

  #move(from: number, to: number): void {
    this.#entries[this.#slot(to)] = this.#at(from);
    this.#refs[this.#slot(to)] = this.#refs[this.#slot(from)];
  }

  #slot(index: number): number {
    return (this.#head + index) & (this.#entries.length - 1);
  }

  #grow(): void {
    const entries = new Uint8Array(this.#entries.length * 2);
    const refs: (Ref | undefined)[] = Array.from({ length: entries.length });
    for (let index = 0; index < this.#size; index++) {
      entries[index] = this.#at(index);
      refs[index] = this.#refs[this.#slot(index)];
    }
    this.#entries = entries;
    this.#refs = refs;
    this.#head = 0;
  }
}

const endsBatch = (kind: number): boolean =>
  kind === Owed.sync || kind === Owed.query || kind === Owed.functionCall;

const isInjected = (kind: number): boolean =>
  kind === Owed.injectedParse || kind === Owed.injectedClose || kind === Owed.injectedDeallocate;
