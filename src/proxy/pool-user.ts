/** Whoever can stand in line for a server: a client, or an errand of the pooler's own. */
import type { ClientError } from '../protocol/errors.ts';
import type { ClientDescription, PooledClient } from '../pool/port.ts';
import type { SessionState } from '../session/replay.ts';
import type { ServerSession } from './server-session.ts';

export interface PoolUser extends PooledClient {
  /** What a server must carry so that nothing has to be replayed. */
  readonly sessionState: SessionState;
  /** query_wait_timeout, ms; 0 = for ever. */
  readonly waitTimeout: number;
  /** Its turn has come: the server is active for it. */
  granted(server: ServerSession): void;
  /** It gets none, and is out of the line. */
  refused(error: ClientError): void;
  /** query_wait_notify has passed. */
  waitingLong(): void;
  describe(): ClientDescription;
}
