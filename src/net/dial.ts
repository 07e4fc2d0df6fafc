/** Connections to servers: every address of a host in turn, within one time limit, with errors that say what was tried. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { Connection } from './connection.ts';
import type { FaultListener } from './connection.ts';
import type { Resolver } from './dns.ts';
import { keepAlive } from './keep-alive.ts';
import type { KeepAlive } from './keep-alive.ts';
import { hostAndPort } from './listener.ts';

export type Destination =
  | { readonly host: string; readonly port: number }
  /** Of the Unix socket itself, see `unixSocketPath`. */
  | { readonly path: string };

export interface DialOptions {
  readonly resolver: Resolver;
  /** For all addresses together, in ms, with the look-up of the name. */
  readonly timeoutMs: number;
  readonly keepAlive?: KeepAlive | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onFault: FaultListener;
}

/** Nobody answered, and why not; `code` is the system's, such as ECONNREFUSED, ENOTFOUND or ETIMEDOUT. */
export class DialError extends Error {
  override readonly name = 'DialError';
  readonly code: string;

  constructor(message: string, code: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** The connection belongs to nobody yet and reads nothing: give it an owner. Rejects with a `DialError`. */
export async function dial(destination: Destination, options: DialOptions): Promise<Connection> {
  const deadline = performance.now() + options.timeoutMs;
  if ('path' in destination) {
    const { path } = destination;
    return attempt({ socket: connect({ path }), transport: 'unix', place: path }, options.timeoutMs, options);
  }
  const { host, port } = destination;
  const addresses = await resolve(host, options);
  const errors: DialError[] = [];
  for (const [index, address] of addresses.entries()) {
    // An address that swallows packets must leave time for those after it.
    const share = (deadline - performance.now()) / (addresses.length - index);
    const socket = connect({ host: address, port, noDelay: true, autoSelectFamily: false });
    try {
      const place = hostAndPort(address, port);
      return await attempt({ socket, transport: 'tcp', place }, Math.max(share, 1), options);
    } catch (error) {
      if (!(error instanceof DialError) || options.signal?.aborted === true) throw error;
      errors.push(error);
    }
  }
  throw allFailed(host, errors);
}

async function resolve(
  host: string,
  { resolver, timeoutMs, signal }: DialOptions,
): Promise<readonly string[]> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new DialError(`looking up host "${host}" timed out`, 'ETIMEDOUT')),
    timeoutMs,
  );
  const abort = (): void => reject(aborted(host));
  signal?.addEventListener('abort', abort);
  if (signal?.aborted === true) abort();
  try {
    return await Promise.race([resolver.resolve(host), promise]);
  } catch (error) {
    if (error instanceof DialError) throw error;
    const code = codeOf(error) ?? 'ENOTFOUND';
    const reason = code === 'ENOTFOUND' ? 'name not known' : code;
    throw new DialError(`cannot find the address of host "${host}": ${reason}`, code, error);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

interface Attempt {
  readonly socket: Socket;
  readonly transport: 'tcp' | 'unix';
  readonly place: string;
}

function attempt(
  { socket, transport, place }: Attempt,
  timeoutMs: number,
  options: DialOptions,
): Promise<Connection> {
  const { promise, resolve: succeed, reject } = Promise.withResolvers<Connection>();
  const { signal } = options;
  const settle = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    socket.off('connect', connected);
    socket.off('error', failed);
  };
  const giveUp = (error: DialError): void => {
    settle();
    socket.on('error', () => {}); // what a destroyed socket still has to say interests nobody
    socket.destroy();
    reject(error);
  };
  const connected = (): void => {
    settle();
    if (transport === 'tcp' && options.keepAlive !== undefined) keepAlive(socket, options.keepAlive);
    succeed(new Connection(socket, transport, options.onFault));
  };
  const failed = (error: NodeJS.ErrnoException): void => giveUp(refused(place, error));
  const abort = (): void => giveUp(aborted(place));
  const timer = setTimeout(
    () => giveUp(new DialError(`connection to ${place} timed out`, 'ETIMEDOUT')),
    timeoutMs,
  );
  socket.once('connect', connected);
  socket.once('error', failed);
  signal?.addEventListener('abort', abort);
  if (signal?.aborted === true) abort();
  return promise;
}

function refused(place: string, error: NodeJS.ErrnoException): DialError {
  const code = error.code ?? 'UNKNOWN';
  const texts: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'refused',
    ENOENT: 'failed: no such socket',
    EACCES: 'failed: permission denied',
    ETIMEDOUT: 'timed out',
    ECONNRESET: 'reset by peer',
    EHOSTUNREACH: 'failed: no route to host',
    ENETUNREACH: 'failed: network is unreachable',
    EMFILE: 'failed: too many open files',
  };
  return new DialError(`connection to ${place} ${texts[code] ?? `failed: ${error.message}`}`, code, error);
}

function aborted(place: string): DialError {
  return new DialError(`connection to ${place} given up`, 'ECANCELED');
}

function allFailed(host: string, errors: readonly DialError[]): DialError {
  const [first, ...others] = errors;
  if (first === undefined) return new DialError(`host "${host}" has no address`, 'ENOTFOUND');
  if (others.length === 0) return first;
  const text = errors.map(({ message }) => message).join('; ');
  return new DialError(text, first.code, new AggregateError(errors));
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
