/**
 * What a client's names stand for where the statements of their Parse will not do, because the client has other settings by now or is not
 * to use what others use: variants, shared with whoever has those settings, and copies of the client's own.
 */
import type { InternedMap } from './interned-map.ts';
import { type PreparedStatement, privateStatement, type SharedStatements } from './prepared-statements.ts';
import { NamedStatement } from './statement-changes.ts';

export class StatementVariants {
  #shared = new WeakMap<NamedStatement, NamedStatement>();
  /** The settings that `#shared` is for. */
  #context: InternedMap | undefined;
  #copies = new Map<NamedStatement, NamedStatement>();

  under(context: InternedMap, named: NamedStatement, statements: SharedStatements): NamedStatement {
    if (context !== this.#context) {
      this.#context = context;
      this.#shared = new WeakMap();
    }
    let variant = this.#shared.get(named);
    if (variant === undefined) {
      variant = new NamedStatement(named.name, statements.intern(named.statement.definition, context));
      this.#shared.set(named, variant);
    }
    return variant;
  }

  copy(named: NamedStatement): NamedStatement {
    let copy = this.#copies.get(named);
    if (copy === undefined) {
      copy = new NamedStatement(named.name, privateStatement(named.statement.definition));
      this.#copies.set(named, copy);
    }
    return copy;
  }

  /** No copy will be used again; gives them all. */
  takeCopies(): PreparedStatement[] {
    const copies = [...this.#copies.values()];
    this.#copies = new Map();
    return copies.map(({ statement }) => statement);
  }
}
