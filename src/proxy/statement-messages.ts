/** Messages about prepared statements, with the names that statements have on servers, and errors with those that their clients know. */
import { errorResponse, noticeResponse } from '../protocol/backend.ts';
import type { ErrorFields } from '../protocol/error-fields.ts';
import { ClientError } from '../protocol/errors.ts';
import { FrameWriter } from '../protocol/frame-writer.ts';
import { writeClose } from '../protocol/frontend.ts';
import { Backend, Frontend, HEADER_SIZE } from '../protocol/message-types.ts';
import { SqlState } from '../protocol/sql-state.ts';
import {
  givenName,
  type PreparedStatement,
  type SharedStatements,
  statementKey,
} from '../session/prepared-statements.ts';
import type { ServerStatements } from '../session/server-statements.ts';
import type { NamedStatement } from '../session/statement-changes.ts';

/** Where statements are. */
interface StatementPlace {
  readonly statements: ServerStatements;
  readonly shared: SharedStatements;
}

/** Errors whose text names a statement. */
const namingErrors: ReadonlySet<string> = new Set([
  SqlState.protocolViolation,
  SqlState.undefinedStatement,
  SqlState.duplicateStatement,
]);

export const parseBytes = ({ name, definition }: PreparedStatement): Buffer => parseAs(name, definition);

/** Parse under another name. */
export const parseAs = (name: string, definition: Buffer): Buffer =>
  new FrameWriter().begin(Frontend.parse).cstring(name).bytes(definition).end().take();

export const closeBytes = ({ name }: PreparedStatement): Buffer => closeAs(name);

export function closeAs(name: string): Buffer {
  const writer = new FrameWriter();
  writeClose(writer, 'S', name);
  return writer.take();
}

export const describeBytes = ({ name }: PreparedStatement): Buffer =>
  new FrameWriter().begin(Frontend.describe).text('S').cstring(name).end().take();

/**
 * The frame from `start` to `end` with another name where one is, from `nameAt` to `nameEnd` (its zero included). The new name is one of
 * ours, of ASCII.
 */
export function withName(
  chunk: Buffer,
  start: number,
  end: number,
  nameAt: number,
  nameEnd: number,
  name: string,
): Buffer {
  const size = nameAt - start + name.length + 1 + end - nameEnd;
  const frame = Buffer.allocUnsafe(size);
  let at = chunk.copy(frame, 0, start, nameAt);
  at += frame.write(name, at, 'latin1');
  at = frame.writeUInt8(0, at);
  chunk.copy(frame, at, nameEnd, end);
  frame.writeInt32BE(size - 1, 1);
  return frame;
}

/** An error of `server` about a statement that its client calls `named.name`, as the client is to see it; undefined: as it is. */
export function errorAbout(
  named: NamedStatement,
  server: StatementPlace,
  chunk: Buffer,
  start: number,
  end: number,
  fields: ErrorFields,
): Buffer | undefined {
  const { sqlState, message } = fields;
  // By a change that no tag has shown: what is prepared from now on is not to be taken from what there is.
  if (saysResultChanged(fields)) server.shared.schema.changed();
  // It is gone: dropped by a function or DO.
  if (sqlState === SqlState.undefinedStatement) server.statements.retire(named.statement);
  if (named.refusal !== undefined && sqlState === SqlState.undefinedStatement) return named.refusal;
  if (!namingErrors.has(sqlState)) return undefined;
  const [found] = givenName.exec(message) ?? [];
  if (found === undefined) return undefined;
  const body = chunk.subarray(start + HEADER_SIZE, end);
  const at = body.indexOf(found, 0, 'latin1');
  return new FrameWriter()
    .begin(Backend.errorResponse)
    .bytes(body.subarray(0, at))
    .bytes(Buffer.from(named.name, 'latin1'))
    .bytes(body.subarray(at + found.length))
    .end()
    .take();
}

/** To who has been told of other columns than `told` returns now, in answer to a message of this type. */
export function resultChanged(type: number, { parameterTypes }: PreparedStatement): Buffer {
  // Parameters are as they were, and PostgreSQL tells them first.
  if (type !== Frontend.describe || parameterTypes === undefined) return changed;
  const writer = new FrameWriter().begin(Backend.parameterDescription).int16(parameterTypes.length);
  for (const parameterType of parameterTypes) writer.int32(parameterType);
  return Buffer.concat([writer.end().take(), changed]);
}
const changed = errorResponse(
  new ClientError('cached plan must not change result type', {
    severity: 'ERROR',
    sqlState: SqlState.featureNotSupported,
  }),
);

/** To who prepares more than one client may have: so many bytes in `count` statements, of `limit`. */
export const tooMany = (count: number, bytes: number, limit: number): Buffer =>
  errorResponse(
    new ClientError('too many prepared statements for one client', {
      severity: 'ERROR',
      sqlState: SqlState.configurationLimitExceeded,
      detail: `With this one its ${count} statements would take ${bytes} bytes, of ${limit} (max_prepared_statement_bytes).`,
      hint: 'Close what is not needed any more, or use the unnamed statement.',
    }),
  );

/** To who names a statement with a Parse of `size` bytes, which is too many. */
export const tooLarge = (size: number): Buffer =>
  errorResponse(
    new ClientError('named prepared statement is too large to be shared', {
      severity: 'ERROR',
      sqlState: SqlState.programLimitExceeded,
      detail: `Its definition has ${size} bytes.`,
      hint: 'Use the unnamed statement, or session pooling.',
    }),
  );

/** To who writes more of a name in SQL than counts. */
export const truncated = (name: string): Buffer =>
  noticeResponse(
    `identifier "${name}" will be truncated to "${statementKey(name)}"`,
    undefined,
    SqlState.nameTooLong,
  );

/** Whether PostgreSQL has found that a statement returns other columns now than when it was parsed. */
const saysResultChanged = ({ sqlState, routine }: ErrorFields): boolean =>
  sqlState === SqlState.featureNotSupported && routine === 'RevalidateCachedQuery';
