/** RELOAD and SHUTDOWN. */
import { SqlState } from '../../protocol/sql-state.ts';
import { commandError } from '../command.ts';
import type { ShutdownMode } from '../console-host.ts';
import type { Control } from './control.ts';

export const reload: Control = {
  argument: 'none',
  usage: '',
  async run({ host }) {
    const result = await host.reload();
    if (result.kind === 'failed') {
      throw commandError('RELOAD failed', SqlState.configFileError, {
        detail: result.problems.join('\n'),
        hint: 'Nothing has been changed.',
      });
    }
    if (result.needRestart.length === 0) return { tag: 'RELOAD' };
    return {
      tag: 'RELOAD',
      notice: { message: `changes that need a restart: ${result.needRestart.join(', ')}` },
    };
  },
};

const modes: ReadonlyMap<string, ShutdownMode> = new Map([
  ['', 'now'],
  ['WAIT_FOR_SERVERS', 'wait_for_servers'],
  ['WAIT_FOR_CLIENTS', 'wait_for_clients'],
]);

export const shutdown: Control = {
  argument: 'how to shut down',
  usage: '[WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS]',
  run({ host }, argument = '') {
    const mode = modes.get(argument.toUpperCase());
    if (mode === undefined) throw commandError(`bad SHUTDOWN mode '${argument}'`, SqlState.syntaxError);
    host.shutdown(mode);
    return { tag: 'SHUTDOWN' };
  },
};
