/**
 * What strings say, which may be the body of a DO or a text that a function runs: DDL, and names of custom settings. Nothing lists the custom settings of
 * a session, so that one whose name is not seen anywhere would be lost. Others need no name: everything that is set is asked for.
 */

/** So much of a text is looked through, in bytes. */
const MAX_TEXT = 65_536;
const MAX_FOUND = 50;

const name = String.raw`([a-z_][\w$]*(?:\.[a-z_][\w$]*)+)`;
const patterns = [
  new RegExp(String.raw`\b(?:set|reset)\s+(?:session\s+)?${name}`, 'gi'),
  new RegExp(String.raw`\bset_config\s*\(\s*'+${name}'`, 'gi'),
];

const definition = /\b(?:create|alter|drop)\s/i;

/** Whether what is in its strings may change a schema. */
export const definesInside = (bytes: Buffer, start: number, end: number): boolean =>
  definition.test(bytes.toString('latin1', start, Math.min(end, start + MAX_TEXT)));

/** In lower case. What is no setting does no harm: it has no value. */
export function customNamesIn(bytes: Buffer, start: number, end: number): string[] {
  const text = bytes.toString('latin1', start, Math.min(end, start + MAX_TEXT));
  const names = new Set<string>();
  for (const pattern of patterns) {
    for (const found of text.matchAll(pattern)) {
      if (names.size < MAX_FOUND) names.add((found[1] ?? '').toLowerCase());
    }
  }
  return [...names];
}
