/** Base64 (RFC 4648) by the letter: `Buffer.from(text, 'base64')` skips what it does not know, which authentication must not. */

/** The bytes, or undefined unless `text` is exactly what encoding them gives. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}
