/** Which paths there are and what they answer; no sockets here. */
import type { Scrape } from '../observability/metrics.ts';
import { healthReport, type HealthSource } from './health.ts';

export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface RouteSources {
  readonly health: HealthSource;
  readonly scrape: () => Promise<Scrape>;
}

type Route = (sources: RouteSources) => Answer | Promise<Answer>;

const routes: ReadonlyMap<string, Route> = new Map<string, Route>([
  ['/live', () => plain(200, 'live')],
  ['/ready', ({ health }) => readyAnswer(health)],
  [
    '/health',
    ({ health }) => ({
      status: 200,
      contentType: 'application/json; charset=utf-8',
      body: healthReport(health),
    }),
  ],
  [
    '/metrics',
    async ({ scrape }) => {
      const { contentType, body } = await scrape();
      return { status: 200, contentType, body };
    },
  ],
]);

const ROUTE_LIST = [...routes.keys()].join(' ');

/** What to answer to a request line. `target` is as it came from the network: a path, with a query or not, or anything else. */
export function answer(method: string, target: string, sources: RouteSources): Answer | Promise<Answer> {
  const [path = ''] = target.split('?', 1);
  const route = routes.get(path);
  if (route === undefined) return plain(404, `not found; there are ${ROUTE_LIST}`);
  if (method !== 'GET' && method !== 'HEAD') {
    return { ...plain(405, 'only GET and HEAD'), headers: { Allow: 'GET, HEAD' } };
  }
  return route(sources);
}

function readyAnswer(health: HealthSource): Answer {
  const { kind } = health.readiness();
  return plain(kind === 'ready' ? 200 : 503, kind);
}

export function plain(status: number, text: string): Answer {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${text}\n` };
}
