/**
 * Tokens → hints, statement by statement. It knows how statements begin and what a call of a function looks like, and no
 * more of the grammar: whatever it takes for a statement or a call that is none only costs a needless hint.
 *
 * Every `;` ends a statement, also those inside of CREATE RULE … DO (a; b) and BEGIN ATOMIC: what follows them there can be
 * no SET.
 */
import { CATALOG_FUNCTION, EFFECT_SHIFT, functions, NO_CALL, SET_CONFIG } from './functions.ts';
import { ANYTHING, Hint, noHints, type StatementHints } from './hint.ts';
import type { TokenVisitor } from './lexer.ts';
import { SetConfigCall } from './set-config-call.ts';
import { readDeallocate, readPrepare, readSetStatement } from './set-statement.ts';
import { StatementHead, type Token } from './statement-head.ts';
import { countsInParsing, fold, MAX_IDENTIFIER, SEED, settingsTouched } from './setting-names.ts';
import { inQuotes, Name, Word } from './words.ts';

const SEMICOLON = 0x3b;
const OPEN = 0x28;
const CLOSE = 0x29;
const DOT = 0x2e;
const COLON = 0x3a;

/** What the token before was, beside the codes of words: the code of a symbol is its character + SYMBOL. */
const SYMBOL = 0x100;
const AFTER_DOT = SYMBOL + DOT;
const AFTER_CLOSE = SYMBOL + CLOSE;
const NOTHING = 0;
const CAST = 0x200;
const OTHER = 0x201;

const UNQUALIFIED = -1;

/** Who prepares and deallocates more by one text goes without their names. */
const MAX_STATEMENT_NAMES = 100;

/** What the last token was, as far as a call is concerned. */
const Last = { other: 0, word: 1, quoted: 2 } as const;
type Last = (typeof Last)[keyof typeof Last];

/** Behind these stands what "(" opens no arguments for: how a statement begins, a table, a type, a CTE, an alias. */
const noFunctionBehind = new Uint8Array(OTHER + 1);
for (const token of [
  NOTHING,
  Word.into,
  Word.as,
  Word.with,
  Word.recursive,
  Word.references,
  Word.call,
  Word.prepare,
  Word.execute,
  Word.copy,
  Word.ordinality,
  CAST,
])
  noFunctionBehind[token] = 1;

const EMPTY = Buffer.of();

/** Of DATABASE behind `previous` in a statement that begins with `first`. DROP is one of those that begin a definition. */
const databaseHint = (first: number, previous: number): number =>
  first === previous && (first === Word.create || first === Word.alter || first === Word.definition)
    ? Hint.database
    : 0;

export class StatementReader implements TokenVisitor {
  #bits = 0;
  readonly #names = new Set<string>();
  readonly #resets = new Set<string>();
  readonly #functions = new Set<string>();
  #setStatements = 0;
  #statements = 0;
  #definitions = 0;
  #temporaryDefinitions = 0;
  #deallocated: (string | undefined)[] = [];
  #prepared: (string | undefined)[] = [];
  #doubtful = false;

  /** The word that the statement begins with: its code, or OTHER. 0: none yet. */
  #kind = 0;
  #previous: number = NOTHING;
  /** Calls of functions in this part of the statement are run. */
  #runs = true;
  /** CREATE so far has said nothing that what it makes could be named by. */
  #opensCreate = false;
  #createsTable = false;
  #updates = false;
  #distinctOn = false;

  #last: Last = Last.other;
  /** The last word or identifier: it is a function if "(" follows. */
  #code = 0;
  #bytes: Buffer = EMPTY;
  #start = 0;
  #end = 0;
  /** The token before it, or before its schema. */
  #before: number = NOTHING;
  /** The code of its schema. */
  #qualifier: number = UNQUALIFIED;

  /** One of the two that follow is there. */
  #watches = false;
  /** The first tokens of a statement that is read as a whole. */
  #head: StatementHead | undefined;
  #setConfig: SetConfigCall | undefined;

  reset(): void {
    // Nearly every text leaves nothing.
    if (this.#bits !== 0) {
      this.#names.clear();
      this.#resets.clear();
      this.#functions.clear();
      this.#deallocated = [];
      this.#prepared = [];
    }
    this.#bits = 0;
    this.#setStatements = 0;
    this.#statements = 0;
    this.#definitions = 0;
    this.#temporaryDefinitions = 0;
    this.#doubtful = false;
  }

  /** The bytes given are about to go, and the text goes on. */
  keep(): void {
    this.#bytes =
      this.#last !== Last.other ? Buffer.from(this.#bytes.subarray(this.#start, this.#end)) : EMPTY;
    this.#end -= this.#start;
    this.#start = 0;
  }

  finish(): StatementHints {
    this.#endStatement();
    this.#bytes = EMPTY;
    if (this.#doubtful) {
      this.#bits |= ANYTHING;
      this.#setStatements = 0;
    }
    if (this.#bits === 0 && this.#setStatements === 0) return noHints;
    const areTold =
      !this.#doubtful && this.#deallocated.length + this.#prepared.length <= MAX_STATEMENT_NAMES;
    const onlyTemporary = this.#temporaryDefinitions > 0 && this.#temporaryDefinitions === this.#definitions;
    return {
      bits: this.#bits | (onlyTemporary ? Hint.temporaryDdl : 0),
      names: listed(this.#names),
      resets: listed(this.#resets),
      functions: listed(this.#functions),
      setStatements: this.#setStatements,
      deallocated: areTold ? this.#deallocated : NONE,
      prepared: areTold ? this.#prepared : NONE,
      isSingle: this.#statements === 1,
    };
  }

  doubt(): void {
    this.#doubtful = true;
  }

  word(code: number, bytes: Buffer, start: number, end: number): void {
    if (this.#kind === 0) this.#begin(inQuotes(code) === 0 ? code : 0);
    if (this.#watches) {
      this.#head?.word(bytes, start, end);
      if (code === Word.true) this.#setConfig?.true();
      else this.#setConfig?.identifier(this.#previous === CAST);
    }
    this.#name(code, bytes, start, end);
    this.#last = Last.word;
  }

  quoted(code: number, bytes: Buffer, start: number, end: number, doubled: boolean): void {
    if (this.#kind === 0) this.#begin(0);
    if (this.#watches) {
      this.#head?.quoted(bytes, start, end, doubled);
      this.#setConfig?.identifier(this.#previous === CAST);
    }
    this.#name(code, bytes, start, end);
    this.#last = Last.quoted;
  }

  literal(bytes: Buffer, start: number, end: number): void {
    this.#value();
    if (!this.#watches) return;
    this.#head?.literal();
    this.#setConfig?.literal(end < 0 ? undefined : bytes.toString('latin1', start, end));
  }

  number(): void {
    this.#value();
    if (!this.#watches) return;
    this.#head?.number();
    this.#setConfig?.other();
  }

  symbol(character: number): void {
    if (character === SEMICOLON) {
      this.#endStatement();
      return;
    }
    if (this.#kind === 0) this.#begin(0);
    if (this.#watches) {
      this.#head?.symbol(character);
      if (this.#setConfig !== undefined) this.#followSetConfig(this.#setConfig, character);
    }
    if (character === OPEN && this.#last !== Last.other) this.#call();
    this.#last = Last.other;
    this.#previous = character === COLON && this.#previous === SYMBOL + COLON ? CAST : SYMBOL + character;
  }

  #value(): void {
    if (this.#kind === 0) this.#begin(0);
    this.#last = Last.other;
    this.#previous = OTHER;
  }

  #name(code: number, bytes: Buffer, start: number, end: number): void {
    const previous = this.#previous;
    if (previous === AFTER_DOT) {
      this.#qualifier = this.#code;
    } else {
      this.#qualifier = UNQUALIFIED;
      this.#before = previous;
    }
    this.#previous = code === 0 ? OTHER : code;
    this.#code = code;
    // Storing a reference costs more than comparing it.
    if (this.#bytes !== bytes) this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    if (code !== 0) this.#act(code, previous);
    else if (startsWithPgTemp(bytes, start, end) && this.#kind !== Word.set) this.#bits |= Hint.pins;
    else this.#opensCreate = false;
  }

  #begin(word: number): void {
    this.#statements++;
    this.#kind = word === 0 ? OTHER : word;
    this.#before = NOTHING;
    this.#runs = true;
    this.#opensCreate = false;
    this.#createsTable = false;
    this.#updates = false;
    this.#distinctOn = false;
    switch (word) {
      case Word.set:
      case Word.reset:
      case Word.discard:
      case Word.prepare:
      case Word.deallocate:
        this.#head = new StatementHead();
        this.#watches = true;
        break;
      // What EXECUTE runs was named by a PREPARE long ago.
      case Word.do:
      case Word.call:
      case Word.execute:
        this.#bits |= ANYTHING;
        break;
      case Word.listen:
        this.#bits |= Hint.pins;
        break;
      case Word.unlisten:
      case Word.close:
        this.#bits |= Hint.removes;
        break;
      case Word.load:
        this.#bits |= Hint.permanent;
        break;
      case Word.create:
        this.#runs = false;
        break;
      case Word.alter:
      case Word.definition:
        this.#runs = false;
        this.#definitions++;
        break;
      default:
    }
  }

  /** What a word means where it stands. */
  #act(word: number, previous: number): void {
    const opensCreate = this.#opensCreate;
    this.#opensCreate = false;
    switch (word) {
      case Word.or:
      case Word.replace:
      case Word.scope:
        this.#opensCreate = opensCreate;
        break;
      case Word.into:
        if (previous !== Word.insert && previous !== Word.merge) this.#bits |= Hint.pins;
        break;
      case Word.create:
        if (this.#kind !== Word.create && this.#kind !== Word.explain) break;
        this.#opensCreate = true;
        this.#definitions++;
        break;
      case Word.temporary:
        if (!opensCreate) break;
        this.#temporaryDefinitions++;
        this.#bits |= Hint.pins;
        break;
      case Word.hold:
        if (this.#kind === Word.declare && previous === Word.with) this.#bits |= Hint.pins;
        break;
      case Word.table:
        if (this.#kind === Word.create || this.#kind === Word.explain) this.#createsTable = true;
        break;
      // In CREATE a query may follow. CREATE TABLE … AS has the tag of a SELECT, and needs no TEMP with pg_temp in search_path.
      case Word.as:
        this.#runs = true;
        if (this.#createsTable) this.#bits |= Hint.pins;
        break;
      case Word.execute:
        if (this.#kind === Word.explain || previous === Word.as) this.#bits |= ANYTHING;
        break;
      case Word.database:
        this.#bits |= databaseHint(this.#kind, previous);
        break;
      case Word.update:
        this.#updates = true;
        break;
      case Name.pgSettings:
        if (this.#updates) this.#bits |= Hint.opaque;
        break;
      case Word.on:
        if (previous === Word.distinct) this.#distinctOn = true;
        break;
      case Word.expression:
        if (this.#kind === Word.alter) this.#runs = true;
        break;
      default:
    }
  }

  /** "(" stands behind a word. */
  #call(): void {
    const quoted = this.#last === Last.quoted;
    const qualified = this.#qualifier !== UNQUALIFIED;
    const found = functions.find(this.#bytes, this.#start, this.#end, quoted);
    if ((found & NO_CALL) !== 0 && !qualified && !quoted) return;
    this.#bits |= found >>> EFFECT_SHIFT;
    if ((found & SET_CONFIG) !== 0) {
      if (this.#setConfig !== undefined) this.#bits |= Hint.opaque | Hint.hiddenNames;
      else this.#setConfig = new SetConfigCall();
      this.#watches = true;
    }
    const inCatalog = !qualified || this.#qualifier === Name.pgCatalog;
    if (((found & CATALOG_FUNCTION) !== 0 && inCatalog) || !this.#runs) return;
    const before = this.#before;
    if (noFunctionBehind[before] !== 0 || (before === AFTER_CLOSE && !this.#distinctOn)) return;
    const written = this.#bytes.toString(
      'utf8',
      this.#start,
      Math.min(this.#end, this.#start + MAX_IDENTIFIER),
    );
    const name = quoted ? written : fold(written);
    this.#functions.add(name);
    this.#bits |= name.includes('advisory') ? Hint.functions | Hint.locks : Hint.functions;
  }

  #followSetConfig(call: SetConfigCall, character: number): void {
    call.symbol(character);
    if (!call.ended) return;
    this.#setConfig = undefined;
    this.#watches = this.#head !== undefined;
    const touched = call.name === undefined ? undefined : settingsTouched(call.name);
    if (call.local) {
      if (touched?.some(countsInParsing) !== false) this.#bits |= Hint.localParsing;
      return;
    }
    if (touched === undefined) {
      const isOne = call.name === undefined && !call.hasManyNames && (this.#bits & Hint.hiddenName) === 0;
      this.#bits |= Hint.opaque | (isOne ? Hint.hiddenName : Hint.hiddenNames);
    } else {
      if (touched.length > 0) this.#bits |= Hint.settings;
      this.#change(touched, call.mayReset);
    }
    if (call.name?.toLowerCase() === SEED) this.#bits |= Hint.seed;
  }

  #change(names: readonly string[], resets: boolean): void {
    for (const name of names) {
      this.#names.add(name);
      if (resets) this.#resets.add(name);
    }
  }

  #endStatement(): void {
    if (this.#kind === 0) return;
    if (this.#head !== undefined) this.#readHead(this.#head.tokens);
    if (this.#setConfig !== undefined) this.#bits |= Hint.opaque;
    this.#head = undefined;
    this.#setConfig = undefined;
    this.#watches = false;
    this.#kind = 0;
    this.#previous = NOTHING;
    this.#last = Last.other;
  }

  #readHead(head: readonly Token[]): void {
    if (this.#kind === Word.deallocate) {
      this.#bits |= Hint.removes;
      const name = readDeallocate(head);
      if (name !== null && this.#deallocated.length <= MAX_STATEMENT_NAMES) this.#deallocated.push(name);
    } else if (this.#kind === Word.prepare) {
      if (head[1]?.text === 'transaction' && head[2]?.type === 'literal') return;
      this.#bits |= Hint.prepare;
      if (this.#prepared.length <= MAX_STATEMENT_NAMES) this.#prepared.push(readPrepare(head));
    } else {
      const change = readSetStatement(head);
      if (change === undefined) {
        this.#bits |= Hint.opaque;
        return;
      }
      this.#setStatements++;
      this.#bits |= change.bits;
      this.#change(change.names, change.resets);
    }
  }
}

const NONE: readonly string[] = Object.freeze([]);
const listed = (names: ReadonlySet<string>): readonly string[] => (names.size === 0 ? NONE : [...names]);

const PG_TEMP = Buffer.from('pg_temp');

/** pg_temp, pg_temp_3, pg_temporary: `pg_` is for PostgreSQL, so hardly anything else begins so. */
function startsWithPgTemp(bytes: Buffer, start: number, end: number): boolean {
  if (end - start < PG_TEMP.length || ((bytes[start] ?? 0) | 0x20) !== 0x70) return false;
  for (let i = 0; i < PG_TEMP.length; i++) {
    const byte = bytes[start + i] ?? 0;
    if ((byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) !== PG_TEMP[i]) return false;
  }
  return true;
}
