/** A PgBouncer of this machine in transaction mode: what ostler is measured against, and what shows that a test is right. */
import { execFile } from 'node:child_process';
import { chmod, chown, copyFile, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Account, serverAccount } from '../../../src/cli/postgres-files.ts';
import { freePort } from '../ports.ts';
import { HOST, launch, type Pooler, type PoolerKind, type PoolerOptions } from './pooler.ts';

const run = promisify(execFile);

/** `program` is a path or a name in PATH; throws, saying how to get one, when there is none. */
export async function pgbouncer(program = 'pgbouncer'): Promise<PoolerKind> {
  const version = await versionOf(program);
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const namedPreparedStatements = major > 1 || minor >= 21;
  return {
    name: `PgBouncer ${version}`,
    limitsServers: true,
    namedPreparedStatements,
    sessionState: false,
    start: (options) => start(program, version, namedPreparedStatements, options),
  };
}

async function versionOf(program: string): Promise<string> {
  try {
    const { stdout } = await run(program, ['--version']);
    return /PgBouncer (\S+)/.exec(stdout)?.[1] ?? 'unknown';
  } catch (error) {
    throw new Error(
      `no PgBouncer to compare with: "${program} --version" does not run. ` +
        'Install it (apt-get install pgbouncer, brew install pgbouncer), or name the program with --pgbouncer PATH',
      { cause: error },
    );
  }
}

async function start(
  program: string,
  version: string,
  namedPreparedStatements: boolean,
  options: PoolerOptions,
): Promise<Pooler> {
  // It refuses to run as root, so it runs as the account that PostgreSQL gets for the same reason.
  const account = await serverAccount();
  const folder = await mkdtemp(join(tmpdir(), 'pgbouncer-under-test-'));
  const port = await freePort();
  const own = async (name: string, content: string): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, content);
    await hand(path, account);
    return path;
  };
  const settings: Record<string, string | number | boolean> = {
    listen_addr: HOST,
    listen_port: port,
    unix_socket_dir: '',
    pool_mode: 'transaction',
    auth_type: options.authType ?? 'scram-sha-256',
    auth_file: await own('userlist.txt', userlist(options.users)),
    default_pool_size: options.poolSize,
    ignore_startup_parameters: 'extra_float_digits,options,search_path,jit',
    log_connections: 0,
    log_disconnections: 0,
    ...(namedPreparedStatements && { max_prepared_statements: 200 }),
    ...(options.certificate !== undefined && {
      client_tls_sslmode: 'allow',
      client_tls_cert_file: await copyFor(account, options.certificate.certFile, join(folder, 'tls.crt')),
      client_tls_key_file: await copyFor(account, options.certificate.keyFile, join(folder, 'tls.key')),
    }),
    ...options.settings,
  };
  const file = await own('pgbouncer.ini', ini(options, settings));
  await hand(folder, account);
  return launch({
    name: `PgBouncer ${version}`,
    command: program,
    args: [file],
    account,
    port,
    folder,
    // At once, in every version; what SIGTERM and SIGINT do has changed.
    stopSignal: 'SIGQUIT',
    options,
  });
}

function ini(options: PoolerOptions, settings: Readonly<Record<string, string | number | boolean>>): string {
  const { host, port } = options.server;
  const databases = options.databases.map((name) => `${name} = host=${host} port=${String(port)}`);
  // What is a boolean to ostler is a number to it.
  const plain = (value: string | number | boolean) => (typeof value === 'boolean' ? Number(value) : value);
  const lines = Object.entries(settings).map(([key, value]) => `${key} = ${String(plain(value))}`);
  return ['[databases]', ...databases, '[pgbouncer]', ...lines, ''].join('\n');
}

function userlist(users: Readonly<Record<string, string>>): string {
  const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
  return Object.entries(users)
    .map(([name, password]) => `${quoted(name)} ${quoted(password)}\n`)
    .join('');
}

async function copyFor(account: Account | undefined, from: string, to: string): Promise<string> {
  await copyFile(from, to);
  await hand(to, account);
  return to;
}

async function hand(path: string, account: Account | undefined): Promise<void> {
  if (account === undefined) return;
  await chown(path, account.uid, account.gid);
  await chmod(path, 0o700);
}
