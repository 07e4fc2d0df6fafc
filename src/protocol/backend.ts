/** Messages that ostler sends to clients, as a server. */
import type { ClientError } from './errors.ts';
import { FrameWriter } from './frame-writer.ts';
import { Backend } from './message-types.ts';
import { SqlState } from './sql-state.ts';

const empty = (type: number): Buffer => new FrameWriter().begin(type).end().take();

export const parseComplete: Buffer = empty(Backend.parseComplete);
export const closeComplete: Buffer = empty(Backend.closeComplete);
export const bindComplete: Buffer = empty(Backend.bindComplete);
export const emptyQueryResponse: Buffer = empty(Backend.emptyQueryResponse);

const authentication = (code: number, data?: Uint8Array): Buffer => {
  const writer = new FrameWriter().begin(Backend.authentication).int32(code);
  if (data !== undefined) writer.bytes(data);
  return writer.end().take();
};

export const authenticationOk = (): Buffer => authentication(0);
export const authenticationCleartext = (): Buffer => authentication(3);
export const authenticationMd5 = (salt: Uint8Array): Buffer => authentication(5, salt);
export const authenticationSaslContinue = (data: Uint8Array): Buffer => authentication(11, data);
export const authenticationSaslFinal = (data: Uint8Array): Buffer => authentication(12, data);

export function authenticationSasl(mechanisms: readonly string[]): Buffer {
  const writer = new FrameWriter().begin(Backend.authentication).int32(10);
  for (const mechanism of mechanisms) writer.cstring(mechanism);
  return writer.uint8(0).end().take();
}

export function writeParameterStatus(writer: FrameWriter, name: string, value: string): void {
  writer.begin(Backend.parameterStatus).cstring(name).cstring(value).end();
}

export function writeBackendKeyData(writer: FrameWriter, processId: number, secret: Uint8Array): void {
  writer.begin(Backend.backendKeyData).int32(processId).bytes(secret).end();
}

export function writeReadyForQuery(writer: FrameWriter, status: number): void {
  writer.begin(Backend.readyForQuery).uint8(status).end();
}

export function readyForQuery(status: number): Buffer {
  const writer = new FrameWriter();
  writeReadyForQuery(writer, status);
  return writer.take();
}

/** The newest minor version spoken and the protocol options that are not known. */
export function negotiateProtocolVersion(version: number, unknownOptions: readonly string[]): Buffer {
  const writer = new FrameWriter()
    .begin(Backend.negotiateProtocolVersion)
    .int32(version)
    .int32(unknownOptions.length);
  for (const option of unknownOptions) writer.cstring(option);
  return writer.end().take();
}

/** https://www.postgresql.org/docs/current/protocol-error-fields.html */
function writeFields(
  writer: FrameWriter,
  type: number,
  fields: readonly (readonly [string, string | undefined])[],
): void {
  writer.begin(type);
  for (const [code, value] of fields) if (value !== undefined) writer.text(code).cstring(value);
  writer.uint8(0).end();
}

function writeErrorResponse(writer: FrameWriter, error: ClientError): void {
  writeFields(writer, Backend.errorResponse, [
    ['S', error.severity],
    ['V', error.severity],
    ['C', error.sqlState],
    ['M', error.message],
    ['D', error.detail],
    ['H', error.hint],
  ]);
}

export function errorResponse(error: ClientError): Buffer {
  const writer = new FrameWriter();
  writeErrorResponse(writer, error);
  return writer.take();
}

export function noticeResponse(
  message: string,
  detail?: string,
  sqlState: SqlState = SqlState.successfulCompletion,
): Buffer {
  const writer = new FrameWriter();
  writeFields(writer, Backend.noticeResponse, [
    ['S', 'NOTICE'],
    ['V', 'NOTICE'],
    ['C', sqlState],
    ['M', message],
    ['D', detail],
  ]);
  return writer.take();
}

export function commandComplete(tag: string): Buffer {
  const writer = new FrameWriter();
  writeCommandComplete(writer, tag);
  return writer.take();
}

export function writeCommandComplete(writer: FrameWriter, tag: string): void {
  writer.begin(Backend.commandComplete).cstring(tag).end();
}
