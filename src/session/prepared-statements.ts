/**
 * Named prepared statements of the extended protocol, shared by what they say: the same text and parameter types are one
 * statement on a server, whoever prepared it and by whatever name.
 */

/** What Parse says of a statement behind its name: text and parameter types. Each exists once. */
export class PreparedStatement {
  /** Its name on servers. */
  readonly name: string;
  /** The body of Parse from behind the name on. */
  readonly definition: Buffer;

  constructor(name: string, definition: Buffer) {
    this.name = name;
    this.definition = definition;
  }
}

/** Every name that ostler gives starts so. */
export const STATEMENT_PREFIX = 'ostler_s';

const known = new Map<string, WeakRef<PreparedStatement>>();
const collected = new FinalizationRegistry((key: string) => {
  if (known.get(key)?.deref() === undefined) known.delete(key);
});
let lastNumber = 0;

/** The one statement with this definition, which is copied. */
export function internStatement(definition: Buffer): PreparedStatement {
  const key = definition.toString('latin1');
  const found = known.get(key)?.deref();
  if (found !== undefined) return found;
  const made = new PreparedStatement(`${STATEMENT_PREFIX}${++lastNumber}`, Buffer.from(definition));
  known.set(key, new WeakRef(made));
  collected.register(made, key);
  return made;
}

/** PostgreSQL compares names on their first 63 bytes (NAMEDATALEN). */
export const statementKey = (name: Buffer): string => name.toString('latin1', 0, Math.min(name.length, 63));

/** The statements that one server has, least recently used first. */
export class ServerStatements {
  readonly #statements = new Set<PreparedStatement>();

  get size(): number {
    return this.#statements.size;
  }

  /** Whether the server has it; asking counts as use. */
  use(statement: PreparedStatement): boolean {
    if (!this.#statements.delete(statement)) return false;
    this.#statements.add(statement);
    return true;
  }

  add(statement: PreparedStatement): void {
    this.#statements.add(statement);
  }

  delete(statement: PreparedStatement): void {
    this.#statements.delete(statement);
  }

  clear(): void {
    this.#statements.clear();
  }

  /** Takes out the least recently used one if there are more than `limit`. */
  evict(limit: number): PreparedStatement | undefined {
    if (this.#statements.size <= limit) return undefined;
    const [oldest] = this.#statements;
    if (oldest !== undefined) this.#statements.delete(oldest);
    return oldest;
  }
}
