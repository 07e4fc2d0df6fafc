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
  readonly #dropped: (kind: number, ref: Ref) => void;

  /** `dropped` hears of entries with a reference whose message the server skipped because of an error before it. */
  constructor(dropped: (kind: number, ref: Ref) => void) {
    this.#dropped = dropped;
  }

  /** Nothing is owed, and the server is not waiting for a Sync to go on. */
  get settled(): boolean {
    return this.#size === 0 && !this.#skipping;
  }

  get size(): number {
    return this.#size;
  }

  /** The count may be too low (a copy failed around a Sync): only a fence can tell that nothing is owed. */
  get doubtful(): boolean {
    return this.#doubtful;
  }

  /** An error happened and everything up to the next Sync is skipped. */
  get skipping(): boolean {
    return this.#skipping;
  }

  /** The server waits for CopyData. */
  get copyIn(): boolean {
    return this.#copyIn;
  }

  /** The next reply is to a message of ours. */
  get headIsOwn(): boolean {
    return this.#size > 0 && (this.#at(0) & OWN) !== 0;
  }

  /** The kind of the oldest entry, 0 if there is none. */
  get headKind(): number {
    return this.#size === 0 ? 0 : this.#at(0) & KIND;
  }

  get headRef(): Ref | undefined {
    return this.#size === 0 ? undefined : this.#refs[this.#head];
  }

  /** A Sync, Query or FunctionCall is under way, so that a ReadyForQuery will come. */
  get readyIsDue(): boolean {
    for (let index = 0; index < this.#size; index++) {
      const kind = this.#at(index) & KIND;
      if (kind === Owed.sync || kind === Owed.query || kind === Owed.functionCall) return true;
    }
    return false;
  }

  /** A message of kind `entry` (with OWN if it is ours) goes to the server now. */
  push(entry: number, ref?: Ref): void {
    if (this.#skipping) {
      if ((entry & KIND) !== Owed.sync) {
        if (ref !== undefined) this.#dropped(entry & KIND, ref);
        return;
      }
      this.#skipping = false;
    }
    if (entry === Owed.copyEnd && this.#size === 0) return;
    if (this.#size === this.#entries.length) this.#grow();
    const index = (this.#head + this.#size) & (this.#entries.length - 1);
    this.#entries[index] = entry;
    this.#refs[index] = ref;
    this.#size++;
  }

  /**
   * A frame of `type` came from the server: anything but ErrorResponse, ReadyForQuery and the asynchronous three
   * (NoticeResponse, NotificationResponse, ParameterStatus). True when it answers a message of ours.
   */
  reply(type: number): boolean {
    if (this.#size === 0) {
      this.#doubtful = true;
      return false;
    }
    const entry = this.#at(0);
    const kind = entry & KIND;
    switch (type) {
      case Backend.parseComplete:
        this.#settle(kind === Owed.parse);
        break;
      case Backend.bindComplete:
        this.#settle(kind === Owed.bind);
        break;
      case Backend.closeComplete:
        if (kind === Owed.fence) this.#doubtful = false;
        this.#settle(kind === Owed.close || kind === Owed.fence);
        break;
      case Backend.rowDescription:
      case Backend.noData:
        if (kind !== Owed.query && kind !== Owed.execute) this.#settle(kind === Owed.describe);
        break;
      case Backend.commandComplete:
      case Backend.emptyQueryResponse:
      case Backend.portalSuspended:
        if (this.#copyIn) this.#endCopy();
        if (kind !== Owed.query) this.#settle(kind === Owed.execute);
        break;
      case Backend.copyInResponse:
      case Backend.copyBothResponse:
        this.#copyIn = true;
        break;
      default:
        break;
    }
    return (entry & OWN) !== 0;
  }

  /** An ErrorResponse came. True when the message that failed is ours. */
  error(): boolean {
    if (this.#size === 0) return false;
    if (this.#copyIn) {
      // Syncs that the copy read are not answered, those it did not read are, and nothing tells which is which.
      if (this.#endCopy() > 0) this.#doubtful = true;
    }
    const entry = this.#at(0);
    const kind = entry & KIND;
    if (kind === Owed.query || kind === Owed.functionCall || kind === Owed.sync) return (entry & OWN) !== 0;
    while (this.#size > 0 && (this.#at(0) & KIND) !== Owed.sync) {
      const ref = this.#refs[this.#head];
      const skipped = this.#at(0) & KIND;
      this.#pop();
      if (ref !== undefined) this.#dropped(skipped, ref);
    }
    if (this.#size === 0) this.#skipping = true;
    return (entry & OWN) !== 0;
  }

  /** A ReadyForQuery came. True when it answers a message of ours. */
  ready(): boolean {
    this.#copyIn = false;
    if (this.#size === 0) {
      this.#skipping = false;
      this.#doubtful = true;
      return false;
    }
    const entry = this.#at(0);
    const kind = entry & KIND;
    this.#settle(kind === Owed.sync || kind === Owed.query || kind === Owed.functionCall);
    return (entry & OWN) !== 0;
  }

  /** Takes the injection whose turn it is: its kind, or 0 when the next reply is the server's to give. */
  takeInjection(): number {
    if (this.#size === 0) return 0;
    const kind = this.#at(0) & KIND;
    if (kind !== Owed.injectedParse && kind !== Owed.injectedClose) return 0;
    this.#pop();
    this.#skipCopyEnds();
    return kind;
  }

  #at(index: number): number {
    return this.#entries[(this.#head + index) & (this.#entries.length - 1)] ?? 0;
  }

  #settle(expected: boolean): void {
    if (!expected) {
      this.#doubtful = true;
      return;
    }
    this.#pop();
    this.#skipCopyEnds();
  }

  #pop(): void {
    this.#refs[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#entries.length - 1);
    this.#size--;
  }

  /** A copy's end that is first in line has nothing before it any more that it could belong to. */
  #skipCopyEnds(): void {
    while (this.#size > 0 && this.#at(0) === Owed.copyEnd) this.#pop();
  }

  /** The copy of the oldest entry is over: forgets its end and the Syncs sent before that. Returns how many Syncs. */
  #endCopy(): number {
    this.#copyIn = false;
    let end = 1;
    while (end < this.#size && this.#at(end) !== Owed.copyEnd) end++;
    let syncs = 0;
    const kept: [number, Ref | undefined][] = [];
    for (let index = 0; index < this.#size; index++) {
      const entry = this.#at(index);
      if (index > 0 && index < end && (entry & KIND) === Owed.sync) syncs++;
      else if (index !== end) kept.push([entry, this.#refs[(this.#head + index) & (this.#entries.length - 1)]]);
    }
    this.#size = 0;
    for (const [entry, ref] of kept) {
      const index = (this.#head + this.#size) & (this.#entries.length - 1);
      this.#entries[index] = entry;
      this.#refs[index] = ref;
      this.#size++;
    }
    return syncs;
  }

  #grow(): void {
    const entries = new Uint8Array(this.#entries.length * 2);
    const refs: (Ref | undefined)[] = Array.from({ length: entries.length });
    for (let index = 0; index < this.#size; index++) {
      entries[index] = this.#at(index);
      refs[index] = this.#refs[(this.#head + index) & (this.#entries.length - 1)];
    }
    this.#entries = entries;
    this.#refs = refs;
    this.#head = 0;
  }
}
