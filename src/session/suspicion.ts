/**
 * What may have changed in a session since the server was asked last: gathered from the texts of statements, from their tags, and from
 * reports. It only says what to ask; what is set, the server says.
 */
import { Hint, type StatementHints } from '../sql/hints.ts';
import { isIdentity } from './replay.ts';

/** So many names are asked for; who sets more is asked for everything. */
const MAX_NAMES = 200;

/** So many functions are told apart, and so many names that were reset: a client in a failed transaction may go on and on. */
const MAX_REMEMBERED = 1000;

/** Tags of statements that leave nothing in the session, by their first and third letters: nearly all that come. */
const quiet = new Uint8Array(1 << 14);
for (const tag of [
  'SELECT',
  'INSERT',
  'UPDATE',
  'DELETE',
  'MERGE',
  'BEGIN',
  'START TRANSACTION',
  'COMMIT',
  'ROLLBACK',
  'SAVEPOINT',
  'RELEASE',
  'FETCH',
  'MOVE',
  'COPY',
  'SHOW',
  'EXPLAIN',
  'LOCK TABLE',
  'NOTIFY',
  'TRUNCATE TABLE',
]) {
  quiet[tagKey(tag.charCodeAt(0), tag.charCodeAt(2))] = 1;
}

function tagKey(first: number, third: number): number {
  return ((first & 0x7f) << 7) | (third & 0x7f);
}

/** Whether the tag at `at` tells nothing, by two of its letters. Anything else is worth reading. */
export const isQuietTag = (bytes: Buffer, at: number): boolean =>
  quiet[tagKey(bytes[at] ?? 0, bytes[at + 2] ?? 0)] === 1;

/** INSERT, COPY and MERGE fill in what a table says by itself, which may be the next number of a sequence. */
export function mayDraw(bytes: Buffer, at: number): boolean {
  const first = bytes[at] ?? 0;
  if (first === 0x49) return true;
  const third = bytes[at + 2] ?? 0;
  return (first === 0x43 && third === 0x50) || (first === 0x4d && third === 0x52);
}

const tagHints: ReadonlyMap<string, number> = new Map([
  ['DISCARD ALL', Hint.resetAll | Hint.removes],
  ['DISCARD TEMP', Hint.removes],
  ['LISTEN', Hint.pins],
  ['UNLISTEN', Hint.removes],
  ['CLOSE CURSOR', Hint.removes],
  ['CLOSE CURSOR ALL', Hint.removes],
  ['PREPARE', Hint.prepare],
  ['DEALLOCATE', Hint.removes],
  ['DEALLOCATE ALL', Hint.removes],
  ['LOAD', Hint.permanent],
  ['DO', Hint.opaque],
  ['CALL', Hint.opaque],
]);

/** Of the statement's own transaction, or of the whole server. */
const neverLasts =
  Hint.localParsing |
  Hint.database |
  Hint.temporaryDdl |
  Hint.nextval |
  Hint.sequences |
  Hint.innerDefinition;

export class Suspicion {
  bits = 0;
  readonly names = new Set<string>();
  /** Names that a RESET may have set back. */
  readonly resets = new Set<string>();
  readonly functions = new Set<string>();
  /** Names of which nothing but a report of the server's says so: perhaps what is usual has changed. */
  readonly #reported = new Set<string>();
  #resetNews = false;
  /** SET, RESET and DISCARD that texts have shown, less those that tags have told of. */
  #announced = 0;
  /** Texts that create nothing but temporary objects, less the tags that have come. */
  #temporary = 0;

  /** Something may be left in the session. */
  get any(): boolean {
    return (this.bits & ~neverLasts) !== 0;
  }

  /** What pins a client may have come, temporary objects too. */
  get ofPins(): boolean {
    return (this.bits & (Hint.pins | Hint.opaque)) !== 0;
  }

  /** Some setting may have gone back to what is usual. */
  get mayHaveReset(): boolean {
    return this.resets.size > 0 || (this.bits & Hint.resetAll) !== 0;
  }

  /** This one may have. RESET ALL leaves the role alone. */
  mayHaveResetTo(name: string): boolean {
    return this.resets.has(name) || ((this.bits & Hint.resetAll) !== 0 && !isIdentity(name));
  }

  /** A text has come since this was asked last that may have done so. */
  takeResetNews(): boolean {
    const news = this.#resetNews;
    this.#resetNews = false;
    return news;
  }

  /** What is usual may have changed too, and is to be asked again. */
  get reported(): boolean {
    return this.#reported.size > 0;
  }

  /** A text has named this setting. */
  isNamed(name: string): boolean {
    return this.names.has(name) && !this.#reported.has(name);
  }

  /** A statement is on its way. */
  add(hints: StatementHints): void {
    this.#addBits(hints.bits);
    this.#announced += hints.setStatements;
    this.#resetNews ||= hints.resets.length > 0 || (hints.bits & Hint.resetAll) !== 0;
    if ((hints.bits & Hint.temporaryDdl) !== 0) this.#temporary++;
    this.#remember(hints);
  }

  /** A statement with this tag may have changed the schema inside. */
  definesIn(tag: string): boolean {
    return tag === 'DO' && (this.bits & Hint.innerDefinition) !== 0;
  }

  /** A statement with this tag has made something that nobody else sees, by its text. */
  takeTemporary(tag: string): boolean {
    if (this.#temporary === 0 || !tag.startsWith('CREATE ')) return false;
    this.#temporary--;
    return true;
  }

  /** A statement has been run. */
  addTag(tag: string): void {
    this.bits |= tagHints.get(tag) ?? 0;
    const isSet = tag === 'SET' || tag === 'RESET' || tag === 'DISCARD ALL';
    if (isSet || tag === 'SET CONSTRAINTS' || tag.startsWith('DISCARD ')) {
      // One that no text has shown: what it set nobody knows.
      if (this.#announced > 0) this.#announced--;
      else if (isSet) this.bits |= Hint.opaque;
    } else if (tag.startsWith('CREATE ')) this.bits |= Hint.pins;
    else if (tag.startsWith('DROP ')) this.bits |= Hint.removes;
  }

  /** The server has reported a value of `name` that is not the one known. */
  addReport(name: string): void {
    this.bits |= Hint.settings;
    if (!this.names.has(name)) this.#reported.add(name);
    this.#name(name);
  }

  /** What has been asked in vain is to be asked again, with what has come since. Tags that had not come by then come no more. */
  addAll(other: Suspicion): void {
    this.#addBits(other.bits);
    this.#resetNews ||= other.#resetNews;
    for (const name of other.#reported) this.#reported.add(name);
    this.#remember(other);
  }

  /** The server has been asked. */
  clear(): void {
    // After nearly every transaction. Whatever is kept here came with a bit, or was announced; emptying sets costs even if they are empty.
    if (this.bits === 0 && this.#announced === 0) return;
    this.bits = 0;
    this.#announced = 0;
    this.#temporary = 0;
    this.#resetNews = false;
    this.names.clear();
    this.#reported.clear();
    this.resets.clear();
    this.functions.clear();
  }

  #remember({ names, resets, functions }: Record<'names' | 'resets' | 'functions', Iterable<string>>): void {
    for (const name of names) this.#name(name);
    for (const name of resets) if (this.resets.size < MAX_REMEMBERED) this.resets.add(name);
    for (const name of functions) {
      if (this.functions.size < MAX_REMEMBERED) this.functions.add(name);
      else this.bits |= Hint.opaque;
    }
  }

  #addBits(bits: number): void {
    // Two names that nobody has seen are several.
    if ((this.bits & bits & Hint.hiddenName) !== 0) this.bits |= Hint.hiddenNames;
    this.bits |= bits;
  }

  #name(name: string): void {
    if (this.names.size < MAX_NAMES) this.names.add(name);
    else this.bits |= Hint.opaque;
  }
}
