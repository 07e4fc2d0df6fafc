/**
 * From a socket to a session: TLS, startup packet, authentication, greeting.
 *
 *     accepted ─▶ [SSLRequest | TLS at once] ─▶ StartupMessage ─▶ authentication ─▶ database, limits, settings ─▶ greeting
 *                       └─ CancelRequest: carried out, closed
 *
 * Who may not in is told nothing about users and databases before it has proved who it is.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP
 */
import { ClientExchange } from '../auth/client-exchange.ts';
import type { AuthType, Secret } from '../auth/secrets.ts';
import type { Verifiers } from '../auth/verifiers.ts';
import type { Connection } from '../net/connection.ts';
import { ALPN, type ClientTls } from '../net/tls.ts';
import type { PoolerStats } from '../observability/counters.ts';
import type { Logger } from '../observability/logger.ts';
import * as backend from '../protocol/backend.ts';
import { ClientError } from '../protocol/errors.ts';
import { FrameWriter } from '../protocol/frame-writer.ts';
import { Frontend, TransactionStatus } from '../protocol/message-types.ts';
import { SqlState } from '../protocol/sql-state.ts';
import { parseStartup, PROTOCOL_3_0, PROTOCOL_3_2, type StartupPacket } from '../protocol/startup.ts';
import type { InternedMap } from '../session/interned-map.ts';
import type { CancelKey } from './cancel-keys.ts';
import { ConnectionLost, LoginStream } from './login-stream.ts';
import type { LoginSlots } from './login-slots.ts';

type StartupMessage = Extract<StartupPacket, { kind: 'startup' }>;

/** Who has proved to be whom, and what it asked for. */
export interface LoggedIn {
  readonly user: string;
  readonly database: string;
  readonly parameters: ReadonlyMap<string, string>;
  /** Speaks protocol 3.2, with longer cancel keys. */
  readonly longKeys: boolean;
}

/** What a login ends with: whoever takes the connection over. */
export interface Welcome {
  readonly reports: InternedMap;
  readonly key: CancelKey;
  /** Takes over the connection, with what came behind the login. */
  readonly begin: (rest: Buffer) => void;
}

/** What a login needs from the pooler. */
export interface LoginHost {
  readonly logger: Logger;
  readonly stats: PoolerStats;
  readonly verifiers: Verifiers;
  readonly slots: LoginSlots;
  /** Ends each login in progress: the client is told why. */
  readonly loginsInProgress: Set<(error: ClientError) => void>;
  readonly loginTimeout: number;
  readonly authType: AuthType;
  readonly clientTls: ClientTls | undefined;
  secret(user: string): Secret | undefined;
  cancel(key: CancelKey): Promise<void>;
  /** Before authentication: may this connection become a client at all? @throws {ClientError} */
  admit(connection: Connection, database: string): void;
  /** After it: opens the session, or the console. @throws {ClientError} */
  welcome(connection: Connection, client: LoggedIn): Promise<Welcome>;
}

/** Never rejects: whatever goes wrong is told to the client, counted, and logged. */
export async function logInClient(connection: Connection, host: LoginHost): Promise<void> {
  const stream = new LoginStream(connection);
  const startedAt = performance.now();
  const timer =
    host.loginTimeout === 0
      ? undefined
      : setTimeout(() => refuse(timedOut(), 'timed out'), host.loginTimeout);
  let release = (): void => {};
  /** Once it has said so; whether it is true is another question. */
  let claimed: Claim | undefined;
  const refuse = (error: ClientError, reason: string): void => {
    host.stats.loginFailures++;
    host.stats.clientErrors.add(error.sqlState);
    host.logger.info(
      { ...claimed, host: connection.remoteAddress, sqlState: error.sqlState, reason },
      `login refused: ${error.message}`,
    );
    connection.write(backend.errorResponse(error));
    connection.end();
  };
  const giveUp = (error: ClientError): void => refuse(error, error.message);
  host.loginsInProgress.add(giveUp);
  try {
    const first = await stream.peek();
    release = await host.slots.take();
    const startup = await openSession(connection, stream, host, first);
    if (startup === undefined) return;
    claimed = claimOf(startup);
    await new ClientLogin(connection, stream, host, startup, claimed).run(refuse);
    host.stats.login.observe(performance.now() - startedAt);
  } catch (error) {
    if (error instanceof ClientError) refuse(error, error.detail ?? error.message);
    else if (error instanceof HandshakeFailed) {
      host.stats.loginFailures++;
      host.logger.info(
        { host: connection.remoteAddress, reason: error.message },
        'TLS handshake with a client failed',
      );
    } else if (!(error instanceof ConnectionLost)) {
      connection.destroy();
      host.logger.warn({ host: connection.remoteAddress, error }, 'login failed');
    } else if (!stream.everReceived) host.stats.zeroByteConnections++;
    else
      host.logger.debug(
        { host: connection.remoteAddress, reason: error.message },
        'client left during login',
      );
  } finally {
    clearTimeout(timer);
    host.loginsInProgress.delete(giveUp);
    release();
  }
}

/** Who a client says it is, and what it asks for. */
interface Claim {
  readonly user: string;
  readonly database: string;
}

function claimOf({ parameters }: StartupMessage): Claim {
  const user = parameters.get('user') ?? '';
  const database = parameters.get('database') ?? '';
  return { user, database: database === '' ? user : database };
}

const timedOut = (): ClientError =>
  new ClientError('client_login_timeout', { sqlState: SqlState.invalidAuthorization });

/** The client's doing as a rule: it does not trust our certificate, shows none that we trust, or speaks something else. */
class HandshakeFailed extends Error {}

/** @throws {HandshakeFailed} the connection is gone then */
async function encrypt(connection: Connection, { acceptor }: ClientTls, firstBytes?: Buffer): Promise<void> {
  try {
    await connection.upgradeToTlsServer(acceptor, firstBytes);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const reason = 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message;
    throw new HandshakeFailed(reason, { cause: error });
  }
}

/** Everything before the StartupMessage; undefined when the connection was for something else. */
async function openSession(
  connection: Connection,
  stream: LoginStream,
  host: LoginHost,
  first: number,
): Promise<StartupMessage | undefined> {
  const { clientTls } = host;
  let encrypted = false;
  if (first === 0x16 && clientTls !== undefined && !connection.unix) {
    await encrypt(connection, clientTls, stream.takeRest());
    // Only ALPN tells that this is not some other protocol's client that was sent here.
    if (connection.tls?.alpn !== ALPN) {
      throw new ClientError(
        'received direct SSL connection request without ALPN protocol negotiation extension',
      );
    }
    encrypted = true;
  }
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- packets come one after another
    const packet = parseStartup(await stream.startupPacket());
    switch (packet.kind) {
      case 'gssenc':
        refuseStuffing(stream, 'received unencrypted data after GSSAPI encryption request');
        connection.write(Buffer.from('N'));
        break;
      case 'ssl':
        if (encrypted) throw new ClientError('SSL request inside TLS');
        refuseStuffing(stream, 'received unencrypted data after SSL request');
        if (clientTls === undefined || connection.unix) {
          connection.write(Buffer.from('N'));
          break;
        }
        connection.write(Buffer.from('S'));
        // oxlint-disable-next-line no-await-in-loop
        await encrypt(connection, clientTls);
        encrypted = true;
        break;
      case 'cancel':
        // oxlint-disable-next-line no-await-in-loop
        await host.cancel(packet);
        connection.end();
        return undefined;
      case 'startup':
        if (!encrypted && !connection.unix && clientTls !== undefined && requiresTls(clientTls)) {
          throw new ClientError('SSL required', { sqlState: SqlState.invalidAuthorization });
        }
        return packet;
      default:
        throw new Error('bug: unknown startup packet');
    }
  }
}

const requiresTls = ({ sslmode }: ClientTls): boolean => sslmode !== 'prefer';

/** Bytes sent before the answer would be taken for bytes inside TLS (CVE-2021-23222). */
function refuseStuffing(stream: LoginStream, message: string): void {
  if (stream.buffered > 0) throw new ClientError(message);
}

class ClientLogin {
  readonly #connection: Connection;
  readonly #stream: LoginStream;
  readonly #host: LoginHost;
  readonly #startup: StartupMessage;
  readonly #claim: Claim;
  /** What the client gets in one write at the end. */
  readonly #greeting = new FrameWriter();

  constructor(
    connection: Connection,
    stream: LoginStream,
    host: LoginHost,
    startup: StartupMessage,
    claim: Claim,
  ) {
    this.#connection = connection;
    this.#stream = stream;
    this.#host = host;
    this.#startup = startup;
    this.#claim = claim;
  }

  async run(refuse: (error: ClientError, reason: string) => void): Promise<void> {
    const { user, database } = this.#claim;
    if (user === '')
      throw new ClientError('no username supplied', { sqlState: SqlState.invalidAuthorization });
    this.#host.admit(this.#connection, database);
    const longKeys = this.#negotiate();
    if (!(await this.#authenticate(user, refuse))) return;
    this.#greeting.bytes(backend.authenticationOk());
    try {
      const { parameters } = this.#startup;
      const welcome = await this.#host.welcome(this.#connection, { user, database, parameters, longKeys });
      this.#greet(welcome);
    } catch (error) {
      // What was held back belongs in front of the error.
      this.#connection.write(this.#greeting.take());
      throw error;
    }
  }

  /** The minor version that both speak, and protocol options that nobody here knows. Answers whether it is 3.2. */
  #negotiate(): boolean {
    const { version, parameters } = this.#startup;
    const options = [...parameters.keys()].filter((name) => name.startsWith('_pq_.'));
    const speaks32 = (version & 0xffff) >= 2;
    const spoken = speaks32 ? PROTOCOL_3_2 : PROTOCOL_3_0;
    if (version !== spoken || options.length > 0) {
      this.#connection.write(backend.negotiateProtocolVersion(spoken, options));
    }
    return speaks32;
  }

  async #authenticate(user: string, refuse: (error: ClientError, reason: string) => void): Promise<boolean> {
    const { authType, verifiers } = this.#host;
    const exchange = new ClientExchange({ user, authType, secret: this.#host.secret(user), verifiers });
    const request = exchange.start();
    switch (request.kind) {
      case 'ok':
        return true;
      case 'refused':
        refuse(request.error, request.reason);
        return false;
      case 'cleartext':
        this.#connection.write(backend.authenticationCleartext());
        break;
      case 'md5':
        this.#connection.write(backend.authenticationMd5(request.salt));
        break;
      case 'sasl':
        this.#connection.write(backend.authenticationSasl(request.mechanisms));
        break;
      default:
        throw new Error('bug: unknown authentication request');
    }
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- messages come one after another
      const frame = await this.#stream.frame();
      if (frame.type === Frontend.terminate) throw new ConnectionLost('client gave up');
      if (frame.type !== Frontend.password) {
        throw new ClientError(`expected password response, got message type ${frame.type}`);
      }
      // oxlint-disable-next-line no-await-in-loop
      const verdict = await exchange.answer(frame.body);
      switch (verdict.kind) {
        case 'continue':
          this.#connection.write(backend.authenticationSaslContinue(verdict.data));
          break;
        case 'final':
          this.#greeting.bytes(backend.authenticationSaslFinal(verdict.data));
          return true;
        case 'ok':
          return true;
        case 'refused':
          refuse(verdict.error, verdict.reason);
          return false;
        default:
          throw new Error('bug: unknown verdict');
      }
    }
  }

  #greet({ reports, key, begin }: Welcome): void {
    for (const [name, value] of reports) backend.writeParameterStatus(this.#greeting, name, value);
    backend.writeBackendKeyData(this.#greeting, key.processId, key.secret);
    backend.writeReadyForQuery(this.#greeting, TransactionStatus.idle);
    this.#connection.write(this.#greeting.take());
    begin(this.#stream.takeRest());
  }
}
