/** Loading a configuration from text, as tests want it. */
import assert from 'node:assert/strict';

import type { Config } from '../../src/config/config.ts';
import type { LoadResult } from '../../src/config/load.ts';
import { loadConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';

interface Surroundings {
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
}

/** As much as a configuration needs to be right. */
export const DATABASE = '[databases.app]\nhost = "127.0.0.1"\n';
export const USER = '[users.app]\npassword = "hush"\n';

export function load(text: string | undefined, { env = {}, files = {} }: Surroundings = {}): LoadResult {
  const readFile = (path: string): string => {
    const content = files[path];
    if (content === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    return content;
  };
  return loadConfig({ path: text === undefined ? undefined : 'ostler.toml', text, env, readFile });
}

export function configOf(text: string | undefined, surroundings?: Surroundings): Config {
  const result = load(text, surroundings);
  assert.ok(result.ok, result.ok ? '' : result.problems.map(formatProblem).join('\n'));
  return result.config;
}

export function problemsOf(text: string | undefined, surroundings?: Surroundings): readonly string[] {
  const result = load(text, surroundings);
  return result.ok ? [] : result.problems.map(formatProblem);
}

export function warningsOf(text: string | undefined, surroundings?: Surroundings): readonly string[] {
  const result = load(text, surroundings);
  assert.ok(result.ok, result.ok ? '' : result.problems.map(formatProblem).join('\n'));
  return result.warnings.map(formatProblem);
}
