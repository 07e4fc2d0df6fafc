/**
 * The fields of an ErrorResponse or NoticeResponse from a server.
 * https://www.postgresql.org/docs/current/protocol-error-fields.html
 */
import { BodyReader } from './body-reader.ts';
import { ClientError } from './errors.ts';
import { SqlState } from './sql-state.ts';

export interface ErrorFields {
  /** Not localized: ERROR, FATAL, PANIC, NOTICE, … */
  readonly severity: string;
  readonly sqlState: string;
  readonly message: string;
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  /** The function of PostgreSQL's that has raised it: the same in whatever language the message is. */
  readonly routine: string | undefined;
}

/** Reads a body (no header) from `start` to `end`; what is missing or cut off becomes empty, nothing throws. */
export function parseErrorFields(bytes: Buffer, start: number, end: number): ErrorFields {
  const fields = new Map<string, string>();
  const reader = new BodyReader(bytes, start, end);
  try {
    while (reader.remaining > 0) {
      const code = reader.uint8();
      if (code === 0) break;
      fields.set(String.fromCharCode(code), reader.cstring());
    }
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
  }
  return {
    severity: fields.get('V') ?? fields.get('S') ?? 'ERROR',
    sqlState: fields.get('C') ?? SqlState.internalError,
    message: fields.get('M') ?? '',
    detail: fields.get('D'),
    hint: fields.get('H'),
    routine: fields.get('R'),
  };
}

/** The server's error, to be handed to a client as the end of its session. */
export const fatalFrom = (fields: ErrorFields): ClientError =>
  new ClientError(fields.message, {
    sqlState: fields.sqlState,
    detail: fields.detail,
    hint: fields.hint,
  });
