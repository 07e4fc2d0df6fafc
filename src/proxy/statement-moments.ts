/** What the moment at which a message about statements comes says of it: whether it can be sent, and whether the server will look at it. */
import { TransactionStatus } from '../protocol/message-types.ts';
import { restored } from './restoring.ts';
import type { ServerSession } from './server-session.ts';

/** A batch before the one that is being sent is not answered, which nothing keeps the server from doing. */
export const othersUnanswered = ({ owed }: ServerSession): boolean =>
  owed.ahead && !owed.copyIn && !owed.doubtful;

/**
 * It is being asked what the client has set, on which it depends what a text means. Or an earlier batch changes what statements there
 * are, here or for the client, unless it fails: only its answers tell what a message of this one is about. (What this batch itself changes
 * is no question: if that fails, the message is skipped too.)
 */
export const mustWait = (server: ServerSession): boolean =>
  server.settling.isAsking || (server.statements.isUncertain(server.owed.batch) && othersUnanswered(server));

/** It may be refused or skipped, so that only the server can answer it. */
export const mayFail = ({ owed, status }: ServerSession): boolean =>
  status === TransactionStatus.failed || owed.skipping || owed.doubtful;

/** It is in a failed transaction, and nothing that is still to be answered ends that. */
export const staysFailed = ({ owed, status }: ServerSession): boolean =>
  status === TransactionStatus.failed && owed.runsNothing;

/** Its client has sent messages of the extended protocol and no Sync behind them. */
export const hasBatch = ({ owed }: ServerSession): boolean => owed.batchOpen && owed.lastRef !== restored;
