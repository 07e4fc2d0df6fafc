/** A source whose tables are made once a scrape, however many metrics are read from them. */
import type { DatabaseRow, Lists, MetricsSource, PoolRow } from './metrics-source.ts';

export class SourceSnapshot implements MetricsSource {
  readonly #source: MetricsSource;
  #pools: readonly PoolRow[] | undefined;
  #databases: readonly DatabaseRow[] | undefined;
  #lists: Lists | undefined;

  constructor(source: MetricsSource) {
    this.#source = source;
  }

  /** Forgets the tables; the next read makes them anew. */
  renew(): void {
    this.#pools = undefined;
    this.#databases = undefined;
    this.#lists = undefined;
  }

  get version(): string {
    return this.#source.version;
  }

  get pooler(): MetricsSource['pooler'] {
    return this.#source.pooler;
  }

  pools(): readonly PoolRow[] {
    this.#pools ??= [...this.#source.pools()];
    return this.#pools;
  }

  databases(): readonly DatabaseRow[] {
    this.#databases ??= [...this.#source.databases()];
    return this.#databases;
  }

  lists(): Lists {
    this.#lists ??= this.#source.lists();
    return this.#lists;
  }

  stats(): ReturnType<MetricsSource['stats']> {
    return this.#source.stats();
  }

  clients(): ReturnType<MetricsSource['clients']> {
    return this.#source.clients();
  }

  pins(): ReturnType<MetricsSource['pins']> {
    return this.#source.pins();
  }

  limits(): ReturnType<MetricsSource['limits']> {
    return this.#source.limits();
  }

  droppedLogLines(): number {
    return this.#source.droppedLogLines();
  }
}
