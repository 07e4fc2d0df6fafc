/**
 * What may stand in a log line: everything short, nothing secret. The last line of defence; callers should not hand
 * secrets in at all.
 */
import type { LogFields } from './logger.ts';

const SECRET_NAME =
  /password|passwd|secret|verifier|token|private_?key|(?:client|server|stored|salted)_?key/i;
/** The password in postgres://user:password@host; it may itself hold a colon or an @. */
const URL_PASSWORD = /(:\/\/[^\s/:@]*):[^\s/]*@/g;
/** libpq's key = value form. */
const ASSIGNED_PASSWORD = /\b(password\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s&;]+)/gi;
const REDACTED = '[redacted]';

const MAX_STRING = 2048;
const MAX_ITEMS = 64;
const MAX_DEPTH = 4;

/** `text` without the passwords of connection strings, cut to a bounded length. */
export function safeText(text: string): string {
  const bounded =
    text.length > MAX_STRING ? `${text.slice(0, MAX_STRING)}… (${text.length} characters)` : text;
  return bounded.replace(URL_PASSWORD, `$1:${REDACTED}@`).replace(ASSIGNED_PASSWORD, `$1${REDACTED}`);
}

export function safeFields(fields: LogFields): Record<string, unknown> {
  return safeRecord(Object.entries(fields), 0);
}

function safeRecord(
  entries: readonly (readonly [string, unknown])[],
  depth: number,
): Record<string, unknown> {
  const safe: Record<string, unknown> = {};
  for (const [name, value] of entries.slice(0, MAX_ITEMS)) {
    if (value === undefined) continue;
    safe[name] = SECRET_NAME.test(name) ? REDACTED : safeValue(value, depth + 1);
  }
  return safe;
}

function safeValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return safeText(value);
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Error) return safeError(value, depth);
  // Bytes come from the network and may hold anything, a password message for one.
  if (ArrayBuffer.isView(value)) return `(${value.byteLength} bytes)`;
  if (value instanceof Date) return value;
  if (depth >= MAX_DEPTH) return '(nested)';
  if (Array.isArray(value)) return value.slice(0, MAX_ITEMS).map((item) => safeValue(item, depth + 1));
  return safeRecord(Object.entries(value), depth);
}

/** An error's own properties too (code, sqlState, address, …), and its cause. */
function safeError(error: Error, depth: number): Record<string, unknown> {
  return {
    ...safeRecord(Object.entries(error), depth),
    type: error.name,
    message: safeText(error.message),
    ...(error.stack === undefined ? {} : { stack: safeText(error.stack) }),
    ...(error.cause === undefined || depth >= MAX_DEPTH ? {} : { cause: safeValue(error.cause, depth + 1) }),
  };
}
