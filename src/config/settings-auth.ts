/** Settings of who may log in, and how. */
import { boolean, choice, integer, list, optionalText } from './kinds.ts';
import { optional, setting } from './setting.ts';

export const authentication = {
  auth_type: setting(choice('scram-sha-256', 'md5', 'plain', 'trust', 'any'), {
    default: 'scram-sha-256',
    reload: 'new connections',
    help: 'How clients log in. "any" asks for nothing and needs a user in each database entry.',
  }),
  auth_file: optional(optionalText, {
    reload: 'live',
    help: 'PgBouncer\'s userlist.txt: lines of "user" "secret". [users] wins where both name a user.',
  }),
  allow_insecure_auth: setting(boolean, {
    default: false,
    reload: 'live',
    help: 'Allow auth_type trust and any on addresses that other machines can reach.',
  }),
  scram_iterations: setting(integer(1, 10_000_000), {
    default: 4096,
    reload: 'live',
    help: 'Iterations of the SCRAM verifiers that are made from plain-text passwords.',
  }),
  scram_mock_secret: optional(optionalText, {
    reload: 'new connections',
    secret: true,
    help: 'Keeps the salts shown to unknown users the same over restarts and between processes. Random by default.',
  }),
  max_client_logins: setting(integer(1, 1_000_000), {
    default: 256,
    reload: 'live',
    help: 'Client logins in progress at a time; the others wait their turn.',
  }),
  allow_cleartext_server_password: setting(boolean, {
    default: false,
    reload: 'new connections',
    help: 'Send a password in clear to a server that asks for it over a connection without TLS.',
  }),
  admin_users: setting(list, {
    default: [],
    reload: 'live',
    help: 'Users who may run any command on the console.',
  }),
  stats_users: setting(list, {
    default: [],
    reload: 'live',
    help: 'Users who may run the SHOW commands of the console.',
  }),
};
