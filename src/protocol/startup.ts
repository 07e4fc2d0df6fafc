/**
 * The untyped packets that open a connection: StartupMessage, SSLRequest, GSSENCRequest, CancelRequest.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP
 */
import { BodyReader } from './body-reader.ts';
import { ClientError } from './errors.ts';
import { FrameWriter } from './frame-writer.ts';
import { SqlState } from './sql-state.ts';

/** MAX_STARTUP_PACKET_LENGTH of PostgreSQL. */
export const MAX_STARTUP_SIZE = 10_000;

const CODE_CANCEL = 80_877_102;
const CODE_SSL = 80_877_103;
const CODE_GSSENC = 80_877_104;

/** Protocol 3.0, the version that is always spoken; 3.2 differs in the length of cancel keys alone. */
export const PROTOCOL_3_0 = 0x0003_0000;
export const PROTOCOL_3_2 = 0x0003_0002;

export type StartupPacket =
  | { readonly kind: 'ssl' }
  | { readonly kind: 'gssenc' }
  | { readonly kind: 'cancel'; readonly processId: number; readonly secret: Buffer }
  | {
      readonly kind: 'startup';
      /** As asked for, minor version included. */
      readonly version: number;
      /** In the order given; names as the client spelt them. */
      readonly parameters: ReadonlyMap<string, string>;
    };

/**
 * The size of the packet that starts `bytes`, or undefined while its length has not come.
 *
 * @throws {ClientError} 08P01 for a length that no startup packet has
 */
export function startupSize(bytes: Buffer): number | undefined {
  if (bytes.length < 4) return undefined;
  const size = bytes.readInt32BE(0);
  if (size < 8 || size > MAX_STARTUP_SIZE) {
    throw new ClientError(`invalid length of startup packet`, { detail: `It says ${size} bytes.` });
  }
  return size;
}

/**
 * Reads one whole packet.
 *
 * @throws {ClientError} 08P01 when it is none, 0A000 for a protocol that is not spoken
 */
export function parseStartup(packet: Buffer): StartupPacket {
  const reader = new BodyReader(packet, 4);
  const code = reader.int32();
  switch (code) {
    case CODE_SSL:
    case CODE_GSSENC:
      if (reader.remaining > 0) throw new ClientError('invalid length of startup packet');
      return { kind: code === CODE_SSL ? 'ssl' : 'gssenc' };
    case CODE_CANCEL: {
      // 4 bytes of key in protocol 3.0, up to 256 in 3.2.
      if (reader.remaining < 8 || reader.remaining > 260) throw new ClientError('bad cancel request');
      const processId = reader.int32();
      return { kind: 'cancel', processId, secret: Buffer.from(reader.bytes(reader.remaining)) };
    }
    default:
      return parseStartupMessage(code, reader);
  }
}

function parseStartupMessage(version: number, reader: BodyReader): StartupPacket {
  const major = version >>> 16;
  if (major === 2)
    throw new ClientError('old V2 protocol not supported', { sqlState: SqlState.featureNotSupported });
  if (major !== 3) {
    throw new ClientError(
      `unsupported frontend protocol ${major}.${version & 0xffff}: ostler supports 3.0 to 3.2`,
      {
        sqlState: SqlState.featureNotSupported,
      },
    );
  }
  const parameters = new Map<string, string>();
  for (;;) {
    if (reader.remaining === 0) throw badLayout();
    const name = reader.cstring();
    if (name === '') break;
    if (reader.remaining === 0) throw badLayout();
    parameters.set(name, reader.cstring());
  }
  if (reader.remaining > 0) throw badLayout();
  return { kind: 'startup', version, parameters };
}

const badLayout = (): ClientError =>
  new ClientError('invalid startup packet layout: expected terminator as last byte');

/** The StartupMessage that opens a session on a server. */
export function startupMessage(parameters: Iterable<readonly [string, string]>): Buffer {
  const writer = new FrameWriter().beginUntyped().int32(PROTOCOL_3_0);
  for (const [name, value] of parameters) writer.cstring(name).cstring(value);
  return writer.uint8(0).end().take();
}

export const sslRequest = (): Buffer => new FrameWriter().beginUntyped().int32(CODE_SSL).end().take();

/** Asks a server, on a connection of its own, to cancel what the session with this key runs. */
export const cancelRequest = (processId: number, secret: Uint8Array): Buffer =>
  new FrameWriter().beginUntyped().int32(CODE_CANCEL).int32(processId).bytes(secret).end().take();
