/** Settings of logs, statistics, metrics and health. */
import { address, boolean, choice, duration, integer } from './kinds.ts';
import { setting } from './setting.ts';

export const seeing = {
  log_level: setting(choice('debug', 'info', 'warn', 'error', 'silent'), {
    default: 'info',
    reload: 'live',
    help: 'The least severe lines that are logged. Logs are JSON lines on standard output.',
  }),
  log_connections: setting(boolean, {
    default: false,
    reload: 'live',
    help: 'Log logins at level info; otherwise they are at level debug.',
  }),
  log_disconnections: setting(boolean, {
    default: false,
    reload: 'live',
    help: 'Log disconnections and their reason at level info; otherwise they are at level debug.',
  }),
  stats_period: setting(duration, {
    default: '60s',
    reload: 'live',
    help: 'The span of the averages in SHOW STATS, and of the line of statistics in the log (level debug).',
  }),
  http_addr: setting(address, {
    default: '127.0.0.1',
    reload: 'restart',
    help: 'Address of /metrics, /live, /ready and /health. They ask for no password.',
  }),
  http_port: setting(integer(0, 65_535), {
    default: 9127,
    reload: 'restart',
    help: 'Port of /metrics, /live, /ready and /health. 0: off.',
  }),
};
