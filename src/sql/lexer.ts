/**
 * Finds the tokens in the text of statements as PostgreSQL's scanner (scan.l) would, in one pass over the bytes.
 *
 *     SELECT lower(E'it\'s') -- why⏎ ;          word SELECT · word lower · symbol ( · literal · symbol ) · symbol ;
 *
 * White space and comments are skipped, operators come as one symbol a character. A text may come in pieces: what is cut is
 * looked at again with the next piece, but no more of it than `MAX_TOKEN`; the inside of strings and comments is not kept.
 */
import { unreachable } from '../base/assert.ts';
import { CharacterSet, characterSetOf, lengthOfCharacter, maybeSecondByte } from './character-set.ts';
import { inQuotes, words } from './words.ts';

/** How the server will read the text. */
export interface Lexing {
  /** undefined: not known for sure. */
  readonly standardConformingStrings: boolean | undefined;
  /** client_encoding as PostgreSQL reports it; undefined: not known for sure. */
  readonly encoding: string | undefined;
}

/** Takes the tokens. Bytes are only lent: a visitor that keeps a token beyond the call copies it. */
export interface TokenVisitor {
  /** A word: a keyword or an identifier, with its code in the table of words. */
  word(code: number, bytes: Buffer, start: number, end: number): void;
  /** An identifier in quotes, which are not in start…end. `doubled`: quotes in it stand twice. */
  quoted(code: number, bytes: Buffer, start: number, end: number, doubled: boolean): void;
  /** A string of any kind. If it is plain, short and nothing in it is escaped, its content is start…end; else end is -1. */
  literal(bytes: Buffer, start: number, end: number): void;
  symbol(character: number): void;
  number(): void;
  /** PostgreSQL may read the text in another way from here on. */
  doubt(): void;
}

/** In bytes. A longer word makes the text unreadable, a longer string is one whose content is not told. */
const MAX_TOKEN = 1024;

/** What the scanner is in the middle of, between two pieces. */
const Inside = {
  nothing: 0,
  string: 1,
  dollarQuote: 2,
  blockComment: 3,
  lineComment: 4,
  unreadable: 5,
} as const;
type Inside = (typeof Inside)[keyof typeof Inside];

/** Kinds of strings, by what may be in them. `unsure`: whether a backslash escapes is not known. */
const Kind = { none: 0, plain: 1, escape: 2, raw: 3, unsure: 4 } as const;
type Kind = (typeof Kind)[keyof typeof Kind];

const SYMBOL = 0;
const SPACE = 1;
const NEWLINE = 2;
const LETTER = 3;
const DIGIT = 4;
/** One of ' " $ - / */
const DELIMITER = 5;
/** Beside one of the above: may stand in an identifier. */
const IN_WORD = 16;
const CLASS_MASK = 15;

/** The token is cut: it has to be seen again with more of the text. */
const CUT = -1;

const classes = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  const character = String.fromCharCode(byte);
  if (/[a-z_\x80-\xff]/i.test(character)) classes[byte] = LETTER | IN_WORD;
  else if (/\d/.test(character)) classes[byte] = DIGIT | IN_WORD;
  else if (/[\n\r]/.test(character)) classes[byte] = NEWLINE;
  // VT is white space from PostgreSQL 16 on, and an error before.
  else if (/[ \t\f\v]/.test(character)) classes[byte] = SPACE;
}
for (const delimiter of Buffer.from(`'"-/`)) classes[delimiter] = DELIMITER;
classes[0x24] = DELIMITER | IN_WORD;

/** Comparisons, because they are faster here than a table: letters first. */
const isAsciiInWord = (byte: number): boolean =>
  ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a) ||
  byte === 0x5f ||
  (byte >= 0x30 && byte <= 0x39) ||
  byte === 0x24;

export class Lexer {
  readonly #visitor: TokenVisitor;
  #plain: Kind = Kind.plain;
  #characters: CharacterSet = CharacterSet.plain;
  #inside: Inside = Inside.nothing;
  /** Of the string that the scanner is in. */
  #kind: Kind = Kind.none;
  /** Of the last token if that was a string in quotes: behind a line break another string continues it. */
  #lastKind: Kind = Kind.none;
  /** There was a line break since the last string. */
  #brokeLine = false;
  #depth = 0;
  #delimiter = Buffer.of();
  /** The string just looked at has something in it that does not stand for itself. */
  #escaped = false;

  constructor(visitor: TokenVisitor) {
    this.#visitor = visitor;
  }

  /** Neither in a comment nor in a string. */
  #between(): boolean {
    return this.#inside === Inside.nothing;
  }

  /** Ready for a new text. */
  reset(lexing: Lexing): void {
    const { standardConformingStrings: standard, encoding } = lexing;
    this.#plain = standard === true ? Kind.plain : standard === false ? Kind.escape : Kind.unsure;
    this.#characters = characterSetOf(encoding);
    this.#inside = Inside.nothing;
    this.#lastKind = Kind.none;
    this.#brokeLine = false;
  }

  /**
   * Shows the visitor the tokens in `bytes` from `at` to `end`. Returns how far it came: unless this is the `last` piece of
   * the text, the next piece has to begin with what is left.
   */
  scan(bytes: Buffer, at: number, end: number, last: boolean): number {
    while (at < end) {
      if (this.#between()) {
        const next = this.#tokens(bytes, at, end, last);
        if (next < 0) return ~next;
        at = next;
      } else {
        at = this.#skip(bytes, at, end, last);
        if (!this.#between()) return at;
      }
    }
    return end;
  }

  /** Up to a comment or a long string, or the end. Returns the complement of where a token begins that is cut. */
  #tokens(bytes: Buffer, at: number, end: number, last: boolean): number {
    while (at < end) {
      const byte = bytes[at] ?? 0;
      let next = at + 1;
      switch ((classes[byte] ?? 0) & CLASS_MASK) {
        case SPACE:
          break;
        case LETTER:
          next = this.#word(bytes, at, end, last);
          if (next === CUT) return ~at;
          break;
        case SYMBOL:
          this.#lastKind = Kind.none;
          this.#visitor.symbol(byte);
          break;
        case DIGIT:
          next = this.#number(bytes, next, end);
          break;
        case NEWLINE:
          this.#brokeLine = true;
          break;
        default:
          next = this.#delimited(bytes, at, end, last);
          if (next === CUT) return ~at;
          if (!this.#between()) return next;
      }
      at = next;
    }
    return at;
  }

  /** What begins with one of ' " $ - / and may be long. */
  #delimited(bytes: Buffer, at: number, end: number, last: boolean): number {
    switch (bytes[at] ?? 0) {
      case 0x27:
        return this.#string(bytes, at, at, end, this.#continuedKind(), last);
      case 0x22:
        return this.#quotedWord(bytes, at, at, end, last);
      case 0x24:
        return this.#dollar(bytes, at, end, last);
      default:
        return this.#operator(bytes, at, end, last);
    }
  }

  #word(bytes: Buffer, start: number, end: number, last: boolean): number {
    let at = start;
    for (;;) {
      while (at < end && isAsciiInWord(bytes[at] ?? 0)) at++;
      if (at >= end || (bytes[at] ?? 0) < 0x80) break;
      at += this.#characters === CharacterSet.plain ? 1 : this.#lengthInWord(bytes, at, end);
    }
    if (at >= end) {
      if (!last) return end - start > MAX_TOKEN ? this.#giveUp(end) : CUT;
      at = end;
    }
    const length = at - start;
    if (length > MAX_TOKEN) return this.#giveUp(end);
    if (length === 1 && at < end && (bytes[at] === 0x27 || bytes[at] === 0x26)) {
      const next = this.#prefixed(bytes, start, end, last);
      if (next !== start) return next;
    }
    this.#lastKind = Kind.none;
    this.#visitor.word(words.find(bytes, start, at, false), bytes, start, at);
    return at;
  }

  #lengthInWord(bytes: Buffer, at: number, end: number): number {
    const unknown = this.#characters === CharacterSet.unknown;
    if (unknown && at + 1 < end && maybeSecondByte(bytes[at + 1] ?? 0)) this.#visitor.doubt();
    return lengthOfCharacter(this.#characters, bytes[at] ?? 0);
  }

  /** What begins with E', B', X', U&' or U&". Returns `start` if it is none of them. */
  #prefixed(bytes: Buffer, start: number, end: number, last: boolean): number {
    const letter = (bytes[start] ?? 0) | 0x20;
    const next = start + 1;
    if (bytes[next] === 0x27) {
      if (letter === 0x65) return this.#string(bytes, start, next, end, Kind.escape, last);
      if (letter === 0x62 || letter === 0x78) return this.#string(bytes, start, next, end, Kind.raw, last);
      return start;
    }
    if (letter !== 0x75) return start;
    const quote = next + 1;
    if (quote === end) return last ? start : CUT;
    if (bytes[quote] === 0x27) return this.#string(bytes, start, quote, end, Kind.raw, last);
    if (bytes[quote] !== 0x22) return start;
    // \0041 in it, or another character than \ by UESCAPE, spells what is not read here.
    this.#visitor.doubt();
    return this.#quotedWord(bytes, start, quote, end, last);
  }

  #quotedWord(bytes: Buffer, start: number, quote: number, end: number, last: boolean): number {
    let at = quote + 1;
    let doubled = false;
    for (; at < end; at++) {
      const byte = bytes[at] ?? 0;
      if (byte === 0x22) {
        if (at + 1 === end && !last) break;
        if (bytes[at + 1] !== 0x22 || at + 1 === end) {
          if (at - start > MAX_TOKEN) return this.#giveUp(end);
          this.#lastKind = Kind.none;
          this.#visitor.quoted(
            inQuotes(words.find(bytes, quote + 1, at, true)),
            bytes,
            quote + 1,
            at,
            doubled,
          );
          return at + 1;
        }
        doubled = true;
        at++;
      }
    }
    return last || end - start > MAX_TOKEN + 1 ? this.#giveUp(end) : CUT;
  }

  #number(bytes: Buffer, at: number, end: number): number {
    while (at < end && (((classes[bytes[at] ?? 0] ?? 0) & CLASS_MASK) === DIGIT || bytes[at] === 0x2e)) at++;
    this.#lastKind = Kind.none;
    this.#visitor.number();
    return at;
  }

  /** $1, the beginning of a dollar-quoted string, or a mere $. */
  #dollar(bytes: Buffer, start: number, end: number, last: boolean): number {
    let at = start + 1;
    for (; at < end; at++) {
      const byte = bytes[at] ?? 0;
      const kind = (classes[byte] ?? 0) & CLASS_MASK;
      if (kind === DIGIT && at === start + 1) return this.#number(bytes, at, end);
      // Two spellings of one character would be the same tag.
      if (byte >= 0x80 && this.#characters !== CharacterSet.plain) this.#visitor.doubt();
      if (kind !== LETTER && kind !== DIGIT) break;
    }
    if (at - start > MAX_TOKEN) return this.#giveUp(end);
    if (at === end && !last) return CUT;
    this.#lastKind = Kind.none;
    if (at < end && bytes[at] === 0x24) {
      this.#delimiter = Buffer.from(bytes.subarray(start, at + 1));
      this.#inside = Inside.dollarQuote;
      return at + 1;
    }
    this.#visitor.symbol(0x24);
    return start + 1;
  }

  /** A comment or a mere operator. */
  #operator(bytes: Buffer, at: number, end: number, last: boolean): number {
    const byte = bytes[at] ?? 0;
    const next = at + 1;
    if (next === end && !last) return CUT;
    if (next < end && byte === 0x2d && bytes[next] === 0x2d) {
      this.#inside = Inside.lineComment;
      return next + 1;
    }
    this.#lastKind = Kind.none;
    if (next < end && byte === 0x2f && bytes[next] === 0x2a) {
      this.#inside = Inside.blockComment;
      this.#depth = 1;
      return next + 1;
    }
    this.#visitor.symbol(byte);
    return next;
  }

  #giveUp(end: number): number {
    this.#visitor.doubt();
    this.#inside = Inside.unreadable;
    return end;
  }

  #continuedKind(): Kind {
    return this.#brokeLine && this.#lastKind !== Kind.none ? this.#lastKind : this.#plain;
  }

  #string(bytes: Buffer, start: number, quote: number, end: number, kind: Kind, last: boolean): number {
    const close = this.#closingQuote(bytes, quote + 1, end, kind, last);
    if (close < 0) {
      if (!last && end - start <= MAX_TOKEN + 1) return CUT;
      this.#inside = Inside.string;
      this.#kind = kind;
      return ~close;
    }
    const readable = start === quote && !this.#escaped && close - start <= MAX_TOKEN;
    this.#lastKind = kind;
    this.#brokeLine = false;
    if (readable) this.#visitor.literal(bytes, quote + 1, close);
    else this.#visitor.literal(bytes, 0, -1);
    return close + 1;
  }

  /** Where the string ends, or the complement of how far it can be skipped. */
  #closingQuote(bytes: Buffer, at: number, end: number, kind: Kind, last: boolean): number {
    this.#escaped = false;
    const backslashes = kind === Kind.escape || kind === Kind.unsure;
    for (;;) {
      at = backslashes ? this.#skipEscapes(bytes, at, end, kind) : indexOfQuote(bytes, at, end);
      if (at < 0) return at;
      if (at + 1 === end) return last ? at : ~at;
      if (bytes[at + 1] !== 0x27) return at;
      this.#escaped = true;
      at += 2;
    }
  }

  /** The next quote that no backslash takes, or the complement of how far there surely is none. */
  #skipEscapes(bytes: Buffer, at: number, end: number, kind: Kind): number {
    while (at < end) {
      const byte = bytes[at] ?? 0;
      if (byte === 0x27) return at;
      let next = at + 1;
      if (byte === 0x5c) {
        if (next === end) return ~at;
        this.#escaped = true;
        if (bytes[next] !== 0x27) next += this.#lengthInString(bytes, next, end);
        else if (kind === Kind.unsure) this.#visitor.doubt();
        else next++;
      } else if (byte >= 0x80) {
        next = at + this.#lengthInString(bytes, at, end);
      }
      if (next > end) return ~at;
      at = next;
    }
    return ~end;
  }

  #lengthInString(bytes: Buffer, at: number, end: number): number {
    if ((bytes[at] ?? 0) < 0x80 || this.#characters === CharacterSet.plain) return 1;
    if (this.#characters === CharacterSet.unknown) {
      // Cut behind it: whether a backslash follows is only seen with the next piece.
      if (at + 1 === end) return 2;
      if (bytes[at + 1] === 0x5c) this.#visitor.doubt();
    }
    return lengthOfCharacter(this.#characters, bytes[at] ?? 0);
  }

  /** Skips the inside of a comment or of a long string. */
  #skip(bytes: Buffer, at: number, end: number, last: boolean): number {
    switch (this.#inside) {
      case Inside.string:
        return this.#skipString(bytes, at, end, last);
      case Inside.dollarQuote:
        return this.#skipDollarQuote(bytes, at, end);
      case Inside.blockComment:
        return this.#skipBlockComment(bytes, at, end);
      case Inside.lineComment:
        while (at < end && ((classes[bytes[at] ?? 0] ?? 0) & CLASS_MASK) !== NEWLINE) at++;
        if (at < end) this.#inside = Inside.nothing;
        return at;
      case Inside.nothing:
        return at;
      case Inside.unreadable:
        return end;
      default:
        return unreachable(this.#inside);
    }
  }

  #skipString(bytes: Buffer, at: number, end: number, last: boolean): number {
    const close = this.#closingQuote(bytes, at, end, this.#kind, last);
    if (close < 0) return ~close;
    this.#inside = Inside.nothing;
    this.#lastKind = this.#kind;
    this.#brokeLine = false;
    this.#visitor.literal(bytes, 0, -1);
    return close + 1;
  }

  #skipDollarQuote(bytes: Buffer, at: number, end: number): number {
    const length = this.#delimiter.length;
    const close = bytes.indexOf(this.#delimiter, at);
    if (close < 0 || close + length > end) return Math.max(at, end - length + 1);
    this.#inside = Inside.nothing;
    this.#visitor.literal(bytes, 0, -1);
    return close + length;
  }

  #skipBlockComment(bytes: Buffer, at: number, end: number): number {
    for (; at < end; at++) {
      const byte = bytes[at] ?? 0;
      if (byte !== 0x2a && byte !== 0x2f) continue;
      if (at + 1 === end) return at;
      const pair = bytes[at + 1] ?? 0;
      if (byte === 0x2f && pair === 0x2a) {
        this.#depth++;
        at++;
      } else if (byte === 0x2a && pair === 0x2f) {
        this.#depth--;
        at++;
        if (this.#depth === 0) {
          this.#inside = Inside.nothing;
          return at + 1;
        }
      }
    }
    return end;
  }
}

/** Strings are short, mostly: a call of `indexOf` pays from some dozen bytes on. */
const SHORT_STRING = 48;

function indexOfQuote(bytes: Buffer, at: number, end: number): number {
  const short = Math.min(end, at + SHORT_STRING);
  for (; at < short; at++) if (bytes[at] === 0x27) return at;
  if (at === end) return ~end;
  const found = bytes.indexOf(0x27, at);
  return found < 0 || found >= end ? ~end : found;
}
