/** PAUSE and RESUME, RECONNECT and WAIT_CLOSE. PAUSE and WAIT_CLOSE answer when what they wait for has come true. */
import { SqlState } from '../../protocol/sql-state.ts';
import { canceledByUser, cancelled, commandError } from '../command.ts';
import { checkDatabase, type Control, throwIf } from './control.ts';

export const pause: Control = {
  argument: 'database, or none',
  usage: '[<db>]',
  async run(context, database) {
    checkDatabase(context, 'pause', database);
    const { pools } = context.host.pooler;
    throwIf(pools.pause(database));
    const outcome = await pools.drained(database, context.signal);
    if (outcome === 'aborted') {
      // A console that merely went away leaves the pause behind: somebody is counting on it.
      if (context.signal.reason === cancelled) pools.resume(database);
      throw canceledByUser();
    }
    const { pauses } = pools;
    if (database === undefined ? !pauses.isEverythingPaused : !pauses.covers(database)) {
      // To say PAUSE now would send somebody to take down a server that is in use.
      throw commandError('PAUSE has been ended by RESUME', SqlState.queryCanceled);
    }
    return { tag: 'PAUSE' };
  },
};

export const resume: Control = {
  argument: 'database, or none',
  usage: '[<db>]',
  run(context, database) {
    checkDatabase(context, 'resume', database);
    if (context.host.pooler.admission.refusal !== undefined) {
      throw commandError('pooler is shutting down', SqlState.objectNotInPrerequisiteState);
    }
    throwIf(context.host.pooler.pools.resume(database));
    return { tag: 'RESUME' };
  },
};

export const reconnect: Control = {
  argument: 'database, or none',
  usage: '[<db>]',
  async run(context, database) {
    checkDatabase(context, 'reconnect', database);
    const { pools } = context.host.pooler;
    if ((await pools.mayReconnect(database, context.signal)) === 'aborted') throw canceledByUser();
    pools.reconnect(database);
    return { tag: 'RECONNECT' };
  },
};

export const waitClose: Control = {
  argument: 'database, or none',
  usage: '[<db>]',
  async run(context, database) {
    checkDatabase(context, 'wait in', database);
    const outcome = await context.host.pooler.pools.reconnected(database, context.signal);
    if (outcome === 'aborted') throw canceledByUser();
    return { tag: 'WAIT_CLOSE' };
  },
};
