/** Hints of a text: the one way into this folder. */
import { Hint, type StatementHints } from './hint.ts';
import { customNamesIn, definesInside } from './inner-names.ts';
import { Lexer, type Lexing } from './lexer.ts';
import { StatementReader } from './statement-reader.ts';

export { Hint, noHints, opaqueHints, pinHints, type StatementHints } from './hint.ts';
export type { Lexing } from './lexer.ts';
export { countsInParsing } from './setting-names.ts';

/** The hints of a text that comes in pieces. What is kept of it is small, however long the text. */
export class HintScanner {
  readonly #reader = new StatementReader();
  readonly #lexer = new Lexer(this.#reader);
  /** The end of what was fed that has to be seen again with the next piece. */
  #rest: Buffer | undefined;

  constructor(lexing: Lexing) {
    this.#lexer.reset(lexing);
  }

  /** The next piece: `bytes` from `start` to `end`. */
  feed(bytes: Buffer, start: number, end: number): void {
    const rest = this.#rest;
    if (rest === undefined) {
      this.#scan(bytes, start, end);
    } else {
      const joined = Buffer.concat([rest, bytes.subarray(start, end)]);
      this.#scan(joined, 0, joined.length);
    }
  }

  /** After the last piece. */
  finish(): StatementHints {
    const rest = this.#rest;
    if (rest !== undefined) {
      this.#lexer.scan(rest, 0, rest.length, true);
    }
    return this.#reader.finish();
  }

  #scan(bytes: Buffer, start: number, end: number): void {
    const at = this.#lexer.scan(bytes, start, end, false);
    this.#reader.keep();
    this.#rest = at < end ? Buffer.from(bytes.subarray(at, end)) : undefined;
  }
}

// One is enough: a text is read from its beginning to its end before anything else happens.
const reader = new StatementReader();
const lexer = new Lexer(reader);

/** The hints of the text in `bytes` from `start` to `end`, without the zero that ends it. */
export function hintsOf(bytes: Buffer, start: number, end: number, lexing: Lexing): StatementHints {
  reader.reset();
  lexer.reset(lexing);
  lexer.scan(bytes, start, end, true);
  return reader.finish();
}

/** The same, and where anything may be run, what its strings seem to define, and the custom settings that they seem to name. */
export function hintsOfWhole(bytes: Buffer, start: number, end: number, lexing: Lexing): StatementHints {
  const hints = hintsOf(bytes, start, end, lexing);
  if ((hints.bits & Hint.opaque) === 0) return hints;
  const inside = customNamesIn(bytes, start, end);
  const named = inside.length === 0 ? 0 : Hint.settings;
  const defined = definesInside(bytes, start, end) ? Hint.innerDefinition : 0;
  if ((named | defined) === 0) return hints;
  return { ...hints, bits: hints.bits | named | defined, names: [...new Set([...hints.names, ...inside])] };
}
