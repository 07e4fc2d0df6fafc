/** Something wrong with a configuration, in words for the person who wrote it. Never contains a configured value. */

/** Where a value was written: a place in a file, or a variable of the environment. */
export interface Origin {
  /** The file's path; or, without a line, what else gave the value: "environment variable X". */
  readonly file: string;
  /** From 1. */
  readonly line?: number;
  /** From 1. */
  readonly column?: number;
}

export interface Problem extends Origin {
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
}

/** Collects everything wrong, so that it can be told at once. */
export type Report = (origin: Origin, message: string, hint?: string) => void;

/** One line: `ostler.toml:3:1: unknown setting "listen_prot" in [ostler]; did you mean "listen_port"?` */
export function formatProblem({ file, line, column, message, hint }: Problem): string {
  const place = [file, line, column].filter((part) => part !== undefined).join(':');
  return `${place}: ${message}${hint === undefined ? '' : `; ${hint}`}`;
}

export function problem(origin: Origin, message: string, hint?: string): Problem {
  return { ...origin, message, ...(hint === undefined ? {} : { hint }) };
}
