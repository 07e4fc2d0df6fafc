/**
 * Keeps a line that says the same thing again and again from filling the log: the first is written at once, the next ones are
 * counted, and at most once an interval one is written with that count.
 *
 *     line ×1 ▶ written        line ×41 ▶ counted        interval over ▶ written with repeated: 41
 */
import type { Clock } from '../base/clock.ts';
import type { LineLevel, LogFields } from './logger.ts';

export type WriteLine = (level: LineLevel, fields: LogFields, message: string) => void;

/**
 * The fields that make a line another line (`addr` and `for`: of our own listeners; `argument` and `setting`: of commands on the console);
 * a port or a duration that differs does not.
 */
const IDENTITY = [
  'database',
  'user',
  'host',
  'sqlState',
  'reason',
  'reload',
  'addr',
  'for',
  'argument',
  'setting',
] as const;

/**
 * How many different lines are told apart. Beyond it (somebody tries a thousand user names) lines are told apart by level and
 * message only, so the log is bounded as well as the memory.
 */
const MAX_LINES = 256;

interface Line {
  readonly level: LineLevel;
  readonly message: string;
  /** Of the latest repetition. */
  fields: LogFields;
  counted: number;
  writtenAt: number;
}

export class Repeats {
  readonly #clock: Clock;
  readonly #interval: number;
  readonly #write: WriteLine;
  readonly #lines = new Map<string, Line>();

  /** `interval` in ms. */
  constructor(clock: Clock, interval: number, write: WriteLine) {
    this.#clock = clock;
    this.#interval = interval;
    this.#write = write;
  }

  log(level: LineLevel, fields: LogFields, message: string): void {
    // Who asks for debug lines wants each of them.
    if (level === 'debug') {
      this.#write(level, fields, message);
      return;
    }
    const precise = identityOf(level, fields, message);
    const identity =
      this.#lines.has(precise) || this.#lines.size < MAX_LINES ? precise : `${level}\0${message}`;
    const now = this.#clock.now();
    const line = this.#lines.get(identity);
    if (line === undefined) {
      this.#write(level, fields, message);
      this.#lines.set(identity, { level, message, fields, counted: 0, writtenAt: now });
    } else {
      line.fields = fields;
      line.counted += 1;
      if (now - line.writtenAt >= this.#interval) this.#writeCounted(line, now);
    }
  }

  /** To be called every now and then: writes the counts whose interval is over, forgets the lines that fell silent. */
  tick(): void {
    const now = this.#clock.now();
    for (const [identity, line] of this.#lines) {
      if (now - line.writtenAt < this.#interval) continue;
      if (line.counted > 0) this.#writeCounted(line, now);
      else this.#lines.delete(identity);
    }
  }

  /** Writes every outstanding count, at the end. */
  flush(): void {
    for (const line of this.#lines.values())
      if (line.counted > 0) this.#writeCounted(line, this.#clock.now());
    this.#lines.clear();
  }

  #writeCounted(line: Line, now: number): void {
    this.#write(line.level, { ...line.fields, repeated: line.counted }, line.message);
    line.counted = 0;
    line.writtenAt = now;
  }
}

function identityOf(level: LineLevel, fields: LogFields, message: string): string {
  let identity = `${level}\0${message}`;
  for (const name of IDENTITY) {
    const value = fields[name];
    if (typeof value === 'string' || typeof value === 'number') identity += `\0${name}\0${value}`;
  }
  return identity;
}
