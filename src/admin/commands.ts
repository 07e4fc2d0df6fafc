/** Every command of the console, in one table; and from what was typed to the command that it is. */
import { SqlState } from '../protocol/sql-state.ts';
import { type CommandContext, commandError, type Reply, type Statement } from './command.ts';
import type { Control } from './control/control.ts';
import { reload, shutdown } from './control/daemon.ts';
import { disable, enable } from './control/enable.ts';
import { kill, killClient } from './control/kill.ts';
import { pause, reconnect, resume, waitClose } from './control/pause.ts';
import { set } from './control/set.ts';
import { pleasantry, select, showSetting } from './driver.ts';
import { invalidCommand, isWord, type Sentence, type Token } from './grammar.ts';
import { showConfig } from './show/config.ts';
import { showDatabases } from './show/databases.ts';
import { showDnsHosts } from './show/dns.ts';
import { showDnsZones, showPeerPools, showPeers } from './show/empty.ts';
import { showLists } from './show/lists.ts';
import { showPins } from './show/pins.ts';
import { showPools } from './show/pools.ts';
import { showActiveSockets, showClients, showServers, showSockets } from './show/sockets.ts';
import { showMem, showState, showVersion } from './show/state.ts';
import { showStats, showStatsAverages, showStatsTotals, showTotals } from './show/stats.ts';
import { showUsers } from './show/users.ts';
import type { Show } from './table.ts';

/** SHOW …: for admin_users and stats_users. */
const shows: ReadonlyMap<string, Show> = new Map([
  ['VERSION', showVersion],
  ['CLIENTS', showClients],
  ['SERVERS', showServers],
  ['SOCKETS', showSockets],
  ['ACTIVE_SOCKETS', showActiveSockets],
  ['POOLS', showPools],
  ['DATABASES', showDatabases],
  ['USERS', showUsers],
  ['PINS', showPins],
  ['STATS', showStats],
  ['STATS_TOTALS', showStatsTotals],
  ['STATS_AVERAGES', showStatsAverages],
  ['TOTALS', showTotals],
  ['LISTS', showLists],
  ['CONFIG', showConfig],
  ['STATE', showState],
  ['MEM', showMem],
  ['DNS_HOSTS', showDnsHosts],
  ['DNS_ZONES', showDnsZones],
  ['PEERS', showPeers],
  ['PEER_POOLS', showPeerPools],
]);

/** What changes something: for admin_users. SET has a syntax of its own. */
const controls: ReadonlyMap<string, Control> = new Map([
  ['PAUSE', pause],
  ['RESUME', resume],
  ['DISABLE', disable],
  ['ENABLE', enable],
  ['RECONNECT', reconnect],
  ['KILL', kill],
  ['KILL_CLIENT', killClient],
  ['WAIT_CLOSE', waitClose],
  ['RELOAD', reload],
  ['SHUTDOWN', shutdown],
]);

/** PgBouncer's, and not ours. */
const missing: ReadonlyMap<string, string> = new Map([
  ['SUSPEND', 'PAUSE lets transactions finish and holds back the rest.'],
  ['FDS', 'Sockets are not handed to another process.'],
]);

/** What a sentence means. @throws {ClientError} 42601 for what is no command */
export function understand(sentence: Sentence): Statement {
  const [first, ...rest] = sentence.tokens;
  const verb = first?.kind === 'word' ? first.text.toUpperCase() : '';
  if (verb === 'SHOW') return show(rest) ?? unknown(sentence, rest[0]);
  // SELECT x stands for SHOW x.
  if (verb === 'SELECT') return select(rest) ?? show(rest) ?? unknown(sentence, rest[0]);
  if (verb === 'SET') return set(sentence);
  const control = controls.get(verb);
  if (control !== undefined) return controlStatement(verb, control, sentence);
  return pleasantry(sentence) ?? unknown(sentence, first);
}

function show(tokens: readonly Token[]): Statement | undefined {
  const [name] = tokens;
  if (tokens.length === 1 && isWord(name, 'HELP')) return help;
  const found = tokens.length === 1 && name?.kind === 'word' ? shows.get(name.text.toUpperCase()) : undefined;
  if (found === undefined) return showSetting(tokens);
  return {
    right: 'stats',
    columns: found.columns,
    run: (context) => ({ tag: 'SHOW', rows: found.rows(context) }),
  };
}

function unknown(sentence: Sentence, token: Token | undefined): never {
  const hint = token?.kind === 'word' ? missing.get(token.text.toUpperCase()) : undefined;
  if (hint !== undefined) {
    throw commandError(`${sentence.text.toUpperCase()} is not supported`, SqlState.featureNotSupported, {
      hint,
    });
  }
  throw invalidCommand(sentence);
}

function controlStatement(verb: string, control: Control, sentence: Sentence): Statement {
  const [, argument, ...rest] = sentence.tokens;
  const wordy = argument === undefined || argument.kind === 'word' || argument.kind === 'name';
  if (!wordy || rest.length > 0 || (control.argument === 'none' && argument !== undefined)) {
    throw invalidCommand(sentence);
  }
  if (control.argument === 'database' && argument === undefined) {
    throw commandError('a database is required', SqlState.syntaxError);
  }
  const run = (context: CommandContext): Reply | Promise<Reply> => {
    const { client, host } = context;
    host.pooler.logger.info(
      { user: client.user, client: client.id, argument: argument?.text },
      `console: ${verb}`,
    );
    return control.run(context, argument?.text);
  };
  return { right: 'admin', columns: undefined, run };
}

const usage = [
  `SHOW HELP|${[...shows.keys()].join('|')}`,
  'SET key = arg',
  ...Array.from(controls, ([name, control]) => `${name} ${control.usage}`.trimEnd()),
];

const help: Statement = {
  right: 'stats',
  columns: undefined,
  run: () => ({
    tag: 'SHOW',
    notice: { message: 'Console usage', detail: usage.map((line) => `\n\t${line}`).join('') },
  }),
};
