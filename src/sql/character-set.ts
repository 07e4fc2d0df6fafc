/**
 * How long characters are in those client encodings whose later bytes may look like ASCII. In all others a byte below 0x80 is
 * that ASCII character wherever it stands. Quotes, `$`, `*`, `-`, `/` and `;` are no later bytes in any encoding.
 */
export const CharacterSet = {
  /** Byte by byte is right. */
  plain: 0,
  shiftJis: 1,
  twoBytes: 2,
  gb18030: 3,
  /** One of all these. */
  unknown: 4,
} as const;
export type CharacterSet = (typeof CharacterSet)[keyof typeof CharacterSet];

const sets = new Map<string, CharacterSet>([
  ['SJIS', CharacterSet.shiftJis],
  ['SHIFT_JIS_2004', CharacterSet.shiftJis],
  ['BIG5', CharacterSet.twoBytes],
  ['GBK', CharacterSet.twoBytes],
  ['UHC', CharacterSet.twoBytes],
  ['GB18030', CharacterSet.gb18030],
]);

/** `encoding` as PostgreSQL reports client_encoding. */
export function characterSetOf(encoding: string | undefined): CharacterSet {
  if (encoding === 'UTF8') return CharacterSet.plain;
  return encoding === undefined ? CharacterSet.unknown : (sets.get(encoding) ?? CharacterSet.plain);
}

/** The length of the character that begins at `at` with a byte from 0x80 on; 1 where byte by byte is right. */
export function lengthOfCharacter(set: CharacterSet, bytes: Buffer, at: number): number {
  if (set === CharacterSet.plain || set === CharacterSet.unknown) return 1;
  const first = bytes[at] ?? 0;
  if (set === CharacterSet.shiftJis) return first >= 0xa1 && first <= 0xdf ? 1 : 2;
  if (set === CharacterSet.twoBytes) return 2;
  const second = bytes[at + 1] ?? 0;
  return second >= 0x30 && second <= 0x39 ? 4 : 2;
}

/** Whether the byte could be the second one of a character, and something else if it were none. */
export const maybeSecondByte = (byte: number): boolean =>
  byte === 0x40 || (byte >= 0x5b && byte <= 0x5e) || byte === 0x60 || (byte >= 0x7b && byte <= 0x7e);
