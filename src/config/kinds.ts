/**
 * The kinds of value that a setting can have: how each is read from TOML, the environment or SET, and how it is printed.
 *
 * Every kind reads text as well as its TOML type, because `"${env:PORT}"`, `OSTLER__…` and `SET` only have text to give.
 * No message repeats the value: it may come from a secret.
 */
import { isIP } from 'node:net';

import { z } from 'zod';

import { formatDuration, formatSize, parseDuration, parseSize } from './duration.ts';

/** What TOML may hold for a setting. */
export type Raw = string | number | boolean | readonly string[];

export interface Kind<Value> {
  readonly schema: z.ZodType<Value, Raw>;
  readonly unit?: string;
  /** As PgBouncer's SHOW CONFIG prints it: durations in seconds, booleans as 0 and 1. */
  show(value: Value): string;
  /** A TOML literal that is read back as the same value. */
  toml(value: Value): string;
}

export function integer(min: number, max: number): Kind<number> {
  const error = `must be a whole number from ${min} to ${max}`;
  return {
    schema: read(
      z.union([z.int({ error }).min(min, { error }).max(max, { error }), z.string()], { error }),
      error,
      (input) => {
        const number = /^\s*\d+\s*$/.test(String(input)) ? Number(input) : Number.NaN;
        return number >= min && number <= max ? number : undefined;
      },
    ),
    show: String,
    toml: String,
  };
}

/** A number of things, of which 0 means "no limit". */
export const limit = integer(0, 1_000_000);

const shareError = 'must be a number from 0 to 1';
export const share: Kind<number> = {
  schema: read(z.union([z.number(), z.string()], { error: shareError }), shareError, (input) => {
    const number = String(input).trim() === '' ? Number.NaN : Number(input);
    return number >= 0 && number <= 1 ? number : undefined;
  }),
  show: String,
  toml: String,
};

const permissionsError = 'must be permission bits such as "0770" or 0o770';
/** Unix permission bits: 0o770 in TOML, octal digits in text. */
export const permissions: Kind<number> = {
  schema: read(
    z.union(
      [z.int().min(0, { error: permissionsError }).max(0o777, { error: permissionsError }), z.string()],
      { error: permissionsError },
    ),
    permissionsError,
    (input) => {
      if (typeof input === 'number') return input;
      return /^0?[0-7]{1,3}$/.test(input) ? Number.parseInt(input, 8) : undefined;
    },
  ),
  show: octal,
  toml: (value) => quoted(octal(value)),
};

const durationError =
  'must be a duration: a number of seconds, or text such as "15s", "500ms", "5m", "1h", "1d"';
export const duration: Kind<number> = {
  schema: read(
    z.union([z.number().min(0, { error: durationError }), z.string()], { error: durationError }),
    durationError,
    parseDuration,
  ),
  unit: 'seconds',
  show: (value) => String(value / 1_000),
  toml: (value) => quoted(formatDuration(value)),
};

const sizeError = 'must be a size: a number of bytes, or text such as "64KiB", "16MiB"';
export const size: Kind<number> = {
  schema: read(
    z.union([z.number().min(0, { error: sizeError }), z.string()], { error: sizeError }),
    sizeError,
    parseSize,
  ),
  unit: 'bytes',
  show: String,
  toml: (value) => quoted(formatSize(value)),
};

const booleanError = 'must be true or false';
const booleanWords = new Map([
  ...['true', 'on', 'yes', '1'].map((word) => [word, true] as const),
  ...['false', 'off', 'no', '0'].map((word) => [word, false] as const),
]);
export const boolean: Kind<boolean> = {
  schema: read(
    z.union([z.boolean(), z.literal([0, 1]), z.string()], { error: booleanError }),
    booleanError,
    (input) => booleanWords.get(String(input).trim().toLowerCase()),
  ),
  show: (value) => (value ? '1' : '0'),
  toml: String,
};

export function choice<const Word extends string>(...words: readonly Word[]): Kind<Word> {
  const error = `must be one of ${words.map(quoted).join(', ')}`;
  return { schema: z.enum(words, { error }), show: String, toml: quoted };
}

export const text: Kind<string> = {
  schema: z
    .string({ error: 'must be text in quotes' })
    .refine((input) => !input.includes('\0'), { error: 'must not contain a NUL character' }),
  show: String,
  toml: quoted,
};

/** Text of which the empty one means "not set". */
export const optionalText: Kind<string | undefined> = {
  schema: text.schema.transform((input) => (input === '' ? undefined : input)),
  show: (value) => value ?? '',
  toml: (value) => quoted(value ?? ''),
};

/** SQL, or `<empty>` (read as '': an empty query is the cheapest round trip), or '' (read as undefined: nothing is sent). */
export const checkQuery: Kind<string | undefined> = {
  schema: text.schema.transform((input) => (input === '<empty>' ? '' : input === '' ? undefined : input)),
  show: (value) => (value === '' ? '<empty>' : (value ?? '')),
  toml: (value) => quoted(value === '' ? '<empty>' : (value ?? '')),
};

const listError = 'must be an array of texts, or one text with commas';
/** An array, or one text with commas, as in PgBouncer. */
export const texts = z.union([z.string(), z.array(z.string({ error: listError }))], { error: listError });
export const list: Kind<readonly string[]> = {
  schema: texts.transform((input) => split(input)),
  show: (value) => value.join(', '),
  toml: (value) => `[${value.map(quoted).join(', ')}]`,
};

const addressesError = 'must hold IP addresses, host names or "*"';
export const addresses: Kind<readonly string[]> = {
  ...list,
  schema: read(texts, addressesError, (input) => {
    const parts = split(input);
    return parts.every((part) => part === '*' || isHost(part)) ? parts : undefined;
  }),
};

const addressError = 'must be an IP address or a host name';
export const address: Kind<string> = {
  ...text,
  schema: read(z.string({ error: addressError }), addressError, (input) =>
    isHost(input) ? input : undefined,
  ),
};

const hostError = 'must be a host name, an IP address, or the folder of a Unix socket';
export const host: Kind<string> = {
  ...text,
  schema: read(z.string({ error: hostError }), hostError, (input) =>
    isHost(input) || (input.startsWith('/') && !input.includes('\0')) ? input : undefined,
  ),
};

/** Builds a schema that turns what is accepted into a value; undefined from `parse` refuses it with `error`. */
export function read<Input extends Raw, Value>(
  accepted: z.ZodType<Input, Raw>,
  error: string,
  parse: (input: Input) => Value | undefined,
): z.ZodType<Value, Raw> {
  return accepted.transform((input, context) => {
    const value = parse(input);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: error });
    return z.NEVER;
  });
}

export function split(
  input: string | readonly string[],
  separator: string | RegExp = ',',
): readonly string[] {
  const parts = typeof input === 'string' ? input.split(separator) : input;
  return parts.map((part) => part.trim()).filter((part) => part !== '');
}

/** A basic TOML string. JSON's escapes are TOML's too, but for DEL, which TOML wants escaped. */
export function quoted(value: string): string {
  return JSON.stringify(value).replaceAll('\u007f', String.raw`\u007F`);
}

function octal(value: number): string {
  return value.toString(8).padStart(4, '0');
}

function isHost(input: string): boolean {
  return isIP(input) !== 0 || /^[a-z0-9_]([a-z0-9_.-]{0,253}[a-z0-9_.])?$/i.test(input);
}
