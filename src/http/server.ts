/**
 * /metrics, /live, /ready and /health on a port of their own. It may be reachable by more than its friends, so everything is
 * bounded: connections, requests on one, header sizes, and the time anything may take.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { invariant } from '../base/assert.ts';
import type { Logger } from '../observability/logger.ts';
import { answer, plain, type Answer, type RouteSources } from './routes.ts';

/** A few scrapers, load balancers and people. */
const MAX_CONNECTIONS = 64;
const MAX_REQUESTS_PER_SOCKET = 1000;
const MAX_HEADER_BYTES = 8192;
const HEADERS_TIMEOUT = 5_000;
const REQUEST_TIMEOUT = 10_000;
/** A peer that takes nothing of its answer for so long is closed. */
const STALLED_TIMEOUT = 20_000;
/** Longer than the 60 s between scrapes that many use, so that each need not connect anew. */
const KEEP_ALIVE_TIMEOUT = 65_000;
/** How often timeouts are looked at. */
const CHECKING_INTERVAL = 1_000;
/** How long an answer under way may still take once we close. */
const CLOSE_GRACE = 1_000;

export interface HttpOptions extends RouteSources {
  /** http_addr and http_port; port 0 takes any free one. */
  readonly host: string;
  readonly port: number;
  readonly logger: Logger;
}

export interface HttpEndpoint {
  readonly address: AddressInfo;
  /** Stops listening and ends what is open. The last thing to close in a drain: /ready has to say so as long as it lasts. */
  close(): Promise<void>;
}

/** Rejects when the address cannot be listened on. */
export function listenHttp(options: HttpOptions): Promise<HttpEndpoint> {
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT,
    requestTimeout: REQUEST_TIMEOUT,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
    connectionsCheckingInterval: CHECKING_INTERVAL,
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.maxRequestsPerSocket = MAX_REQUESTS_PER_SOCKET;
  server.setTimeout(STALLED_TIMEOUT);
  server.on('request', (request, response) => {
    void respond(request, response, options);
  });
  server.on('clientError', refuseGarbage);

  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      // Accepting may fail later, for want of descriptors; listening goes on.
      server.on('error', (error) => {
        options.logger.warn({ error }, 'http accept failed');
      });
      const address = server.address();
      invariant(address !== null && typeof address === 'object', 'an HTTP server listens on TCP');
      resolve({ address, close: () => close(server) });
    });
  });
}

/** Never rejects: a route that fails is a 500 and a line in the log. */
async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  options: HttpOptions,
): Promise<void> {
  const method = request.method ?? '';
  let reply: Answer;
  try {
    reply = await answer(method, request.url ?? '', options);
  } catch (error) {
    options.logger.error({ error, path: request.url }, 'http request failed');
    reply = plain(500, 'internal error');
  }
  const { headers } = request;
  // Nothing here takes a body; one that is announced is not read, so the connection cannot be used again.
  if (headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0') {
    response.setHeader('Connection', 'close');
    response.once('finish', () => request.destroy());
  }
  response.writeHead(reply.status, {
    'Content-Type': reply.contentType,
    'Content-Length': Buffer.byteLength(reply.body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...reply.headers,
  });
  response.end(method === 'HEAD' ? undefined : reply.body);
}

/** What is not HTTP, is too long or too slow. Not logged: a port scanner is no event. */
function refuseGarbage(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy());
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const impatience = setTimeout(() => {
      server.closeAllConnections();
    }, CLOSE_GRACE);
    server.close(() => {
      clearTimeout(impatience);
      resolve();
    });
    server.closeIdleConnections();
  });
}
