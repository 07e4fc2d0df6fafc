/** Messages that ostler sends to servers, as a frontend. */
import { FrameWriter } from './frame-writer.ts';
import { Frontend } from './message-types.ts';

/** A simple query. It destroys the session's unnamed statement. */
export const query = (sql: string): Buffer =>
  new FrameWriter().begin(Frontend.query).cstring(sql).end().take();

export const password = (body: Uint8Array): Buffer =>
  new FrameWriter().begin(Frontend.password).bytes(body).end().take();

export const sync = (): Buffer => new FrameWriter().begin(Frontend.sync).end().take();

export const flush = (): Buffer => new FrameWriter().begin(Frontend.flush).end().take();

export const terminate = (): Buffer => new FrameWriter().begin(Frontend.terminate).end().take();

export const copyFail = (reason: string): Buffer =>
  new FrameWriter().begin(Frontend.copyFail).cstring(reason).end().take();

/** Parse, with the types of its parameters left to the server unless given. */
export function writeParse(
  writer: FrameWriter,
  name: string,
  sql: string | Uint8Array,
  types: readonly number[] = [],
): void {
  writer.begin(Frontend.parse).cstring(name).cstring(sql).int16(types.length);
  for (const type of types) writer.int32(type);
  writer.end();
}

/** Bind of the unnamed portal, every parameter and result as text; then Execute to the end. */
export function writeBindExecute(
  writer: FrameWriter,
  statement: string,
  values: readonly (string | null)[],
): void {
  writer.begin(Frontend.bind).cstring('').cstring(statement).int16(0).int16(values.length);
  for (const value of values) {
    if (value === null) writer.int32(-1);
    else writer.int32(Buffer.byteLength(value)).text(value);
  }
  writer.int16(0).end();
  writer.begin(Frontend.execute).cstring('').int32(0).end();
}

/** Close of a statement ('S') or portal ('P'); closing what does not exist is no error. */
export function writeClose(writer: FrameWriter, kind: 'S' | 'P', name: string): void {
  writer.begin(Frontend.close).text(kind).cstring(name).end();
}
