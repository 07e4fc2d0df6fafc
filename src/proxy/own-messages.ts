/** What ostler itself puts among the messages and replies of others: the bytes, and what is owed for them. */
import { closeComplete, commandComplete, parseComplete } from '../protocol/backend.ts';
import type { ErrorFields } from '../protocol/error-fields.ts';
import { FrameWriter } from '../protocol/frame-writer.ts';
import { flush, sync, writeClose } from '../protocol/frontend.ts';
import { SqlState } from '../protocol/sql-state.ts';
import type { Batch } from '../session/guest-statements.ts';
import { Owed, type OwedReplies, OWN } from './owed-replies.ts';

/** Makes the server say what it has to say. */
export const flushBytes = flush();

const fenceBytes = (): Buffer => {
  const writer = new FrameWriter();
  writeClose(writer, 'P', 'ostler_fence');
  return Buffer.concat([writer.take(), sync()]);
};
/** Its answer proves that everything before it has been answered. */
export const fence = fenceBytes();

const injections: Readonly<Record<number, Buffer | undefined>> = {
  [Owed.injectedParse]: parseComplete,
  [Owed.injectedClose]: closeComplete,
  [Owed.injectedDeallocate]: commandComplete('DEALLOCATE'),
};

/** What a client is told whose message no server has to answer. */
export const injectedReply = (kind: number): Buffer => injections[kind] ?? closeComplete;

const guestEntries = {
  parse: Owed.parse | OWN,
  bind: Owed.bind | OWN,
  execute: Owed.execute | OWN,
  close: Owed.close | OWN,
} as const;

/** What is owed for a batch of our own statements; `lastRef` goes with the last of them. */
export function pushGuests<Ref>(owed: OwedReplies<Ref>, { messages }: Batch, lastRef: Ref | undefined): void {
  const last = messages.length - 1;
  for (const [index, message] of messages.entries())
    owed.push(guestEntries[message], index === last ? lastRef : undefined);
}

/** In place of an answer to our own question that is too long to be held. */
export const tooLong: ErrorFields = {
  severity: 'ERROR',
  sqlState: SqlState.programLimitExceeded,
  message: 'setting is too long',
  routine: undefined,
  detail: undefined,
  hint: undefined,
};
