/** SQL that drops prepared statements: DEALLOCATE and DISCARD ALL, where it is all that a text says. */

/** The name in a DEALLOCATE, with its quotes from byte `start` to byte `end` of the text. */
export interface Deallocation {
  readonly start: number;
  readonly end: number;
  /** As PostgreSQL understands it: without quotes, else in lower case. Its bytes as Latin-1. */
  readonly name: string;
}

/** Longer than any name that counts, and what may be around it. */
const MAX_TEXT = 1024;

/** Nearly every statement that drops nothing is told apart by its first letter. */
function mayDrop(bytes: Buffer, at: number): boolean {
  const first = bytes[at] ?? 0;
  return first === 0x44 || first === 0x64 || first <= 0x20;
}

/** Whether the zero-terminated SQL in `bytes` from `at` to `end` or before is DISCARD ALL or DEALLOCATE ALL and nothing else. */
export const forgetsAll = (bytes: Buffer, at: number, end: number): boolean =>
  mayDrop(bytes, at) && dropsAll.test(bytes.toString('latin1', at, Math.min(end, at + 64)));
const dropsAll = /^[ \t\n\r\f]*(?:discard|deallocate(?:[ \t\n\r\f]+prepare)?)[ \t\n\r\f]+all[ \t\n\r\f;]*\0/i;

/** What that SQL deallocates, if it is one DEALLOCATE of one name and nothing else. */
export function deallocationIn(bytes: Buffer, at: number, end: number): Deallocation | undefined {
  if (!mayDrop(bytes, at)) return undefined;
  const found = dropsOne.exec(bytes.toString('latin1', at, Math.min(end, at + MAX_TEXT)));
  const [, before, quoted, plain] = found ?? [];
  if (before === undefined) return undefined;
  const written = quoted ?? plain ?? '';
  const name =
    quoted === undefined
      ? written.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
      : written.slice(1, -1).replaceAll('""', '"');
  if (quoted === undefined && name === 'all') return undefined;
  return { start: before.length, end: before.length + written.length, name };
}
const dropsOne =
  // oxlint-disable-next-line no-control-regex -- the zero ends the text
  /^([ \t\n\r\f]*deallocate[ \t\n\r\f]+(?:prepare[ \t\n\r\f]+)?)(?:("(?:[^"\0]|"")+")|([a-z_\x80-\xff][\w$\x80-\xff]*))[ \t\n\r\f;]*\0/i;
