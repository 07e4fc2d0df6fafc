/**
 * The log as other layers see it: an event has fields and a fixed sentence. Whoever logs takes a `Logger` as a parameter;
 * only the daemon opens a real one (log-sink.ts).
 */

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The level of one line. */
export type LineLevel = Exclude<LogLevel, 'silent'>;

/**
 * What an event was about. `database`, `user`, `host`, `sqlState`, `reason` and `reload` also say which lines are the same (repeats.ts).
 * Whatever is in it is made safe before it is written (log-fields.ts); still, put no secret and no SQL in.
 */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

const ignore = (): void => undefined;

/** For tests, and for whoever has nothing to say. */
export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
