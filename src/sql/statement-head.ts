/** The first tokens of a statement that is read as a whole: SET and the like, of which there are few and which are short. */
import { fold } from './setting-names.ts';

export interface Token {
  readonly type: 'word' | 'quoted' | 'literal' | 'symbol' | 'number';
  /** Words are folded, what was quoted is unquoted; one character a byte. Empty for literals and numbers. */
  readonly text: string;
  /** Where a word or identifier stands in the text, with its quotes; in bytes. */
  readonly start: number;
  readonly end: number;
}

/** So many tokens are enough for every form of SET with a name of up to five parts. */
const TOKENS_NEEDED = 16;

const LITERAL: Token = { type: 'literal', text: '', start: 0, end: 0 };
const NUMBER: Token = { type: 'number', text: '', start: 0, end: 0 };

export class StatementHead {
  readonly tokens: Token[] = [];

  /** `place`: what to add to a position in `bytes` to get one in the text. */
  word(bytes: Buffer, start: number, end: number, place: number): void {
    const text = fold(bytes.toString('latin1', start, end));
    this.#push({ type: 'word', text, start: start + place, end: end + place });
  }

  quoted(bytes: Buffer, start: number, end: number, doubled: boolean, place: number): void {
    const written = bytes.toString('latin1', start, end);
    const text = doubled ? written.replaceAll('""', '"') : written;
    this.#push({ type: 'quoted', text, start: start - 1 + place, end: end + 1 + place });
  }

  literal(): void {
    this.#push(LITERAL);
  }

  number(): void {
    this.#push(NUMBER);
  }

  symbol(character: number): void {
    this.#push({ type: 'symbol', text: String.fromCharCode(character), start: 0, end: 0 });
  }

  #push(token: Token): void {
    if (this.tokens.length < TOKENS_NEEDED) this.tokens.push(token);
  }
}
