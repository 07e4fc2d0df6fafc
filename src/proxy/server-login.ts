/**
 * Logging in to a server: connect, TLS if asked for, startup, authentication, and what it reports of itself.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP
 */
import { ServerExchange } from '../auth/server-exchange.ts';
import type { Secret } from '../auth/secrets.ts';
import type { ServerKeys } from '../auth/verifiers.ts';
import type { Connection } from '../net/connection.ts';
import { DialError, type Destination, dial, type DialOptions } from '../net/dial.ts';
import type { ServerTls } from '../net/tls.ts';
import { BodyReader } from '../protocol/body-reader.ts';
import { fatalFrom, parseErrorFields } from '../protocol/error-fields.ts';
import { ClientError } from '../protocol/errors.ts';
import * as frontend from '../protocol/frontend.ts';
import { Backend } from '../protocol/message-types.ts';
import { SqlState } from '../protocol/sql-state.ts';
import { sslRequest, startupMessage } from '../protocol/startup.ts';
import { InternedMap } from '../session/interned-map.ts';
import { ConnectionLost, LoginStream } from './login-stream.ts';

export interface ServerTarget {
  readonly destination: Destination;
  /** As the configuration calls the server. */
  readonly host: string;
  readonly user: string;
  readonly secret: Secret | undefined;
  /** `database` and what the database entry sets. */
  readonly parameters: readonly (readonly [string, string])[];
  /** Undefined: without TLS. */
  readonly tls: ServerTls | undefined;
  readonly allowCleartext: boolean;
}

export interface ServerLogin {
  readonly connection: Connection;
  readonly reported: InternedMap;
  readonly processId: number;
  readonly cancelSecret: Buffer;
}

export interface ServerLoginOptions {
  readonly target: ServerTarget;
  readonly dial: DialOptions;
  readonly keys: ServerKeys;
  /** Hears of the connection as soon as there is one, so that it can be given up. */
  readonly connected: (connection: Connection) => void;
  /** How long a server may take to close its side after a login that failed, ms: until then it counts. */
  readonly closeTimeout: number;
}

/** A server that reports more than this before it is ready is none. */
const MAX_REPORTS = 1000;

/**
 * @throws {ClientError} what a client would be told: the server's own error, or why it could not be reached or trusted. By then the
 *   server has closed its side, or had `closeTimeout` to do so.
 */
export async function logIn(options: ServerLoginOptions): Promise<ServerLogin> {
  const { target, keys } = options;
  let connection: Connection;
  try {
    connection = await dial(target.destination, options.dial);
  } catch (error) {
    throw unreachable(error);
  }
  options.connected(connection);
  const stream = new LoginStream(connection);
  try {
    if (!connection.unix && target.tls !== undefined) await startTls(connection, stream, target, target.tls);
    connection.write(startupMessage([['user', target.user], ...target.parameters]));
    await authenticate(connection, stream, target, keys);
    return { connection, ...(await greeting(stream)) };
  } catch (error) {
    connection.end(options.closeTimeout);
    await stream.over;
    throw asClientError(error);
  }
}

async function startTls(
  connection: Connection,
  stream: LoginStream,
  target: ServerTarget,
  tls: ServerTls,
): Promise<void> {
  connection.write(sslRequest());
  const answer = await stream.byte();
  if (answer === 0x4e /* N */) {
    if (tls.sslmode === 'prefer') return;
    throw new ClientError('server refused SSL', {
      sqlState: SqlState.connectionFailure,
      hint: `server_tls_sslmode is "${tls.sslmode}": set ssl = on in the server, or allow plain connections to it.`,
    });
  }
  if (answer !== 0x53 /* S */) throw new ClientError('unexpected answer to SSLRequest');
  // More bytes here would be taken for bytes inside TLS (CVE-2021-23222).
  if (stream.buffered > 0) throw new ClientError('received unencrypted data after SSL response');
  try {
    await connection.upgradeToTlsClient(tls.optionsFor(target.host));
  } catch (error) {
    throw new ClientError(`TLS handshake with the server failed: ${messageOf(error)}`, {
      sqlState: SqlState.connectionFailure,
      cause: error,
    });
  }
}

async function authenticate(
  connection: Connection,
  stream: LoginStream,
  target: ServerTarget,
  keys: ServerKeys,
): Promise<void> {
  const exchange = new ServerExchange({
    user: target.user,
    secret: target.secret,
    encrypted: connection.tls !== undefined || connection.unix,
    allowCleartext: target.allowCleartext,
    certificate: connection.tls?.peerCertificateDer,
    keys,
  });
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- messages come one after another
    const frame = await stream.frame();
    switch (frame.type) {
      case Backend.authentication: {
        // oxlint-disable-next-line no-await-in-loop
        const verdict = await exchange.answer(frame.body);
        if (verdict.kind === 'failed') throw verdict.error;
        if (verdict.kind === 'ok') return;
        if (verdict.kind === 'send') connection.write(frontend.password(verdict.body));
        break;
      }
      case Backend.errorResponse:
        throw fatalFrom(parseErrorFields(frame.body, 0, frame.body.length));
      case Backend.noticeResponse:
      case Backend.negotiateProtocolVersion:
        break;
      default:
        throw unexpected(frame.type);
    }
  }
}

async function greeting(stream: LoginStream): Promise<Omit<ServerLogin, 'connection'>> {
  const reports: [string, string][] = [];
  let processId = 0;
  let cancelSecret = Buffer.alloc(0);
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- messages come one after another
    const { type, body } = await stream.frame();
    const reader = new BodyReader(body);
    switch (type) {
      case Backend.parameterStatus:
        reports.push([reader.cstring(), reader.cstring()]);
        if (reports.length > MAX_REPORTS) throw new ClientError('server reports too many parameters');
        break;
      case Backend.backendKeyData:
        processId = reader.int32();
        cancelSecret = Buffer.from(reader.bytes(reader.remaining));
        break;
      case Backend.errorResponse:
        throw fatalFrom(parseErrorFields(body, 0, body.length));
      case Backend.noticeResponse:
        break;
      case Backend.readyForQuery:
        if (stream.buffered > 0) throw new ClientError('server sent data behind its greeting');
        return { reported: InternedMap.of(reports), processId, cancelSecret };
      default:
        throw unexpected(type);
    }
  }
}

const unexpected = (type: number): ClientError =>
  new ClientError(
    `unexpected message 0x${type.toString(16).padStart(2, '0')} during the login to the server`,
  );

const unreachable = (error: unknown): ClientError =>
  error instanceof DialError
    ? new ClientError(error.message, { sqlState: SqlState.connectionFailure, cause: error })
    : asClientError(error);

function asClientError(error: unknown): ClientError {
  if (error instanceof ClientError) return error;
  // We ended it ourselves, and said why.
  if (error instanceof ConnectionLost && error.cause instanceof ClientError) return error.cause;
  const message =
    error instanceof ConnectionLost
      ? `server closed the connection during login: ${error.message}`
      : `login to the server failed: ${messageOf(error)}`;
  return new ClientError(message, { sqlState: SqlState.connectionFailure, cause: error });
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
