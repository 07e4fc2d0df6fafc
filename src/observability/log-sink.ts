/**
 * The daemon's log: pino's JSON lines on stdout, made safe, repeats collapsed, levels changeable while running.
 *
 *     Logger ▶ level ▶ repeats ▶ log-fields ▶ pino ▶ log-destination ▶ stdout
 */
import type { Writable } from 'node:stream';
import type { DestinationStream } from 'pino';
import type { Clock } from '../base/clock.ts';
import { LogDestination } from './log-destination.ts';
import { safeFields, safeText } from './log-fields.ts';
import { LOG_LEVELS, type LineLevel, type Logger, type LogLevel } from './logger.ts';
import { Repeats, type WriteLine } from './repeats.ts';

const DEFAULT_REPEAT_INTERVAL = 10_000;

export interface LogOptions {
  readonly level: LogLevel;
  readonly clock: Clock;
  /** process.stdout unless told otherwise. */
  readonly stream?: Writable;
  /** For people instead of machines; only where pino-pretty is installed, which is in development. */
  readonly pretty?: boolean;
  /** How often a repeated line may be written, in ms. */
  readonly repeatInterval?: number;
}

export interface LogSink {
  readonly logger: Logger;
  /** How many lines nobody will ever read, because the reader was too slow or gone. */
  droppedLines(): number;
  setLevel(level: LogLevel): void;
  /** Writes what is outstanding; to be awaited before process.exit. Lines logged afterwards may be lost. */
  close(): Promise<void>;
}

/** pino is imported here and not at the top, so that `ostler --version` does not pay for it. */
export async function openLog(options: LogOptions): Promise<LogSink> {
  const { pino, stdTimeFunctions } = await import('pino');
  const stream = options.stream ?? process.stdout;
  const destination = new LogDestination(stream);
  const pretty = options.pretty === true ? await prettyStream(stream) : undefined;
  const lines = pino(
    {
      // Our own threshold decides, before repeats are counted.
      level: 'debug',
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pretty ?? destination,
  );
  const write: WriteLine = (level, fields, message) => {
    lines[level](safeFields(fields), safeText(message));
  };

  const interval = options.repeatInterval ?? DEFAULT_REPEAT_INTERVAL;
  const repeats = new Repeats(options.clock, interval, write);
  const sweep = setInterval(() => {
    repeats.tick();
  }, interval).unref();

  let threshold = LOG_LEVELS.indexOf(options.level);
  const at = (level: LineLevel): Logger[LineLevel] => {
    const rank = LOG_LEVELS.indexOf(level);
    return (fields, message) => {
      if (rank >= threshold) repeats.log(level, fields, message);
    };
  };
  return {
    logger: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    droppedLines: () => destination.droppedLines,
    setLevel: (level) => {
      threshold = LOG_LEVELS.indexOf(level);
    },
    close: () => {
      clearInterval(sweep);
      repeats.flush();
      return destination.close();
    },
  };
}

/** pino-pretty is a development dependency: where it is missing, JSON it is. */
async function prettyStream(stream: Writable): Promise<DestinationStream | undefined> {
  try {
    const { default: pinoPretty } = await import('pino-pretty');
    return pinoPretty({ destination: stream, colorize: true, translateTime: 'HH:MM:ss.l', sync: true });
  } catch {
    return undefined;
  }
}
