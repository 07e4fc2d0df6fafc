/**
 * A scrape: prom-client's registry over families that read their values when asked. Nothing is counted in prom-client; on the
 * hot path it would cost more than forwarding a query does.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { metricFamilies } from './metric-families.ts';
import type { MetricFamily, Sample } from './metric-family.ts';
import type { MetricsSource } from './metrics-source.ts';
import { SourceSnapshot } from './source-snapshot.ts';

export interface Scrape {
  readonly contentType: string;
  readonly body: string;
}

/** How long a scrape may keep the event loop in one turn, in ms. */
const SLICE = 2;

/** Reads of these are linear in the number of open sockets, and say no more than our own gauges. */
const COSTLY_DEFAULTS = [
  'nodejs_active_handles',
  'nodejs_active_handles_total',
  'nodejs_active_requests',
  'nodejs_active_requests_total',
  'nodejs_active_resources',
  'nodejs_active_resources_total',
];

/** All that prom-client does with a metric is read `name` and call `get()`; its types ask for one of its own classes. */
interface PlainMetric {
  get(): Promise<{ readonly name: string; readonly help: string }>;
}

interface PlainRegistry {
  readonly contentType: string;
  registerMetric(metric: PlainMetric): void;
  getMetricsAsArray(): readonly { readonly name: string }[];
  getSingleMetricAsString(name: string): Promise<string>;
}

interface PlainValues extends MetricFamily {
  readonly values: readonly Sample[];
}

/**
 * Makes the function that answers a scrape. prom-client is imported here and not at the top: it takes 76 ms, which
 * `ostler --version` should not pay and the first scrape should not make clients pay.
 */
export async function createScrape(source: MetricsSource): Promise<() => Promise<Scrape>> {
  const { default: promClient } = await import('prom-client');
  const ofProcess = new promClient.Registry();
  promClient.collectDefaultMetrics({ register: ofProcess });
  for (const name of COSTLY_DEFAULTS) ofProcess.removeSingleMetric(name);

  const registry: PlainRegistry = ofProcess;
  const snapshot = new SourceSnapshot(source);
  for (const family of metricFamilies(snapshot)) {
    const get = (): Promise<PlainValues> => Promise.resolve({ ...family, values: family.samples() });
    registry.registerMetric(Object.assign({ get }, family));
  }
  return shareWhileRunning(() => {
    snapshot.renew();
    return scrape(registry);
  });
}

async function scrape(registry: PlainRegistry): Promise<Scrape> {
  const texts: string[] = [];
  let sliceEnd = performance.now() + SLICE;
  for (const { name } of registry.getMetricsAsArray()) {
    texts.push(await registry.getSingleMetricAsString(name));
    if (performance.now() < sliceEnd) continue;
    await nextTurn();
    sliceEnd = performance.now() + SLICE;
  }
  return { contentType: registry.contentType, body: `${texts.join('\n\n')}\n` };
}

/** However many ask at the same time, the work is done once. */
function shareWhileRunning<Result>(work: () => Promise<Result>): () => Promise<Result> {
  let running: Promise<Result> | undefined;
  return () => {
    running ??= work().finally(() => {
      running = undefined;
    });
    return running;
  };
}
