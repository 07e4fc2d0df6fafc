/** The first tokens of a statement that is read as a whole: SET and the like, of which there are few and which are short. */
import { fold } from './setting-names.ts';

export interface Token {
  readonly type: 'word' | 'quoted' | 'literal' | 'symbol' | 'number';
  /** Words are folded, what was quoted is unquoted; one character a byte. Empty for literals and numbers. */
  readonly text: string;
}

/** So many tokens are enough for every form of SET with a name of up to five parts. */
const TOKENS_NEEDED = 16;

const LITERAL: Token = { type: 'literal', text: '' };
const NUMBER: Token = { type: 'number', text: '' };

export class StatementHead {
  readonly tokens: Token[] = [];

  word(bytes: Buffer, start: number, end: number): void {
    const text = fold(bytes.toString('latin1', start, end));
    this.#push({ type: 'word', text });
  }

  quoted(bytes: Buffer, start: number, end: number, doubled: boolean): void {
    const written = bytes.toString('latin1', start, end);
    const text = doubled ? written.replaceAll('""', '"') : written;
    this.#push({ type: 'quoted', text });
  }

  literal(): void {
    this.#push(LITERAL);
  }

  number(): void {
    this.#push(NUMBER);
  }

  symbol(character: number): void {
    this.#push({ type: 'symbol', text: String.fromCharCode(character) });
  }

  #push(token: Token): void {
    if (this.tokens.length < TOKENS_NEEDED) this.tokens.push(token);
  }
}
