/** One test a scenario of a Python script, each with all its clients at once through the pooler, and the servers counted meanwhile. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { join } from 'node:path';
import { chosenPooler } from '../../support/poolers/chosen.ts';
import { type ArenaOptions, useArena } from '../../support/arena.ts';
import { runProgram } from './programs.ts';
import { findPython } from './python.ts';

export interface Scenario {
  /** The name of its function. */
  readonly name: string;
  readonly claim: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Needs a pooler that knows named prepared statements. */
  readonly prepares?: boolean;
  /** Is one client, which cannot keep a pool busy. */
  readonly alone?: boolean;
}

export interface Script extends Pick<ArenaOptions, 'poolSize' | 'settings' | 'postgres'> {
  readonly subject: string;
  /** Relative to test/clients. */
  readonly file: string;
  readonly scenarios: readonly Scenario[];
}

export async function describeScript({ subject, file, scenarios, ...options }: Script): Promise<void> {
  const python = await findPython();
  if (python.kind === 'missing') {
    test(subject, { skip: python.reason }, () => undefined);
    return;
  }
  const pooler = await chosenPooler();
  const path = join(import.meta.dirname, '..', file);
  describe(`${subject} through ${pooler.name}`, () => {
    const arena = useArena({ ...options, pooler });
    for (const { name, claim, environment = {}, prepares = false, alone = false } of scenarios) {
      const unable = prepares && !pooler.namedPreparedStatements;
      const skip = unable ? `${pooler.name} does not know named prepared statements` : false;
      test(claim, { skip }, async () => {
        const variables = {
          ...arena().environment,
          ...environment,
          ...(pooler.namedPreparedStatements && { PREPARE: 'yes' }),
          PYTHONDONTWRITEBYTECODE: '1',
        };
        const peak = await arena().watching(() =>
          runProgram(python.value, [path, name], { environment: variables }),
        );
        if (pooler.limitsServers && !alone)
          assert.equal(peak, options.poolSize, 'the load kept the whole pool busy');
      });
    }
  });
}
