/**
 * DATABASE_URL → one database and one user.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
 */
import { Document } from './document.ts';
import type { Origin, Report } from './problem.ts';
import { didYouMean } from './suggest.ts';

const origin: Origin = { file: 'DATABASE_URL' };

/** libpq's parameters, and the key of the database entry that each of them becomes. */
const databaseKeys = new Map([
  ['sslmode', 'server_tls_sslmode'],
  ['sslrootcert', 'server_tls_ca_file'],
  ['sslcert', 'server_tls_cert_file'],
  ['sslkey', 'server_tls_key_file'],
  ['application_name', 'application_name'],
  ['client_encoding', 'client_encoding'],
  ['host', 'host'],
  ['port', 'port'],
]);
const settingKeys = new Map([['connect_timeout', 'server_connect_timeout']]);

/** Parameters whose values here ask for nothing that ostler does not do anyway. */
const harmless = new Map([
  ['channel_binding', ['disable', 'prefer']],
  ['gssencmode', ['disable', 'prefer']],
  ['target_session_attrs', ['any']],
]);

/** As in libpq the host may stand among the parameters only, where a URL with a user cannot do without one. */
const HOSTLESS = /^(postgres(?:ql)?:\/\/[^/?#]*@)(?=[/?]|$)/i;
const NO_HOST = 'none.invalid';

/** Nothing of the URL is ever repeated in a report: it holds a password. */
export function readDatabaseUrl(text: string, report: Report, warn: Report): Document {
  const document = new Document(origin);
  const complete = text.replace(HOSTLESS, `$1${NO_HOST}`);
  const url = URL.canParse(complete) ? new URL(complete) : undefined;
  if (url === undefined) {
    report(origin, 'is not a URL', 'special characters in user and password must be percent-encoded');
    return document;
  }
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:') {
    report(origin, 'must begin postgres:// or postgresql://');
    return document;
  }
  if (url.hash !== '') report(origin, 'has a "#"', 'write it %23 where it belongs to a password or name');

  const decode = (part: string, what: string): string => {
    const decoded = decodePart(part);
    if (decoded === undefined)
      report(origin, `the ${what} is not valid percent-encoding`, 'a plain "%" is written %25');
    return decoded ?? '';
  };
  const user = decode(url.username, 'user') || (url.searchParams.get('user') ?? '');
  const password = decode(url.password, 'password') || (url.searchParams.get('password') ?? '');
  if (user === '') {
    report(origin, 'names no user');
    return document;
  }
  // As in libpq, a URL without a database means the one called like the user.
  const name = decode(url.pathname.slice(1), 'database') || user;
  const database = document.entry('databases', name, origin);
  const login = document.entry('users', user, origin);
  database.set('user', user, origin);
  if (password !== '') {
    database.set('password', password, origin);
    login.set('password', password, origin);
  }
  const host = decode(url.hostname.replace(/^\[|\]$/g, ''), 'host');
  if (host !== '' && host !== NO_HOST) database.set('host', host, origin);
  if (url.port !== '') database.set('port', url.port, origin);
  applyParameters(document, name, url.searchParams, report, warn);
  return document;
}

function applyParameters(
  document: Document,
  name: string,
  parameters: URLSearchParams,
  report: Report,
  warn: Report,
): void {
  const known = [...databaseKeys.keys(), ...settingKeys.keys()];
  for (const [parameter, value] of parameters) {
    const databaseKey = databaseKeys.get(parameter);
    const settingKey = settingKeys.get(parameter);
    if (databaseKey !== undefined) document.entry('databases', name, origin).set(databaseKey, value, origin);
    else if (settingKey !== undefined) document.ostler.set(settingKey, value, origin);
    else if (parameter === 'user' || parameter === 'password') continue;
    else if (harmless.get(parameter)?.includes(value) === true) continue;
    else if (parameter === 'channel_binding') {
      warn(
        origin,
        'channel_binding=require is not enforced',
        'it is used whenever the server offers it over TLS',
      );
    } else if (parameter === 'options') {
      report(
        origin,
        'the parameter "options" cannot be used',
        'clients may send options, or set connect_query in a file',
      );
    } else {
      // Not named: after an unescaped "?" in a password it would be a part of that.
      const hint = didYouMean(parameter, known) ?? `those with one are ${known.join(', ')}`;
      report(origin, 'has a parameter without a meaning here', hint);
    }
  }
}

function decodePart(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
