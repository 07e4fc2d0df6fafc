/**
 * How long characters are in those client encodings whose second bytes may look like ASCII. In all others a byte below 0x80 is
 * that ASCII character wherever it stands. Quotes, `$`, `*`, `-`, `/` and `;` are no second bytes in any encoding.
 */
export const CharacterSet = {
  /** Byte by byte is right. */
  plain: 0,
  shiftJis: 1,
  /** The four bytes that GB18030 also has are twice two. */
  twoBytes: 2,
  /** One of all these. */
  unknown: 3,
} as const;
export type CharacterSet = (typeof CharacterSet)[keyof typeof CharacterSet];

const sets = new Map<string, CharacterSet>([
  ['SJIS', CharacterSet.shiftJis],
  ['SHIFT_JIS_2004', CharacterSet.shiftJis],
  ['BIG5', CharacterSet.twoBytes],
  ['GBK', CharacterSet.twoBytes],
  ['UHC', CharacterSet.twoBytes],
  ['GB18030', CharacterSet.twoBytes],
]);

/** `encoding` as PostgreSQL reports client_encoding. */
export function characterSetOf(encoding: string | undefined): CharacterSet {
  if (encoding === 'UTF8') return CharacterSet.plain;
  return encoding === undefined ? CharacterSet.unknown : (sets.get(encoding) ?? CharacterSet.plain);
}

/** The length of a character by its first byte, which is 0x80 or more; 1 where byte by byte is right. */
export function lengthOfCharacter(set: CharacterSet, first: number): number {
  if (set === CharacterSet.twoBytes) return 2;
  // Half-width katakana are one byte.
  return set === CharacterSet.shiftJis && (first < 0xa1 || first > 0xdf) ? 2 : 1;
}

/** Whether the byte could be the second one of a character, and something else if it were none. */
export const maybeSecondByte = (byte: number): boolean =>
  byte === 0x40 || (byte >= 0x5b && byte <= 0x5e) || byte === 0x60 || (byte >= 0x7b && byte <= 0x7e);
