/**
 * Where each key of a TOML text was written. The `toml` package gives values only; its parser knows the offset of every
 * key, so the text is parsed a second time for them.
 */
import type { TomlNode } from 'toml/lib/parser.js';
import parser from 'toml/lib/parser.js';

export interface Position {
  readonly line: number;
  readonly column: number;
}

/** Positions by path; of a table that is written in several places, the first. Throws as `toml.parse` does. */
export function positionsIn(text: string): (path: readonly string[]) => Position | undefined {
  const offsets = new Map<string, number>();
  const note = (path: readonly string[], offset: number): void => {
    for (let length = 1; length <= path.length; length++) {
      const key = JSON.stringify(path.slice(0, length));
      if (!offsets.has(key)) offsets.set(key, offset);
    }
  };
  const visit = (prefix: readonly string[], node: TomlNode): void => {
    const path = [...prefix, ...(node.key ?? [])];
    note(path, node.offset);
    if (!isNode(node.value) || node.value.type !== 'InlineTable' || !Array.isArray(node.value.value)) return;
    for (const inner of node.value.value.filter(isNode)) visit(path, inner);
  };

  let table: readonly string[] = [];
  for (const node of parser.parse(text)) {
    if (node.key === undefined && Array.isArray(node.value)) {
      table = node.value.map(String);
      note(table, node.offset);
    } else {
      visit(table, node);
    }
  }
  return (path) => {
    const offset = offsets.get(JSON.stringify(path));
    return offset === undefined ? undefined : positionAt(text, offset);
  };
}

function positionAt(text: string, offset: number): Position {
  const before = text.slice(0, offset);
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') };
}

function isNode(value: unknown): value is TomlNode {
  return (
    typeof value === 'object' && value !== null && 'type' in value && 'offset' in value && 'value' in value
  );
}
