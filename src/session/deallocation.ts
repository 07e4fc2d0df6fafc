/** SQL that drops prepared statements: DEALLOCATE and DISCARD ALL, where it is all that a text says. */
import { hintsOf, type Lexing } from '../sql/hints.ts';

/** Longer than any name that counts, and what may be around it. */
const MAX_TEXT = 1024;

/** Nearly every statement that drops nothing is told apart by its first letter; a comment may come first. */
function mayDrop(bytes: Buffer, at: number): boolean {
  const first = bytes[at] ?? 0;
  return first === 0x44 || first === 0x64 || first <= 0x20 || first === 0x2d || first === 0x2f;
}

/** Whether the zero-terminated SQL in `bytes` from `at` to `end` or before is DISCARD ALL or DEALLOCATE ALL and nothing else. */
export const forgetsAll = (bytes: Buffer, at: number, end: number): boolean =>
  mayDrop(bytes, at) && dropsAll.test(bytes.toString('latin1', at, Math.min(end, at + 64)));
const dropsAll = /^[ \t\n\r\f]*(?:discard|deallocate(?:[ \t\n\r\f]+prepare)?)[ \t\n\r\f]+all[ \t\n\r\f;]*\0/i;

/** The name that this SQL deallocates, as PostgreSQL understands it, if it is one DEALLOCATE of one name and nothing else. Its bytes as Latin-1, all of them. */
export function deallocationIn(bytes: Buffer, at: number, end: number): string | undefined {
  if (!mayDrop(bytes, at)) return undefined;
  const textEnd = bytes.subarray(at, Math.min(end, at + MAX_TEXT)).indexOf(0);
  if (textEnd < 0) return undefined;
  const { isSingle, deallocated } = hintsOf(bytes, at, at + textEnd, anyLexing);
  return isSingle ? deallocated[0] : undefined;
}
/** A text in which it matters is none that says just this. */
const anyLexing: Lexing = { standardConformingStrings: true, encoding: 'UTF8' };
