/** The schema of one database, as something that may change under statements that have been parsed. */

/** What a schema is between two changes of it that ostler has seen; compared by identity. */
export interface SchemaVersion {
  readonly number: number;
}

/** One for all pools of a database. */
export class Schema {
  #version: SchemaVersion = { number: 0 };

  /** That of the database at `place`. */
  static at(place: string): Schema {
    const known = schemas.get(place)?.deref();
    if (known !== undefined) return known;
    const made = new Schema();
    schemas.set(place, new WeakRef(made));
    collected.register(made, place);
    return made;
  }

  get version(): SchemaVersion {
    return this.#version;
  }

  /** Who parses from now on may get something else than who has parsed before. */
  changed(): void {
    this.#version = { number: this.#version.number + 1 };
  }
}

const schemas = new Map<string, WeakRef<Schema>>();
const collected = new FinalizationRegistry((place: string) => {
  if (schemas.get(place)?.deref() === undefined) schemas.delete(place);
});

/**
 * Whether the tag in `bytes` from `at` on is that of a statement that changes a schema: ALTER, CREATE, DROP or IMPORT FOREIGN SCHEMA, told
 * apart from all other tags by their first two letters. What functions do and SELECT INTO shows in no tag, nor what DO does.
 */
export function changesSchema(bytes: Buffer, at: number): boolean {
  const second = bytes[at + 1];
  switch (bytes[at] ?? 0) {
    case 0x41: // A
      return second === 0x4c; // L
    case 0x43: // C
    case 0x44: // D
      return second === 0x52; // R
    case 0x49: // I
      return second === 0x4d; // M
    default:
      return false;
  }
}
