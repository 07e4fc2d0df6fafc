/**
 * The extended query protocol on the console, as far as drivers need it that know no other: statements without parameters,
 * rows as text or binary. PgBouncer's console speaks the simple protocol only.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
 */
import { bindComplete, closeComplete, parseComplete } from '../protocol/backend.ts';
import type { BodyReader } from '../protocol/body-reader.ts';
import { FrameWriter } from '../protocol/frame-writer.ts';
import { Backend, Frontend } from '../protocol/message-types.ts';
import { type Format, writeRowDescription } from '../protocol/result-set.ts';
import { SqlState } from '../protocol/sql-state.ts';
import { commandError, type Reply, type Statement } from './command.ts';
import { understand } from './commands.ts';
import { sentences } from './grammar.ts';

/** A named statement or portal takes memory until it is closed. */
const MAX_NAMED = 100;
const UNDEFINED_CURSOR = '34000';

/** A statement that was prepared; without one it was empty. */
interface Prepared {
  readonly statement: Statement | undefined;
}

export interface Portal extends Prepared {
  readonly formats: readonly Format[];
  /** What it brought when it was executed, with how many rows have been sent. */
  reply: Reply | undefined;
  sent: number;
}

export class ExtendedQuery {
  readonly #statements = new Map<string, Prepared>();
  readonly #portals = new Map<string, Portal>();

  /** Answers Parse, Bind, Describe or Close. @throws {ClientError} */
  answer(type: number, reader: BodyReader): Uint8Array {
    switch (type) {
      case Frontend.parse:
        return this.#parse(reader);
      case Frontend.bind:
        return this.#bind(reader);
      case Frontend.describe:
        return this.#describe(reader);
      default:
        return this.#close(reader);
    }
  }

  /** The portal that Execute names, and how many rows it wants; 0 = all. @throws {ClientError} */
  execute(reader: BodyReader): { readonly portal: Portal; readonly maxRows: number } {
    const portal = this.#portal(reader.cstring());
    return { portal, maxRows: Math.max(reader.int32(), 0) };
  }

  /** The transaction is over, and with it its portals. */
  sync(): void {
    this.#portals.clear();
  }

  #parse(reader: BodyReader): Uint8Array {
    const name = reader.cstring();
    const found = sentences(reader.cstring());
    const [first] = found;
    if (found.length > 1) {
      throw commandError('cannot insert multiple commands into a prepared statement', SqlState.syntaxError);
    }
    if (name !== '' && this.#statements.has(name)) {
      throw commandError(`prepared statement "${name}" already exists`, SqlState.duplicateStatement);
    }
    keepFew(this.#statements, 'prepared statements');
    this.#statements.set(name, { statement: first === undefined ? undefined : understand(first) });
    return parseComplete;
  }

  #bind(reader: BodyReader): Uint8Array {
    const portal = reader.cstring();
    const prepared = this.#statement(reader.cstring());
    for (let left = reader.int16(); left > 0; left--) reader.int16();
    const parameters = reader.int16();
    if (parameters !== 0) {
      throw commandError(
        `bind message supplies ${parameters} parameters, but the console knows none`,
        SqlState.protocolViolation,
      );
    }
    const codes: number[] = [];
    for (let left = reader.int16(); left > 0; left--) codes.push(reader.int16());
    keepFew(this.#portals, 'portals');
    this.#portals.set(portal, {
      ...prepared,
      formats: formatsOf(prepared, codes),
      reply: undefined,
      sent: 0,
    });
    return bindComplete;
  }

  #describe(reader: BodyReader): Uint8Array {
    const writer = new FrameWriter();
    if (reader.uint8() === STATEMENT) {
      const { statement } = this.#statement(reader.cstring());
      // No parameters.
      writer.begin(Backend.parameterDescription).int16(0).end();
      describeRows(writer, statement, []);
    } else {
      const { statement, formats } = this.#portal(reader.cstring());
      describeRows(writer, statement, formats);
    }
    return writer.take();
  }

  /** What is not there is closed too. */
  #close(reader: BodyReader): Uint8Array {
    const kind = reader.uint8();
    (kind === STATEMENT ? this.#statements : this.#portals).delete(reader.cstring());
    return closeComplete;
  }

  #statement(name: string): Prepared {
    const found = this.#statements.get(name);
    if (found !== undefined) return found;
    throw commandError(`prepared statement "${name}" does not exist`, SqlState.undefinedStatement);
  }

  #portal(name: string): Portal {
    const found = this.#portals.get(name);
    if (found !== undefined) return found;
    throw commandError(`portal "${name}" does not exist`, UNDEFINED_CURSOR);
  }
}

const STATEMENT = 0x53;

function keepFew(named: ReadonlyMap<string, unknown>, what: string): void {
  if (named.size < MAX_NAMED) return;
  throw commandError(`too many ${what} on the console`, SqlState.programLimitExceeded);
}

function describeRows(
  writer: FrameWriter,
  statement: Statement | undefined,
  formats: readonly Format[],
): void {
  if (statement?.columns === undefined) writer.begin(Backend.noData).end();
  else writeRowDescription(writer, statement.columns, formats);
}

/** No code: all text; one: for all columns; else one for each column. */
function formatsOf({ statement }: Prepared, codes: readonly number[]): readonly Format[] {
  const columns = statement?.columns ?? [];
  if (codes.length > 1 && codes.length !== columns.length) {
    throw commandError(
      `bind message has ${codes.length} result formats but query has ${columns.length} columns`,
      SqlState.protocolViolation,
    );
  }
  return columns.map((_, index) => ((codes[index] ?? codes[0]) === 1 ? 'binary' : 'text'));
}
