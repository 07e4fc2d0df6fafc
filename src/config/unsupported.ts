/** PgBouncer's settings that ostler does not have, with what to do instead: people bring their files along. */

const supervised = 'ostler runs in the foreground; leave this to the container or the service manager';
const logged = 'ostler logs JSON lines to standard output';
const tuned = 'ostler sizes its buffers itself';
const asked = 'users come from [users] and auth_file';

const advice = new Map<string, string>([
  ['logfile', logged],
  ['syslog', logged],
  ['syslog_ident', logged],
  ['syslog_facility', logged],
  ['verbose', 'set log_level'],
  ['log_stats', 'see /metrics and SHOW STATS'],
  ['log_pooler_errors', 'set log_level'],
  ['pidfile', supervised],
  ['user', supervised],
  ['conffile', supervised],
  ['job_name', supervised],
  ['service_name', supervised],
  ['unix_socket_group', 'give the folder of the socket the group'],
  ['so_reuseport', 'one ostler process listens'],
  ['peer_id', 'one ostler process listens'],
  ['resolv_conf', "names are looked up by the system's resolver"],
  ['dns_nxdomain_ttl', 'failed look-ups are not kept'],
  ['dns_zone_check_period', "names are looked up by the system's resolver"],
  ['pkt_buf', tuned],
  ['sbuf_loopcnt', tuned],
  ['tcp_socket_buffer', tuned],
  ['tcp_defer_accept', tuned],
  ['suspend_timeout', 'there is no SUSPEND'],
  ['server_reset_query_always', 'in transaction mode what a client sets does not reach another'],
  ['server_fast_close', 'a server is closed as soon as its client lets go of it'],
  ['disable_pqexec', 'simple queries are always allowed'],
  ['track_extra_parameters', 'every parameter that the server reports follows the client'],
  ['login_notify_message', 'clients get no NOTICE at login'],
  ['pool_idle_timeout', 'an empty pool costs nothing'],
  ['auth_hba_file', 'set auth_type'],
  ['auth_ident_file', 'set auth_type'],
  ['auth_ldap_options', 'set auth_type'],
  ['auth_user', asked],
  ['auth_query', asked],
  ['auth_dbname', asked],
  ['client_tls_ecdhcurve', 'the TLS library chooses the curve'],
  ['client_tls_dheparams', 'the TLS library chooses the parameters'],
  ['load_balance_hosts', 'an entry has one host'],
  ['reserve_pool', 'it is called reserve_pool_size'],
]);

export function adviceFor(name: string): string | undefined {
  return advice.get(name);
}

/** What is said of a name that is in no table; `section` as in "[ostler]". */
export function unknownSetting(name: string, section: string): string {
  const instead = adviceFor(name);
  return instead === undefined
    ? `unknown setting "${name}" in ${section}`
    : `"${name}" has no meaning here: ${instead}`;
}
