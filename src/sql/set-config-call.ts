/**
 * Follows the arguments of one call of set_config(name, value, is_local), token by token from behind its "(".
 *
 * Only two shapes count: a name that is one plain string, and `true` as the whole of the third argument, by which nothing
 * lasts. Named arguments, casts, concatenations and parameters are no such shape.
 */

const COMMA = 0x2c;
const OPENING = new Set([0x28, 0x5b]);
const CLOSING = new Set([0x29, 0x5d]);

export class SetConfigCall {
  #depth = 0;
  #argument = 1;
  /** Of the argument that is being read. */
  #tokens = 0;
  #text: string | undefined;
  #isTrue = false;

  #name: string | undefined;
  #isOfRows = false;
  #value: string | undefined;
  #local = false;
  #ended = false;

  /** The ")" has come. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The setting that is named; undefined if it could not be read. */
  get name(): string | undefined {
    return this.#name;
  }

  /** The name may be another one for each row. */
  get hasManyNames(): boolean {
    return this.#isOfRows;
  }

  /** The value may be NULL, which resets. */
  get mayReset(): boolean {
    return this.#value === undefined;
  }

  /** It surely lasts no longer than its transaction. */
  get local(): boolean {
    return this.#local;
  }

  /** A string; undefined if its content is not plain. */
  literal(text: string | undefined): void {
    this.other();
    this.#text = text;
  }

  true(): void {
    this.other();
    this.#isTrue = true;
  }

  /** A word or identifier; `isType`: behind "::". */
  identifier(isType: boolean): void {
    if (this.#argument === 1 && !isType) this.#isOfRows = true;
    this.other();
  }

  /** Any token that is no symbol. */
  other(): void {
    this.#tokens++;
  }

  symbol(character: number): void {
    if (this.#depth === 0 && (character === COMMA || CLOSING.has(character))) {
      this.#endArgument();
      this.#ended = character !== COMMA;
      return;
    }
    if (OPENING.has(character)) this.#depth++;
    else if (CLOSING.has(character)) this.#depth--;
    this.other();
  }

  #endArgument(): void {
    const single = this.#tokens === 1;
    const text = single ? this.#text : undefined;
    if (this.#argument === 1) this.#name = text;
    else if (this.#argument === 2) this.#value = text;
    else this.#local = this.#argument === 3 && single && this.#isTrue;
    this.#argument++;
    this.#tokens = 0;
    this.#text = undefined;
    this.#isTrue = false;
  }
}
