/** From the sentence that says why a server is closed to the label under which it is counted. */
import type { ServerCloseReason } from '../observability/reasons.ts';

const labels: readonly (readonly [RegExp, ServerCloseReason])[] = [
  [/lifetime/, 'server_lifetime'],
  [/idle timeout|too many servers/, 'server_idle_timeout'],
  [/evicted/, 'evicted'],
  [/close_needed|reconnect/, 'reconnect'],
  [/pause/, 'pause'],
  [/removed|changed/, 'config_changed'],
  [/shut|shutting/, 'shutdown'],
  [/client disconnect/, 'client_disconnect'],
  [/query timeout/, 'query_timeout'],
  [/idle transaction/, 'idle_transaction_timeout'],
  [/transaction timeout/, 'transaction_timeout'],
  [/check/, 'check_failed'],
  [/reset|rolled back|clean|restored/, 'reset_failed'],
  [/dirty|idle server/, 'dirty'],
  [/bad packet|invalid message|unexpected/, 'protocol_violation'],
  [/kill/, 'killed'],
];

export const serverCloseReason = (reason: string): ServerCloseReason =>
  labels.find(([pattern]) => pattern.test(reason))?.[1] ?? 'other';
