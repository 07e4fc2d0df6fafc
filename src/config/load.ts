/** The file and the environment → one frozen Config, or the list of everything wrong with them. */
import type { Config } from './config.ts';
import { readDatabaseUrl } from './database-url.ts';
import { Document } from './document.ts';
import { applyEnvironment, hasOverrides } from './environment.ts';
import type { Outside } from './interpolate.ts';
import { reason } from './interpolate.ts';
import type { Origin, Problem, Report } from './problem.ts';
import { problem } from './problem.ts';
import { findings } from './rules.ts';
import { readToml } from './toml-document.ts';
import { validate } from './validate.ts';

export interface ConfigSource extends Outside {
  /** The file's path, for messages; it is read unless `text` is given. */
  readonly path?: string | undefined;
  readonly text?: string | undefined;
}

interface LoadedConfig {
  readonly ok: true;
  readonly config: Config;
  /** Where `['ostler', KEY]`, `['databases', NAME]` or `['users', NAME, KEY]` was written; undefined for a default. */
  readonly locate: (path: readonly string[]) => Origin | undefined;
  readonly warnings: readonly Problem[];
}

export type LoadResult =
  | LoadedConfig
  | {
      readonly ok: false;
      readonly problems: readonly Problem[];
      /** What can be made of it all the same, if what it says of secrets is right: they can be looked at too. */
      readonly rest?: Pick<LoadedConfig, 'config' | 'locate'> | undefined;
    };

/** Never throws for what is in the file, the environment or the files that they name. */
export function loadConfig(source: ConfigSource): LoadResult {
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  const wrong = new Set<Origin>();
  const report: Report = (origin, ...rest) => {
    wrong.add(origin);
    problems.push(problem(origin, ...rest));
  };
  const warn: Report = (...found) => void warnings.push(problem(...found));

  const document = readDocument(source, report, warn);
  if (document === undefined) return { ok: false, problems };
  applyEnvironment(document, source, report);
  const config = validate(document, source.path, report);

  const sound = problems.length === 0;
  for (const { path, message, hint, warning } of findings(config)) {
    const origin = document.locate(path) ?? document.locate(path.slice(0, 2)) ?? document.origin;
    // A value that was left out as wrong, or a text that could not be read, breaks rules that the real one may keep.
    if (!sound && (wrong.has(origin) || origin === document.origin)) continue;
    (warning === true ? warn : report)(origin, message, hint);
  }
  const locate = (path: readonly string[]): Origin | undefined => document.locate(path);
  if (problems.length === 0) return { ok: true, config, locate, warnings };
  const isRight = (key: string): boolean => {
    const origin = locate(['ostler', key]);
    return origin === undefined || !wrong.has(origin);
  };
  const rest = isRight('auth_type') && isRight('auth_file') ? { config, locate } : undefined;
  return { ok: false, problems: inFileOrder(problems), rest };
}

function readDocument(source: ConfigSource, report: Report, warn: Report): Document | undefined {
  const { path, env } = source;
  if (path?.endsWith('.ini') === true) {
    report(
      { file: path },
      'PgBouncer ini files are not read yet',
      'write the settings as TOML: config/ostler.toml shows how',
    );
    return undefined;
  }
  const text = source.text ?? (path === undefined ? undefined : readText(path, source, report));
  if (text !== undefined) return readToml(text, path ?? 'configuration', source, report);
  if (path !== undefined) return undefined;
  const url = env['DATABASE_URL'];
  if (url !== undefined && url !== '') return readDatabaseUrl(url, report, warn);
  const origin: Origin = { file: 'environment' };
  if (hasOverrides(env)) return new Document(origin);
  report(origin, 'there is no configuration', 'name a file, or set DATABASE_URL');
  return undefined;
}

function readText(path: string, { readFile }: Outside, report: Report): string | undefined {
  try {
    return readFile(path);
  } catch (error) {
    report({ file: path }, `cannot be read${reason(error)}`);
    return undefined;
  }
}

/** File by file and by line; what has none, from the environment, comes last. */
export function inFileOrder(problems: readonly Problem[]): readonly Problem[] {
  const files = [...new Set(problems.map(({ file }) => file))];
  const rank = ({ file, line, column }: Problem): readonly number[] => [
    line === undefined ? 1 : 0,
    files.indexOf(file),
    line ?? 0,
    column ?? 0,
  ];
  return problems.toSorted((a, b) => {
    const other = rank(b);
    return rank(a).reduce((difference, value, index) => difference || value - (other[index] ?? 0), 0);
  });
}
