/**
 * Prepared statements of the extended protocol, by what they say, and how they are shared: who says the same under the same settings
 * means the same statement, whatever either calls it.
 */
import { hintsOfWhole, type Lexing, noHints, type StatementHints } from '../sql/hints.ts';
import { deallocationIn, forgetsAll } from './deallocation.ts';
import type { InternedMap } from './interned-map.ts';
import type { Schema, SchemaVersion } from './schema.ts';

/** Where a text is first seen, so that what it means for its session is found out once. */
export class PreparedStatement {
  /** Its name on servers; empty: it is prepared as the unnamed one. */
  readonly name: string;
  /** What Parse says behind the name: text and parameter types. */
  readonly definition: Buffer;
  /** The settings under which it is parsed, and used; undefined: it is one client's own, whatever that sets. */
  readonly context: InternedMap | undefined;
  /** The schema at the time of its client's Parse. */
  readonly schema: SchemaVersion | undefined;
  /** Its text drops every statement. */
  readonly forgetsAll: boolean;
  /** It returns what something of its session does. */
  readonly isIndirect: boolean;
  /** Its text drops this one statement. */
  readonly deallocates: string | undefined;
  /** What a server was the first to tell of it, in answer to Describe: the types of its parameters, */
  parameterTypes: readonly number[] | undefined;
  /** and the columns that it returns, as text that is equal for equal columns. */
  result: string | undefined;

  #lexing: Lexing | undefined;
  #hints = noHints;

  /** The definition is copied. */
  constructor(name: string, definition: Buffer, context?: InternedMap, schema?: SchemaVersion) {
    this.name = name;
    this.definition = name === '' ? Buffer.from(definition) : alone(definition);
    this.context = context;
    this.schema = schema;
    this.isIndirect = isIndirect(definition);
    this.forgetsAll = forgetsAll(definition, 0, definition.length);
    this.deallocates = deallocationIn(definition, 0, definition.length);
  }

  /** What its text may leave in a session; it is read once. */
  hintsUnder(lexing: Lexing): StatementHints {
    if (this.#lexing !== lexing) {
      this.#lexing = lexing;
      this.#hints = hintsOfWhole(this.definition, 0, this.definition.indexOf(0), lexing);
    }
    return this.#hints;
  }

  get isPrivate(): boolean {
    return this.context === undefined;
  }
}

/** Whether this says FETCH or EXECUTE: it returns what a cursor does, or what SQL has prepared, one time this and one time that. */
export const isIndirect = (definition: Buffer): boolean =>
  mayBeIndirect.has((definition[0] ?? 0) | 0x20) && indirect.test(definition.toString('latin1', 0, 1024));
const indirect = /^(?:[ \t\n\r\f\v]|--.*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*(?:fetch|execute)[^\w$]/i;
const mayBeIndirect: ReadonlySet<number> = new Set(
  Buffer.from('fe-/ \t\n\r\f\v', 'latin1').map((byte) => byte | 0x20),
);

/** A copy that may be kept for long: it keeps no slab alive, of which it would be a small part. */
function alone(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}

/** Every name that ostler gives starts so. */
const PREFIX = 'ostler_';
const NUMBERED = `${PREFIX}s`;
let lastNumber = 0;
const nextName = (): string => `${NUMBERED}${++lastNumber}`;

/** Finds a name that ostler has given to a statement, in whatever language an error's text is. */
export const givenName = new RegExp(`${NUMBERED}\\d+`);
/** What no server ever has: for an error that is real. */
export const missingStatement = new PreparedStatement(`${NUMBERED}0`, Buffer.alloc(3));
/** What a server has so that its name is taken: for another such error. */
export const placeholder = new PreparedStatement(nextName(), Buffer.alloc(3));

/** No client may reach what is not its own by the name that it has on servers. */
export const isReserved = (key: string): boolean => key.startsWith(PREFIX);

/** What PostgreSQL compares of a name, in bytes (NAMEDATALEN). */
export const NAME_SIZE = 63;

export const statementKey = (name: Buffer | string): string =>
  typeof name === 'string'
    ? name.slice(0, NAME_SIZE)
    : name.toString('latin1', 0, Math.min(name.length, NAME_SIZE));

/** A statement that nobody else will ever be given. */
export const privateStatement = (definition: Buffer, schema: SchemaVersion): PreparedStatement =>
  new PreparedStatement(nextName(), definition, undefined, schema);

type Known = Map<string, WeakRef<PreparedStatement>>;

/**
 * The statements that the clients of one pool share. Only as long as the schema stays the same: who parses behind a change of it gets a
 * statement that no server has parsed before.
 */
export class SharedStatements {
  readonly schema: Schema;
  #version: SchemaVersion;
  #byContext = new WeakMap<InternedMap, Known>();

  constructor(schema: Schema) {
    this.schema = schema;
    this.#version = schema.version;
  }

  /** The one statement with this definition that is parsed under these settings. */
  intern(definition: Buffer, context: InternedMap): PreparedStatement {
    const { version } = this.schema;
    if (this.#version !== version) {
      this.#version = version;
      this.#byContext = new WeakMap();
    }
    let known = this.#byContext.get(context);
    if (known === undefined) this.#byContext.set(context, (known = new Map()));
    const key = definition.toString('latin1');
    const found = known.get(key)?.deref();
    if (found !== undefined) return found;
    const made = new PreparedStatement(nextName(), definition, context, version);
    known.set(key, new WeakRef(made));
    collected.register(made, { known, key });
    return made;
  }
}

/** What nobody uses any more leaves the table. */
const collected = new FinalizationRegistry(({ known, key }: { known: Known; key: string }) => {
  if (known.get(key)?.deref() === undefined) known.delete(key);
});
