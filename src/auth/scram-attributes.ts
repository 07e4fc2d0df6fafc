/**
 * The grammar that all SCRAM messages share (RFC 5802 §5.1, §7): `letter=value` parts between commas, values without comma or NUL.
 * Messages are handled as latin1 text, one character a byte, because both sides sign their exact bytes.
 */

export const SCRAM_SHA_256 = 'SCRAM-SHA-256';
export const SCRAM_SHA_256_PLUS = 'SCRAM-SHA-256-PLUS';

/** 18 bytes make 24 characters, without padding: what PostgreSQL uses. */
export const NONCE_BYTES = 18;

/** The parts of a message; undefined if it cannot be one. */
export function partsOf(message: Buffer): string[] | undefined {
  return message.includes(0) ? undefined : message.toString('latin1').split(',');
}

/** The value of `letter=value`; undefined if the part is missing or is another one. */
export function valueOf(part: string | undefined, letter: string): string | undefined {
  return part?.startsWith(`${letter}=`) === true ? part.slice(2) : undefined;
}

/** Printable ASCII without the comma. */
export const isNonce = (text: string): boolean => /^[\x21-\x2b\x2d-\x7e]+$/.test(text);

/** Extensions that may be ignored: all but the mandatory one, `m=`. */
export const areOptional = (parts: readonly string[]): boolean =>
  parts.every((part) => /^[A-Za-ln-z]=./s.test(part));

export const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1');
