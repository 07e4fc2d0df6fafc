/** Messages of a frontend as bytes, and replies of a backend as text that can be compared. */
import { BodyReader } from '../../src/protocol/body-reader.ts';
import { parseErrorFields } from '../../src/protocol/error-fields.ts';
import { FrameWriter } from '../../src/protocol/frame-writer.ts';

/** A message with this type letter, whatever its body. */
export function message(type: string, build: (writer: FrameWriter) => unknown = () => undefined): Buffer {
  const writer = new FrameWriter().begin(type.charCodeAt(0));
  build(writer);
  return writer.end().take();
}

export const query = (sql: string): Buffer => message('Q', (writer) => writer.cstring(sql));

export const parse = (name: string, sql: string, types: readonly number[] = []): Buffer =>
  message('P', (writer) => {
    writer.cstring(name).cstring(sql).int16(types.length);
    for (const type of types) writer.int32(type);
  });

export type Value = string | Buffer | null;

export interface BindOptions {
  readonly portal?: string;
  readonly statement?: string;
  readonly values?: readonly Value[];
}

export const bind = ({ portal = '', statement = '', values = [] }: BindOptions = {}): Buffer =>
  message('B', (writer) => {
    writer.cstring(portal).cstring(statement).int16(0).int16(values.length);
    for (const value of values) {
      if (value === null) writer.int32(-1);
      else writer.int32(Buffer.byteLength(value)).bytes(Buffer.from(value));
    }
    writer.int16(0);
  });

export const describeStatement = (name = ''): Buffer =>
  message('D', (writer) => writer.text('S').cstring(name));
export const describePortal = (name = ''): Buffer => message('D', (writer) => writer.text('P').cstring(name));
export const execute = (portal = '', maxRows = 0): Buffer =>
  message('E', (writer) => writer.cstring(portal).int32(maxRows));
export const closeStatement = (name = ''): Buffer => message('C', (writer) => writer.text('S').cstring(name));
export const closePortal = (name = ''): Buffer => message('C', (writer) => writer.text('P').cstring(name));
export const sync: Buffer = message('S');
export const flush: Buffer = message('H');
export const copyData = (text: string): Buffer => message('d', (writer) => writer.text(text));
export const copyDone: Buffer = message('c');
export const copyFail = (reason: string): Buffer => message('f', (writer) => writer.cstring(reason));
export const terminate: Buffer = message('X');

/** Calls a function by its OID with text arguments, for a text result. */
export const functionCall = (oid: number, values: readonly string[] = []): Buffer =>
  message('F', (writer) => {
    writer.int32(oid).int16(0).int16(values.length);
    for (const value of values) writer.int32(Buffer.byteLength(value)).text(value);
    writer.int16(0);
  });

/** Parse, Bind and Execute of the unnamed statement; no Sync. */
export const run = (sql: string, values: readonly Value[] = []): Buffer =>
  Buffer.concat([parse('', sql), bind({ values }), execute()]);

/** Bind and Execute of a named statement; no Sync. */
export const runNamed = (statement: string, values: readonly Value[] = []): Buffer =>
  Buffer.concat([bind({ statement, values }), execute()]);

export const startup = (parameters: Readonly<Record<string, string>>, version = 0x0003_0000): Buffer => {
  const writer = new FrameWriter().beginUntyped().int32(version);
  for (const [name, value] of Object.entries(parameters)) writer.cstring(name).cstring(value);
  return writer.uint8(0).end().take();
};

export const sslRequest: Buffer = new FrameWriter().beginUntyped().int32(80_877_103).end().take();

export interface CancelKey {
  readonly processId: number;
  readonly secret: Buffer;
}

export const cancelRequest = ({ processId, secret }: CancelKey): Buffer =>
  new FrameWriter().beginUntyped().int32(80_877_102).int32(processId).bytes(secret).end().take();

/** One message of a backend; `type` is its letter. */
export interface Reply {
  readonly type: string;
  readonly body: Buffer;
}

/** A reply on one line: its letter, then what matters of it. Equal replies give equal lines. */
export function told({ type, body }: Reply): string {
  switch (type) {
    case 'Z':
      return `Z ${body.toString('latin1')}`;
    case 'C':
      return `C ${body.toString('latin1', 0, body.length - 1)}`;
    case 'E':
    case 'N': {
      const { sqlState, message: text } = parseErrorFields(body, 0, body.length);
      return `${type} ${sqlState} ${text}`;
    }
    case 'D':
      return `D ${rowOf(body)
        .map((value) => value ?? 'NULL')
        .join('|')}`;
    case 'T':
      return `T ${columnsOf(body).join('|')}`;
    case 'S':
      return `S ${body.toString('utf8', 0, body.length - 1).replace('\0', '=')}`;
    case 'd':
      return `d ${body.toString('utf8')}`;
    default:
      return body.length === 0 ? type : `${type} ${body.toString('hex')}`;
  }
}

/** The values of a DataRow. */
export function rowOf(body: Buffer): (string | null)[] {
  const reader = new BodyReader(body);
  return Array.from({ length: reader.int16() }, () => {
    const length = reader.int32();
    return length < 0 ? null : reader.bytes(length).toString('utf8');
  });
}

/** Names and types of a RowDescription. */
function columnsOf(body: Buffer): string[] {
  const reader = new BodyReader(body);
  return Array.from({ length: reader.int16() }, () => {
    const name = reader.cstring();
    reader.bytes(6);
    const type = reader.int32();
    reader.bytes(8);
    return `${name}:${String(type)}`;
  });
}

/** All values of all rows among `replies`, as one list. */
export const valuesOf = (replies: readonly Reply[]): (string | null)[] =>
  replies.filter(({ type }) => type === 'D').flatMap(({ body }) => rowOf(body));

/** The SQLSTATEs of all errors among `replies`. */
export const errorsOf = (replies: readonly Reply[]): string[] =>
  replies
    .filter(({ type }) => type === 'E')
    .map(({ body }) => parseErrorFields(body, 0, body.length).sqlState);
