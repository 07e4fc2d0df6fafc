/** Where clients come in: TCP addresses and a Unix socket, opened all together or not at all. */
import { lookup } from 'node:dns/promises';
import { createServer, isIP } from 'node:net';
import type { ListenOptions, Server, Socket } from 'node:net';
import { invariant } from '../base/assert.ts';
import { Connection } from './connection.ts';
import type { FaultListener } from './connection.ts';
import { keepAlive } from './keep-alive.ts';
import type { KeepAlive } from './keep-alive.ts';
import { clearStaleSocket, pathProblem, unixSocketPath } from './unix-socket.ts';

export interface ListenSettings {
  /** IP addresses, host names, or `*` for all addresses of both families. */
  readonly addresses: readonly string[];
  /** 0 takes a free one, the same for all addresses. */
  readonly port: number;
  readonly backlog: number;
  readonly unixSocketDir?: string | undefined;
  /** Such as 0o777. */
  readonly unixSocketMode?: number;
  readonly keepAlive?: KeepAlive | undefined;
}

export interface ListenEvents {
  /** A client is here; it must be given an owner before this returns. */
  accepted(connection: Connection): void;
  /** Accepting failed, for lack of descriptors for example. Listening goes on. May come often: collapse it in the log. */
  acceptFailed(error: Error, place: string): void;
  readonly onFault: FaultListener;
}

export type Bound =
  | { readonly kind: 'tcp'; readonly address: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

interface TcpPlace {
  readonly address: string;
  /** Part of `*`, on a system that may have no IPv6. */
  readonly optional: boolean;
}

export class Listener {
  /** What was bound, in the order of the settings, with real port numbers. */
  readonly bound: readonly Bound[];
  readonly #servers: readonly Server[];

  /** `bound` says what each of `servers` is. */
  private constructor(servers: readonly Server[], bound: readonly Bound[]) {
    this.#servers = servers;
    this.bound = bound;
  }

  /** Throws an Error fit for the person who starts the daemon, such as `127.0.0.1:6432 is in use`. */
  static async open(settings: ListenSettings, events: ListenEvents): Promise<Listener> {
    const servers: Server[] = [];
    const bound: Bound[] = [];
    let { port } = settings;
    try {
      const places = await tcpPlaces(settings.addresses);
      // The IPv6 wildcard would take IPv4 too, and one of the two would find its port in use.
      const ipv6Only = places.some(({ address }) => address === '0.0.0.0');
      for (const { address, optional } of places) {
        const name = hostAndPort(address, port);
        const server = newServer(settings, events, { name, unix: false });
        const options = { host: address, port, ipv6Only, backlog: settings.backlog };
        const problem = await listen(server, options);
        if (problem !== undefined && optional && hasNoIpv6(problem)) continue;
        if (problem !== undefined) throw listenError(name, problem);
        servers.push(server);
        port = portOf(server);
        bound.push({ kind: 'tcp', address, port });
      }
      if (settings.unixSocketDir !== undefined) {
        const path = unixSocketPath(settings.unixSocketDir, port);
        servers.push(await openUnix(path, settings, events));
        bound.push({ kind: 'unix', path });
      }
    } catch (error) {
      for (const server of servers) server.close();
      throw error;
    }
    if (servers.length === 0)
      throw new Error('nothing to listen on: neither an address nor a folder for a Unix socket');
    return new Listener(servers, bound);
  }

  /** Stops accepting at once; those already here stay. The file of the Unix socket is removed. */
  close(): void {
    for (const server of this.#servers) server.close();
  }

  /** The same, but the Unix socket goes on. */
  closeTcp(): void {
    for (const [index, server] of this.#servers.entries())
      if (this.bound[index]?.kind === 'tcp') server.close();
  }
}

/** `127.0.0.1:6432`, `[::1]:6432`. */
export function hostAndPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

async function tcpPlaces(addresses: readonly string[]): Promise<readonly TcpPlace[]> {
  const places = new Map<string, TcpPlace>();
  const add = (address: string, optional: boolean): void => {
    if (!places.has(address)) places.set(address, { address, optional });
  };
  for (const address of addresses) {
    if (address === '*') {
      add('0.0.0.0', false);
      add('::', true);
    } else if (isIP(address) !== 0) {
      add(address, false);
    } else {
      for (const found of await lookUp(address)) add(found, false);
    }
  }
  return [...places.values()];
}

async function lookUp(name: string): Promise<readonly string[]> {
  try {
    const found = await lookup(name, { all: true });
    return found.map(({ address }) => address);
  } catch (error) {
    throw new Error(`cannot listen on ${name}: no address found for that name`, { cause: error });
  }
}

function newServer(
  { keepAlive: keepAliveSettings }: ListenSettings,
  events: ListenEvents,
  { name, unix }: { readonly name: string; readonly unix: boolean },
): Server {
  const server = createServer({ allowHalfOpen: false, noDelay: true }, (socket: Socket) => {
    if (!unix && keepAliveSettings !== undefined) keepAlive(socket, keepAliveSettings);
    const connection = new Connection(socket, unix ? 'unix' : 'tcp', events.onFault);
    try {
      events.accepted(connection);
    } catch (error) {
      events.onFault(error, connection);
      connection.destroy();
    }
  });
  server.on('error', (error) => {
    // Before it listens, that is the answer to `listen`.
    if (server.listening) events.acceptFailed(error, name);
  });
  return server;
}

async function openUnix(path: string, settings: ListenSettings, events: ListenEvents): Promise<Server> {
  const unusable = pathProblem(path);
  if (unusable !== undefined) throw new Error(unusable);
  const server = newServer(settings, events, { name: path, unix: true });
  const options = { path, backlog: settings.backlog };
  const bind = (): Promise<NodeJS.ErrnoException | undefined> =>
    listenWithMode(server, options, settings.unixSocketMode);
  let problem = await bind();
  if (problem?.code === 'EADDRINUSE') {
    const obstacle = await clearStaleSocket(path);
    if (obstacle !== undefined) throw new Error(obstacle, { cause: problem });
    problem = await bind();
  }
  if (problem !== undefined) throw listenError(path, problem);
  return server;
}

/** The file has its mode from its first moment, because bind happens inside the call and minds the umask. */
function listenWithMode(
  server: Server,
  options: ListenOptions,
  mode = 0o777,
): Promise<NodeJS.ErrnoException | undefined> {
  const umask = process.umask(0o777 - mode);
  try {
    return listen(server, options);
  } finally {
    process.umask(umask);
  }
}

function listen(server: Server, options: ListenOptions): Promise<NodeJS.ErrnoException | undefined> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.ErrnoException | undefined>();
  const listening = (): void => {
    server.off('error', failed);
    resolve(undefined);
  };
  const failed = (error: NodeJS.ErrnoException): void => {
    server.off('listening', listening);
    resolve(error);
  };
  server.once('listening', listening);
  server.once('error', failed);
  server.listen(options);
  return promise;
}

function hasNoIpv6(error: NodeJS.ErrnoException): boolean {
  return error.code === 'EAFNOSUPPORT' || error.code === 'EADDRNOTAVAIL';
}

function portOf(server: Server): number {
  const address = server.address();
  invariant(typeof address === 'object' && address !== null, 'a listening TCP server has a port');
  return address.port;
}

/** Why nothing listens at `place` (such as `127.0.0.1:6432`), for the person who starts the daemon. */
export function listenError(place: string, error: NodeJS.ErrnoException): Error {
  return new Error(listenText(place, error), { cause: error });
}

function listenText(place: string, { code = '', message }: NodeJS.ErrnoException): string {
  if (code === 'EADDRINUSE') return `${place} is in use`;
  const reasons: Readonly<Record<string, string>> = {
    EADDRNOTAVAIL: 'this machine has no such address',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
  };
  return `cannot listen on ${place}: ${reasons[code] ?? message}`;
}
