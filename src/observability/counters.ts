/**
 * What the hot path counts: plain numbers, read by the console and by a scrape.
 *
 * The totals are those of PgBouncer's SHOW STATS, with its meanings. Bytes and counts are added to directly; where a total
 * and a histogram belong together, one method keeps them so.
 */
import { Histogram } from './histogram.ts';
import {
  CANCEL_OUTCOMES,
  CLIENT_DISCONNECT_REASONS,
  PIN_REASONS,
  ReasonCounter,
  REFUSAL_REASONS,
  SERVER_CLOSE_REASONS,
  SqlStateCounter,
} from './reasons.ts';

const MICROSECONDS = 1000;

/** The totals of one database, named as in SHOW STATS_TOTALS; times in µs. */
export interface StatsTotals {
  serverAssignmentCount: number;
  xactCount: number;
  queryCount: number;
  /** Bytes of client messages that were forwarded. */
  bytesReceived: number;
  /** Bytes that came from servers. */
  bytesSent: number;
  xactTime: number;
  queryTime: number;
  waitTime: number;
  clientParseCount: number;
  serverParseCount: number;
  bindCount: number;
  clientLoginCount: number;
}

/** One per database entry, shared by its pools. */
export class DatabaseStats implements StatsTotals {
  serverAssignmentCount = 0;
  /** +1 when a client's message starts work and no transaction was open. */
  xactCount = 0;
  /** +1 when a client's message starts work after everything before was answered: a pipeline counts once. */
  queryCount = 0;
  bytesReceived = 0;
  bytesSent = 0;
  xactTime = 0;
  queryTime = 0;
  waitTime = 0;
  clientParseCount = 0;
  serverParseCount = 0;
  bindCount = 0;
  clientLoginCount = 0;

  readonly wait = new Histogram();
  readonly query = new Histogram();
  readonly transaction = new Histogram();

  /** A client was given a server after `waited` ms; 0 when one was free. */
  countAssignment(waited: number): void {
    this.serverAssignmentCount += 1;
    this.waitTime += waited * MICROSECONDS;
    this.wait.observe(waited);
  }

  /** A client left the line without a server. PgBouncer's wait_time leaves these out; the histogram must not, they are its worst. */
  countVainWait(waited: number): void {
    this.wait.observe(waited);
  }

  /** ReadyForQuery came and nothing is outstanding, `taken` ms after the query's first message. */
  countQueryEnd(taken: number): void {
    this.queryTime += taken * MICROSECONDS;
    this.query.observe(taken);
  }

  /** The server is idle again, `taken` ms after the transaction's first message. */
  countTransactionEnd(taken: number): void {
    this.xactTime += taken * MICROSECONDS;
    this.transaction.observe(taken);
  }
}

/** What is counted for the whole process. */
export class PoolerStats {
  /** From accept (or the end of the TLS handshake) to the client's first ReadyForQuery. */
  readonly login = new Histogram();
  /** From the start of connecting to a server to its first ReadyForQuery; successes only. */
  readonly serverConnect = new Histogram();

  /** Errors sent to clients that ostler made itself. */
  readonly clientErrors = new SqlStateCounter();
  readonly clientDisconnects = new ReasonCounter(CLIENT_DISCONNECT_REASONS);
  readonly serverCloses = new ReasonCounter(SERVER_CLOSE_REASONS);
  readonly cancels = new ReasonCounter(CANCEL_OUTCOMES);
  readonly refusals = new ReasonCounter(REFUSAL_REASONS);
  /** Clients that began to keep their server, once for each reason. */
  readonly pins = new ReasonCounter(PIN_REASONS);
  /** Questions to servers about what a session has set. */
  sessionProbes = 0;
  /** How often nothing had changed when they were answered. */
  needlessProbes = 0;

  /** Connections that ended without a byte, as TCP health checks do: counted, never logged. */
  zeroByteConnections = 0;
  acceptedConnections = 0;
  loginFailures = 0;
  serverConnectAttempts = 0;
  serverConnectFailures = 0;
}
