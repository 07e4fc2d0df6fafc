/**
 * What Describe tells of a statement. PostgreSQL keeps both for as long as the statement is there: parameters have the types that they
 * got first, and a statement that would return other columns fails (0A000). A client may have read them once, and for all times.
 */
import type { BodyReader } from '../protocol/body-reader.ts';
import { FrameWriter } from '../protocol/frame-writer.ts';
import { Backend } from '../protocol/message-types.ts';
import type { PreparedStatement } from './prepared-statements.ts';

/** Of a result whose description is larger than what is held; nobody tells such results apart. */
const UNREAD = 'unread';

/**
 * Takes in a reply to Describe of `statement`: the body of a message of this type; undefined if it is too large. The first one counts.
 * False: it returns other columns here than the first one told. Where that is one time this and one time that, it is nothing to hold to.
 */
export function noteDescription(
  statement: PreparedStatement,
  type: number,
  body: BodyReader | undefined,
): boolean {
  if (type === Backend.parameterDescription) {
    if (body !== undefined && statement.parameterTypes === undefined)
      statement.parameterTypes = Array.from({ length: body.int16() }, () => body.int32());
    return true;
  }
  if (type !== Backend.noData && type !== Backend.rowDescription) return true;
  if (statement.isIndirect) return true;
  const result = type === Backend.noData ? '' : body === undefined ? UNREAD : columnsIn(body);
  statement.result ??= result;
  return statement.result === result;
}

/** Names and types; not which table they are of, nor modifiers of types, which a portal may tell more of than its statement. */
function columnsIn(body: BodyReader): string {
  let columns = '';
  for (let left = body.int16(); left > 0; left--) {
    const name = body.cstring();
    body.bytes(6);
    const type = body.int32();
    body.bytes(8);
    columns += `${name}\0${type}\0`;
  }
  return columns;
}

/** What Parse has to say so that a statement is parsed again as it was, its parameters included. */
export function definitionAgain({ definition, parameterTypes = [] }: PreparedStatement): Buffer {
  if (parameterTypes.length === 0) return definition;
  const writer = new FrameWriter().bytes(definition.subarray(0, definition.indexOf(0) + 1));
  writer.int16(parameterTypes.length);
  for (const type of parameterTypes) writer.int32(type);
  return writer.take();
}
