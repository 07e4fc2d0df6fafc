/** KILL and KILL_CLIENT. */
import { ClientError } from '../../protocol/errors.ts';
import { SqlState } from '../../protocol/sql-state.ts';
import { consoleError } from '../../pool/pauses.ts';
import { commandError } from '../command.ts';
import { checkDatabase, type Control, throwIf } from './control.ts';

export const kill: Control = {
  argument: 'database, or none',
  usage: '[<db>]',
  run(context, database) {
    checkDatabase(context, 'kill', database);
    const { pooler } = context.host;
    if (database === undefined && pooler.pools.pauses.isEverythingPaused) {
      throw consoleError('already suspended/paused');
    }
    const error = new ClientError('database removed', { sqlState: SqlState.adminShutdown });
    // Before the servers, so that nobody is told of a crash.
    for (const client of pooler.clients.all.values()) {
      if (database === undefined || client.pool.database === database) client.fail(error, 'killed');
    }
    throwIf(pooler.pools.kill(error, database));
    return { tag: 'KILL' };
  },
};

/** The id of SHOW CLIENTS, or what stands under `ptr` there. */
const clientId = /^(?:0x[0-9a-f]+|\d+)$/i;

export const killClient: Control = {
  argument: 'client',
  usage: '<client_id>',
  run({ host, source }, argument = '') {
    if (!clientId.test(argument)) {
      throw commandError('invalid client pointer supplied', SqlState.syntaxError, {
        hint: 'KILL_CLIENT takes the id that SHOW CLIENTS shows.',
      });
    }
    const id = Number(argument);
    const error = new ClientError('admin forced disconnect', { sqlState: SqlState.adminShutdown });
    const client = host.pooler.clients.all.get(id) ?? [...source.consoles()].find((other) => other.id === id);
    if (client === undefined) throw commandError('client not found', SqlState.undefinedObject);
    client.fail(error, 'killed');
    return { tag: 'KILL_CLIENT' };
  },
};
