/**
 * What the console has put aside: PAUSE and DISABLE, and what each command is told.
 *
 * A pool is paused while everything is or its database is. The two are kept apart: RESUME without a name ends the first, RESUME with a
 * name the second. Unlike in PgBouncer, KILL without a name is a pause of everything and so ends with a plain RESUME.
 */
import { ClientError } from '../protocol/errors.ts';
import { SqlState } from '../protocol/sql-state.ts';

export class Pauses {
  #everything = false;
  readonly #databases = new Set<string>();
  readonly #disabled = new Set<string>();

  /** SHOW STATE. */
  get isEverythingPaused(): boolean {
    return this.#everything;
  }

  /** The column `paused` of SHOW DATABASES: paused by its name. */
  isDatabasePaused(database: string): boolean {
    return this.#databases.has(database);
  }

  /** Nobody is linked in this database now. */
  covers(database: string): boolean {
    return this.#everything || this.#databases.has(database);
  }

  isDisabled(database: string): boolean {
    return this.#disabled.has(database);
  }

  /** undefined = everything. Pausing a database again changes nothing. */
  pause(database: string | undefined): ClientError | undefined {
    if (database !== undefined) {
      this.#databases.add(database);
      return undefined;
    }
    if (this.#everything) return consoleError('already suspended/paused');
    this.#everything = true;
    return undefined;
  }

  resume(database: string | undefined): ClientError | undefined {
    if (database !== undefined) {
      return this.#databases.delete(database)
        ? undefined
        : consoleError(`database ${database} is not paused`);
    }
    if (!this.#everything) return consoleError('pooler is not paused/suspended');
    this.#everything = false;
    return undefined;
  }

  disable(database: string): void {
    this.#disabled.add(database);
  }

  enable(database: string): void {
    this.#disabled.delete(database);
  }

  /** A database that no longer exists is forgotten: another of its name begins fresh. */
  forget(database: string): void {
    this.#databases.delete(database);
    this.#disabled.delete(database);
  }
}

/** A console command cannot be done; the console's session goes on. */
export function consoleError(message: string): ClientError {
  return new ClientError(message, { severity: 'ERROR', sqlState: SqlState.objectNotInPrerequisiteState });
}
