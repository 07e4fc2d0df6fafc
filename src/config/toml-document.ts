/** TOML text → Document, or what is wrong with its shape. */
import toml from 'toml';
import { z } from 'zod';

import type { Complain, Outside } from './interpolate.ts';
import { interpolate } from './interpolate.ts';
import { Document } from './document.ts';
import type { Section } from './document.ts';
import { positionsIn } from './positions.ts';
import type { Origin, Report } from './problem.ts';
import { didYouMean } from './suggest.ts';

const sections = ['ostler', 'databases', 'users'] as const;

/** What does not fit is reported; the rest is in the document, so that the rest can be checked as well. */
export function readToml(text: string, file: string, outside: Outside, report: Report): Document {
  const document = new Document({ file });
  let tree: unknown;
  let find: ReturnType<typeof positionsIn>;
  try {
    tree = toml.parse(text);
    find = positionsIn(text);
  } catch (error) {
    const { message, ...place } = syntaxProblem(error);
    report({ file, ...place }, message);
    return document;
  }
  const originOf = (path: readonly string[]): Origin => ({ file, ...find(path) });
  const fill = (section: Section, table: object, path: readonly string[]): void => {
    for (const [key, value] of Object.entries(table)) {
      const origin = originOf([...path, key]);
      const complaints: string[] = [];
      const read = interpolated(value, outside, (message) => complaints.push(message));
      for (const message of complaints) report(origin, `${[...path, key].join('.')}: ${message}`);
      if (complaints.length === 0) section.set(key, read, origin);
      else section.setUnreadable(key, origin);
    }
  };

  for (const [name, value] of Object.entries(isTable(tree) ? tree : {})) {
    const kind = sections.find((section) => section === name);
    if (kind === undefined && !isTable(value))
      report(originOf([name]), `"${name}" is in no section`, 'settings go below [ostler]');
    else if (kind === undefined) report(originOf([name]), `unknown section "${name}"`, sectionHint(name));
    else if (!isTable(value)) report(originOf([name]), `"${name}" must be a section: [${name}]`);
    else if (kind === 'ostler') fill(document.ostler, value, [kind]);
    else {
      for (const [entry, table] of Object.entries(value)) {
        const origin = originOf([kind, entry]);
        if (isTable(table)) fill(document.entry(kind, entry, origin), table, [kind, entry]);
        else report(origin, `"${kind}.${entry}" must be a section: [${kind}.${tomlKey(entry)}]`);
      }
    }
  }
  return document;
}

/** A name as TOML writes it in a header. */
export function tomlKey(name: string): string {
  return /^[\w-]+$/.test(name) ? name : JSON.stringify(name);
}

function sectionHint(name: string): string | undefined {
  return name === 'pgbouncer' ? "PgBouncer's settings are in [ostler] here" : didYouMean(name, sections);
}

function interpolated(value: unknown, outside: Outside, complain: Complain): unknown {
  if (typeof value === 'string') return interpolate(value, outside, complain);
  if (Array.isArray(value)) return value.map((item) => interpolated(item, outside, complain));
  return value;
}

function isTable(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

const place = z.object({ line: z.number(), column: z.number() });
const syntaxError = z.object({ location: z.object({ start: place }), found: z.string().nullable() });
const semanticError = place.extend({ message: z.string() });

/** The parser's texts quote what they found, which may be a password without its quotes: only those on keys are kept. */
function syntaxProblem(error: unknown): { message: string; line?: number; column?: number } {
  const syntax = syntaxError.safeParse(error);
  if (syntax.success) {
    const { found, location } = syntax.data;
    const what =
      found === null
        ? 'the file ends too early'
        : /[\r\n]/.test(found)
          ? 'the line ends too early'
          : 'not TOML';
    return { message: `syntax error: ${what} (text needs quotes, a section is [name])`, ...location.start };
  }
  const semantic = semanticError.safeParse(error);
  if (!semantic.success) return { message: 'cannot be read as TOML' };
  const { message, line, column } = semantic.data;
  const safe = /^Cannot (redefine|extend|use|append)/.test(message);
  return {
    message: safe ? message.replace(/\.$/, '') : 'a number, date or escape sequence is not valid',
    line,
    column,
  };
}
