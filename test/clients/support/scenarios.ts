/** One test a scenario of a client program, each with all its clients at once through the pooler, and the servers counted meanwhile. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { chosenPooler } from '../../support/poolers/chosen.ts';
import type { PoolerKind } from '../../support/poolers/pooler.ts';
import { type ArenaOptions, useArena } from '../../support/arena.ts';
import { type Found, runProgram } from './programs.ts';

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

export interface Script extends Omit<ArenaOptions, 'pooler' | 'certificate'> {
  readonly subject: string;
  /** Finds or makes what is run: a command line that only lacks the scenario's name. */
  readonly program: () => Promise<Found<readonly string[]>>;
  readonly environment?: Readonly<Record<string, string>>;
  /** Needs a pooler that keeps the state of a session. */
  readonly sessionState?: boolean;
  readonly scenarios: readonly Scenario[];
}

/**
 * Three servers that are there from the start and take turns: what a client has set must follow it, for its next
 * transaction is on another server, which another client has just left. Nobody asks for the time zone of PostgreSQL here.
 */
export const TAKING_TURNS = {
  poolSize: 3,
  settings: { min_pool_size: 3, server_round_robin: true },
  // Whoever waits for a lock that a pooler has lost would wait for ever.
  postgres: { timezone: 'America/Lima', lock_timeout: '20s' },
  sessionState: true,
} as const;

export async function describeScript(script: Script): Promise<void> {
  const { subject, scenarios } = script;
  const program = await script.program();
  if (program.kind === 'missing') {
    test(subject, { skip: program.reason }, () => undefined);
    return;
  }
  const [command = '', ...args] = program.value;
  const pooler = await chosenPooler();
  describe(`${subject} through ${pooler.name}`, { skip: unableToServe(pooler, script) }, () => {
    const arena = useArena({ ...script, pooler });
    for (const { name, claim, environment = {}, prepares = false, alone = false } of scenarios) {
      const unable = prepares && !pooler.namedPreparedStatements;
      const skip = unable ? `${pooler.name} does not know named prepared statements` : false;
      test(claim, { skip }, async () => {
        const variables = {
          ...arena().environment,
          ...script.environment,
          ...environment,
          ...(pooler.namedPreparedStatements && { PREPARE: 'yes' }),
          ...(pooler.limitsServers && { SERVERS: String(script.poolSize) }),
          PYTHONDONTWRITEBYTECODE: '1',
        };
        const peak = await arena().watching(() =>
          runProgram(command, [...args, name], { environment: variables }),
        );
        if (pooler.limitsServers && !alone)
          assert.equal(peak, script.poolSize, 'the load kept the whole pool busy');
      });
    }
  });
}

function unableToServe(pooler: PoolerKind, { sessionState = false }: Script): string | false {
  return sessionState && !pooler.sessionState ? `${pooler.name} does not keep the state of a session` : false;
}
