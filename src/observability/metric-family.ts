/** One metric as Prometheus sees it: a name, and samples that are read when a scrape asks. */
import { BUCKET_BOUNDS, type Histogram } from './histogram.ts';

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels: Labels;
  readonly value: number;
  /** Where it is not the family's: `…_bucket`, `…_sum`, `…_count`. */
  readonly metricName?: string;
}

export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter' | 'histogram';
  /** Read at scrape, never before. */
  readonly samples: () => Sample[];
}

export function histogramSamples(name: string, labels: Labels, histogram: Histogram): Sample[] {
  const { cumulative, count, sum } = histogram.snapshot();
  const buckets = cumulative.map((value, index) => ({
    labels: { ...labels, le: String(BUCKET_BOUNDS[index] ?? '+Inf') },
    value,
    metricName: `${name}_bucket`,
  }));
  return [
    ...buckets,
    { labels, value: sum, metricName: `${name}_sum` },
    { labels, value: count, metricName: `${name}_count` },
  ];
}

export function gauge(name: string, help: string, samples: () => Sample[]): MetricFamily {
  return { name, help, type: 'gauge', samples };
}

export function counter(name: string, help: string, samples: () => Sample[]): MetricFamily {
  return { name, help, type: 'counter', samples };
}

export function single(value: number): Sample[] {
  return [{ labels: {}, value }];
}
