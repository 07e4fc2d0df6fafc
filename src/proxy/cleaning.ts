/**
 * What a client left behind on a server, when it went away in the middle of something:
 *
 *     cancel what runs ─▶ end copy and batch ─▶ read all that is owed ─▶ ROLLBACK ─▶ reset, or sweep ─▶ back to the pool
 *
 * The server is reused only when every step has been answered. Whoever watches the clock closes it if that takes too long.
 */
import { Frontend, TransactionStatus } from '../protocol/message-types.ts';
import { sync } from '../protocol/frontend.ts';
import { FrameWriter } from '../protocol/frame-writer.ts';
import { InternedMap } from '../session/interned-map.ts';
import { replayOf } from '../session/replay.ts';
import type { Answer } from './own-answer.ts';
import type { ServerSession } from './server-session.ts';
import { Owed, OWN } from './owed-replies.ts';

/** Ends a copy, whether one is under way or not: a stray CopyFail is ignored. */
const endOfCopy = new FrameWriter().begin(Frontend.copyFail).cstring('client disconnected').end().take();
/** Fails, because there is no such portal: what a batch without Sync has done must not be committed by ours. */
const abort = new FrameWriter()
  .begin(Frontend.execute)
  .cstring('ostler: client disconnected')
  .int32(0)
  .end()
  .take();

export interface Cleaning {
  /** server_reset_query of a session that ends, or what is due instead; empty = none. */
  readonly resetQuery: string;
  /** Cursors, channels, locks, temporary objects and the like may be left. */
  readonly hasLeftovers: boolean;
  /** What the client ran has ended; goes on when no cancel can hit what we run now. */
  readonly ended: (server: ServerSession, goOn: () => void) => void;
  /** The server is as new. */
  readonly done: (server: ServerSession) => void;
  readonly failed: (server: ServerSession, reason: string) => void;
}

/** `server` is linked to nobody and held by its pool. */
export function clean(server: ServerSession, cleaning: Cleaning): void {
  if (server.quiet) {
    cleaning.ended(server, () => rolledBack(server, cleaning));
    return;
  }
  const { batchOpen } = server.owed;
  server.owed.push(Owed.copyEnd | OWN);
  if (batchOpen) server.owed.push(Owed.execute | OWN);
  server.owed.push(Owed.sync | OWN);
  server.whenSettled(() => {
    cleaning.ended(server, () => {
      if (server.status === TransactionStatus.idle) rolledBack(server, cleaning);
      else server.askQuery('ROLLBACK', () => rolledBack(server, cleaning));
    });
  });
  server.out.insert(endOfCopy);
  if (batchOpen) server.out.insert(abort);
  server.out.insert(sync());
  server.out.finish();
}

function rolledBack(server: ServerSession, cleaning: Cleaning): void {
  const { resetQuery } = cleaning;
  if (server.status !== TransactionStatus.idle) {
    cleaning.failed(server, 'transaction could not be rolled back');
    return;
  }
  // What it had set is not known any more: the next client's replay starts from nothing.
  server.sessionState = undefined;
  if (resetQuery === '') {
    if (cleaning.hasLeftovers) sweep(server, cleaning);
    else cleaning.done(server);
    return;
  }
  server.askQuery(resetQuery, (answer: Answer) => {
    if (answer.error !== undefined || server.status !== TransactionStatus.idle) {
      cleaning.failed(
        server,
        `server_reset_query failed: ${answer.error?.message ?? 'transaction left open'}`,
      );
      return;
    }
    server.forgetStatements();
    server.mayHaveLeftovers = false;
    // Unless connect_query has set something, which is gone now too.
    if (/^\s*DISCARD\s+ALL\s*;?\s*$/i.test(resetQuery) && server.base.size === 0)
      server.sessionState = InternedMap.empty;
    cleaning.done(server);
  });
}

/** Takes everything away that a session can leave, but for prepared statements. */
function sweep(server: ServerSession, cleaning: Cleaning): void {
  const everything = { clean: true, sequences: true, identity: true };
  const { bytes, ...batch } = replayOf(server.base, everything, server.guests);
  server.whenSettled(({ error }) => {
    if (error !== undefined || server.status !== TransactionStatus.idle) {
      cleaning.failed(server, `session could not be cleaned: ${error?.message ?? 'transaction left open'}`);
      return;
    }
    server.sessionState = InternedMap.empty;
    server.mayHaveLeftovers = false;
    cleaning.done(server);
  });
  server.sendGuests({ ...batch, bytes: Buffer.concat([bytes, sync()]) });
}
