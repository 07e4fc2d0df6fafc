/** Durations and sizes as people write them: "15s", "500ms", "1h", "64KiB". A bare number is seconds, or bytes. */

/** Largest first, so that the text of a value uses the largest unit that divides it. */
const durationUnits = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;
const sizeUnits = { GiB: 1_073_741_824, MiB: 1_048_576, KiB: 1_024, B: 1 } as const;

/** A year. What is longer is a slip of the pen: "off" is written 0. */
const LONGEST_DURATION = 365 * durationUnits.d;
/** The largest message length that the protocol can express. */
const LARGEST_SIZE = 2_147_483_647;

/** Milliseconds, whole; undefined when the text or number is no duration. */
export function parseDuration(input: string | number): number | undefined {
  return scaled(input, durationUnits, 's', LONGEST_DURATION);
}

/** Text that `parseDuration` reads back as the same number of milliseconds. */
export function formatDuration(milliseconds: number): string {
  return withUnit(milliseconds, durationUnits, '0s');
}

/** Bytes, whole; undefined when the text or number is no size. */
export function parseSize(input: string | number): number | undefined {
  return scaled(input, sizeUnits, 'B', LARGEST_SIZE);
}

/** Text that `parseSize` reads back as the same number of bytes. */
export function formatSize(bytes: number): string {
  return withUnit(bytes, sizeUnits, '0B');
}

type Units = Readonly<Record<string, number>>;

function scaled(input: string | number, units: Units, bareUnit: string, largest: number): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(String(input).trim());
  if (match === null) return undefined;
  const [, digits = '', name = ''] = match;
  const unit = Object.keys(units).find((known) => known.toLowerCase() === (name || bareUnit).toLowerCase());
  const factor = unit === undefined ? undefined : units[unit];
  if (factor === undefined) return undefined;
  const value = Math.round(Number(digits) * factor);
  // What rounds to nothing would turn into "off".
  const lost = value === 0 && Number(digits) > 0;
  return value <= largest && !lost ? value : undefined;
}

function withUnit(value: number, units: Units, zero: string): string {
  if (value === 0) return zero;
  for (const [name, factor] of Object.entries(units)) {
    if (value % factor === 0) return `${value / factor}${name}`;
  }
  return zero;
}
