/** What the commands that change something have in common. */
import type { ClientError } from '../../protocol/errors.ts';
import { SqlState } from '../../protocol/sql-state.ts';
import { CONSOLE_DATABASES } from '../../proxy/pooler.ts';
import { type CommandContext, commandError, type Reply } from '../command.ts';

export interface Control {
  readonly argument: 'none' | 'database' | 'database, or none' | 'client' | 'how to shut down';
  /** Behind the command's name in SHOW HELP. */
  readonly usage: string;
  run(context: CommandContext, argument: string | undefined): Reply | Promise<Reply>;
}

/** @throws {ClientError} for a name that clients cannot ask for, and for the console's own */
export function checkDatabase({ host }: CommandContext, verb: string, database: string | undefined): void {
  if (database === undefined) return;
  if (CONSOLE_DATABASES.has(database)) {
    throw commandError(`cannot ${verb} admin db: ${database}`, SqlState.objectNotInPrerequisiteState);
  }
  if (database === '*' || host.pooler.entry(database) === undefined) {
    throw commandError(`no such database: ${database}`, SqlState.invalidCatalogName);
  }
}

export function throwIf(error: ClientError | undefined): void {
  if (error !== undefined) throw error;
}
