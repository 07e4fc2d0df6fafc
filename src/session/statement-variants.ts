/**
 * What a client's names stand for where the statements of their Parse will not do: because the client has other settings by now, because
 * the schema is another one, or because it is not to use what others use. Variants are shared with whoever has the same settings, copies are
 * the client's own.
 */
import type { InternedMap } from './interned-map.ts';
import { type PreparedStatement, privateStatement, type SharedStatements } from './prepared-statements.ts';
import type { SchemaVersion } from './schema.ts';
import { NamedStatement } from './statement-changes.ts';
import { definitionAgain } from './statement-description.ts';

export class StatementVariants {
  #shared = new WeakMap<NamedStatement, NamedStatement>();
  #copies = new WeakMap<NamedStatement, NamedStatement>();
  /** The settings that `#shared` is for, and the schema that both are for. */
  #context: InternedMap | undefined;
  #version: SchemaVersion | undefined;

  under(context: InternedMap, named: NamedStatement, statements: SharedStatements): NamedStatement {
    this.#now(statements);
    if (context !== this.#context) {
      this.#context = context;
      this.#shared = new WeakMap();
    }
    let variant = this.#shared.get(named);
    if (variant === undefined) {
      const statement = statements.intern(definitionAgain(named.statement), context);
      variant = new NamedStatement(named.name, statement);
      this.#shared.set(named, variant);
    }
    return variant;
  }

  copy(named: NamedStatement, statements: SharedStatements): NamedStatement {
    this.#now(statements);
    let copy = this.#copies.get(named);
    if (copy === undefined) {
      const statement = privateStatement(definitionAgain(named.statement), statements.schema.version);
      copy = new NamedStatement(named.name, statement);
      this.#copies.set(named, copy);
    }
    return copy;
  }

  /** The copy is not used again; gives it. */
  end(named: NamedStatement): PreparedStatement | undefined {
    const copy = this.#copies.get(named);
    this.#copies.delete(named);
    return copy?.statement;
  }

  #now({ schema: { version } }: SharedStatements): void {
    if (version === this.#version) return;
    this.#version = version;
    this.#shared = new WeakMap();
    this.#copies = new WeakMap();
  }
}
