/**
 * What the health endpoints know. Three questions, three answers: does the process turn (/live), shall clients be sent here
 * (/ready), and how are the databases (/health). A database that is down makes nobody unready: an orchestrator would kill
 * every task during a failover, and none would be there when it is over.
 */

export type Readiness =
  { readonly kind: 'ready' } | { readonly kind: 'starting' } | { readonly kind: 'draining' };

export interface DatabaseHealth {
  /** What clients call it. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly paused: boolean;
  readonly disabled: boolean;
  /** How many servers are in which state: active, idle, used, tested, login. */
  readonly servers: Readonly<Record<string, number>>;
  readonly clients: { readonly active: number; readonly waiting: number };
  /** ms since a connection to the server last succeeded; undefined if none ever did. */
  readonly lastConnectAge: number | undefined;
  /** The last failure to connect or log in since then, in the server's words. */
  readonly lastError:
    { readonly message: string; readonly sqlState: string | undefined; readonly age: number } | undefined;
}

export interface HealthSource {
  readiness(): Readiness;
  databases(): Iterable<DatabaseHealth>;
}

const seconds = (milliseconds: number): number => Math.round(milliseconds) / 1000;

/** The body of /health. A database is `failing` when the latest attempt to connect to it failed. */
export function healthReport(source: HealthSource): string {
  const databases = Array.from(source.databases(), (database) => ({
    name: database.name,
    status: statusOf(database),
    host: database.host,
    port: database.port,
    servers: database.servers,
    clients: database.clients,
    last_connect_seconds_ago: database.lastConnectAge === undefined ? null : seconds(database.lastConnectAge),
    last_error:
      database.lastError === undefined
        ? null
        : {
            message: database.lastError.message,
            sqlstate: database.lastError.sqlState ?? null,
            seconds_ago: seconds(database.lastError.age),
          },
  }));
  return `${JSON.stringify({ status: source.readiness().kind, databases }, undefined, 2)}\n`;
}

function statusOf({ disabled, paused, lastError, lastConnectAge }: DatabaseHealth): string {
  if (disabled) return 'disabled';
  if (paused) return 'paused';
  if (lastError !== undefined && lastError.age <= (lastConnectAge ?? Infinity)) return 'failing';
  return lastConnectAge === undefined ? 'unknown' : 'ok';
}
