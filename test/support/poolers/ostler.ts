/** The daemon of this checkout as a process of its own, in transaction mode. */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePort } from '../ports.ts';
import { HOST, launch, type Pooler, type PoolerKind, type PoolerOptions } from './pooler.ts';

const MAIN = resolve(import.meta.dirname, '../../../src/main.ts');

/** `main` is what Node runs: `src/main.ts`, or the `dist/main.js` that is shipped. */
export function ostler(main: string = MAIN): PoolerKind {
  return {
    name: 'ostler',
    limitsServers: true,
    namedPreparedStatements: true,
    sessionState: true,
    start: (options) => start(resolve(main), options),
  };
}

async function start(main: string, options: PoolerOptions): Promise<Pooler> {
  const folder = await mkdtemp(join(tmpdir(), 'ostler-under-test-'));
  const port = await freePort();
  const file = join(folder, 'ostler.toml');
  await writeFile(file, toml(options, port), { mode: 0o600 });
  return launch({
    name: 'ostler',
    command: process.execPath,
    // As the image and the installed command run it.
    args: ['--max-semi-space-size=4', main, 'run', file],
    port,
    folder,
    // Drains, which takes no time once the clients are gone, and then ends with status 0.
    stopSignal: 'SIGTERM',
    options,
  });
}

function toml(options: PoolerOptions, port: number): string {
  const { certificate, server } = options;
  const { host, port: serverPort } = server;
  const settings: Record<string, string | number | boolean> = {
    listen_addr: HOST,
    listen_port: port,
    http_port: 0,
    pool_mode: 'transaction',
    auth_type: options.authType ?? 'scram-sha-256',
    default_pool_size: options.poolSize,
    ...(certificate !== undefined && {
      client_tls_sslmode: 'allow',
      client_tls_cert_file: certificate.certFile,
      client_tls_key_file: certificate.keyFile,
    }),
    ...options.settings,
  };
  const databases = options.databases.map((name) =>
    section(`databases.${JSON.stringify(name)}`, { host, port: serverPort }),
  );
  const users = Object.entries(options.users).map(([name, password]) =>
    section(`users.${JSON.stringify(name)}`, { password }),
  );
  return [section('ostler', settings), ...databases, ...users].join('\n');
}

/** TOML's basic strings escape as JSON's do. */
function section(name: string, values: Readonly<Record<string, string | number | boolean>>): string {
  const lines = Object.entries(values).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`);
  return `[${name}]\n${lines.join('')}`;
}
