/** What settings are on a server that nobody has changed: remembered for a while, per pool. */

/** Defaults change when the server's configuration does: ms until they are asked again. */
const LIFETIME = 60_000;
const MAX_NAMES = 1000;

export class UsualValues {
  readonly #values = new Map<string, { readonly value: string; readonly at: number }>();

  get(name: string): string | undefined {
    return this.#values.get(name)?.value;
  }

  /** Some of `names` have not been asked for, or too long ago. `now` in ms. */
  areMissing(names: readonly string[], now: number): boolean {
    return names.some((name) => {
      const known = this.#values.get(name);
      return known === undefined || now - known.at > LIFETIME;
    });
  }

  learn(values: ReadonlyMap<string, string | null>, now: number): void {
    if (this.#values.size + values.size > MAX_NAMES) this.#values.clear();
    for (const [name, value] of values) this.#values.set(name, { value: value ?? '', at: now });
  }

  clear(): void {
    this.#values.clear();
  }
}
