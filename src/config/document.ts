/**
 * A configuration before it is checked: what was written, and where. The file, DATABASE_URL and the environment each add
 * to it, later ones over earlier ones.
 */
import type { Origin } from './problem.ts';

interface Written {
  readonly value: unknown;
  readonly origin: Origin;
  readonly unreadable: boolean;
}

/** A table: [ostler], or one [databases.NAME] or [users.NAME]. */
export class Section {
  readonly origin: Origin;
  readonly #written = new Map<string, Written>();

  constructor(origin: Origin) {
    this.origin = origin;
  }

  set(key: string, value: unknown, origin: Origin): void {
    this.#written.set(key, { value, origin, unreadable: false });
  }

  /** Something was written, but what it refers to cannot be had; that was reported. */
  setUnreadable(key: string, origin: Origin): void {
    this.#written.set(key, { value: undefined, origin, unreadable: true });
  }

  get keys(): readonly string[] {
    return [...this.#written.keys()];
  }

  has(key: string): boolean {
    return this.#written.has(key);
  }

  isUnreadable(key: string): boolean {
    return this.#written.get(key)?.unreadable === true;
  }

  get(key: string): unknown {
    return this.#written.get(key)?.value;
  }

  originOf(key: string): Origin | undefined {
    return this.#written.get(key)?.origin;
  }
}

export type EntrySection = 'databases' | 'users';

export class Document {
  /** What is blamed for something that is missing altogether. */
  readonly origin: Origin;
  readonly ostler: Section;
  readonly databases = new Map<string, Section>();
  readonly users = new Map<string, Section>();

  constructor(origin: Origin) {
    this.origin = origin;
    this.ostler = new Section(origin);
  }

  /** The entry of this name, made if it is new. */
  entry(kind: EntrySection, name: string, origin: Origin): Section {
    const known = this[kind].get(name);
    if (known !== undefined) return known;
    const made = new Section(origin);
    this[kind].set(name, made);
    return made;
  }

  /** Where `['ostler', KEY]`, `['databases', NAME]` or `['databases', NAME, KEY]` was written. */
  locate(path: readonly string[]): Origin | undefined {
    const [section = '', name = '', key] = path;
    if (section === 'ostler') return this.ostler.originOf(name);
    if (section !== 'databases' && section !== 'users') return undefined;
    const entry = this[section].get(name);
    return key === undefined ? entry?.origin : entry?.originOf(key);
  }
}
