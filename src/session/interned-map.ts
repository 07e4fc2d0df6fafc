/**
 * Frozen maps from name to text of which every content exists once: equal is identical.
 *
 * What a client has set and what a server carries are such values, so that asking "does this server suit this client?"
 * costs one comparison, and a thousand clients with the same settings share one object.
 */

export class InternedMap {
  readonly #entries: ReadonlyMap<string, string>;

  private constructor(entries: ReadonlyMap<string, string>) {
    this.#entries = entries;
  }

  static readonly empty = new InternedMap(new Map());

  /** The one map with this content; the order of the entries does not matter. */
  static of(entries: Iterable<readonly [string, string]>): InternedMap {
    const sorted = [...new Map(entries)].toSorted(([a], [b]) => (a < b ? -1 : 1));
    if (sorted.length === 0) return InternedMap.empty;
    const key = JSON.stringify(sorted);
    const known = interned.get(key)?.deref();
    if (known !== undefined) return known;
    const made = new InternedMap(new Map(sorted));
    interned.set(key, new WeakRef(made));
    collected.register(made, key);
    return made;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(name: string): string | undefined {
    return this.#entries.get(name);
  }

  /** The map that differs from this one by one entry. */
  with(name: string, value: string): InternedMap {
    if (this.#entries.get(name) === value) return this;
    return InternedMap.of([...this.#entries, [name, value]]);
  }

  without(name: string): InternedMap {
    if (!this.#entries.has(name)) return this;
    return InternedMap.of([...this.#entries].filter(([other]) => other !== name));
  }

  /** This map, and what it does not have from `base`. */
  over(base: InternedMap): InternedMap {
    return base.size === 0 ? this : InternedMap.of([...base.#entries, ...this.#entries]);
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.#entries.entries();
  }
}

const interned = new Map<string, WeakRef<InternedMap>>();

/** Contents that nobody holds any more leave the table, so that it never grows beyond what is in use. */
const collected = new FinalizationRegistry((key: string) => {
  if (interned.get(key)?.deref() === undefined) interned.delete(key);
});
