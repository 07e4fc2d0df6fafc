/** `ostler demo`: a PostgreSQL of one's own behind the pooler, and what to paste to use it. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts';

/** The role, and the database that it owns. */
const APPLICATION = 'app';

export interface Demo {
  /** What the daemon is to run with; rewritten at every start, because PostgreSQL takes any free port. */
  readonly configFile: string;
  /** For people, once the daemon listens at these ports of this machine. An `httpPort` of 0: no metrics. */
  welcome(port: number, httpPort: number): string;
  /** Stops PostgreSQL, after the daemon. Its data stays. */
  stop(): Promise<void>;
}

/** Starts PostgreSQL with its data under `folder`, and writes the daemon's configuration. */
export async function startDemo(folder: string): Promise<Demo> {
  const postgres = await startEmbeddedPostgres({ folder, application: APPLICATION });
  try {
    const configFile = join(postgres.home, 'ostler.toml');
    await writeFile(configFile, configuration(postgres), { mode: 0o600 });
    return {
      configFile,
      welcome: (port, httpPort) => welcome(postgres, configFile, port, httpPort),
      stop: () => postgres.stop(),
    };
  } catch (error) {
    await postgres.stop();
    throw error;
  }
}

function configuration({ host, port, password }: EmbeddedPostgres): string {
  return `# Written by "ostler demo" at every start.
[ostler]
listen_addr = "127.0.0.1"
listen_port = 6432
pool_mode = "transaction"
admin_users = ["${APPLICATION}"]
server_tls_sslmode = "disable"

[databases.${APPLICATION}]
host = "${host}"
port = ${String(port)}

[users.${APPLICATION}]
password = "${password}"
`;
}

function welcome({ password }: EmbeddedPostgres, configFile: string, port: number, httpPort: number): string {
  const url = (database: string): string =>
    `postgresql://${APPLICATION}:${password}@127.0.0.1:${String(port)}/${database}`;
  const lines = [
    '',
    `ostler pools an embedded PostgreSQL on 127.0.0.1:${String(port)}. Ctrl-C stops both; the data stays.`,
    '',
    'psql:',
    `    psql '${url(APPLICATION)}'`,
    'the console (SHOW HELP, SHOW POOLS):',
    `    psql '${url('pgbouncer')}'`,
    'Django:',
    '    DATABASES = {',
    '        "default": {',
    '            "ENGINE": "django.db.backends.postgresql",',
    `            "NAME": "${APPLICATION}",`,
    `            "USER": "${APPLICATION}",`,
    `            "PASSWORD": "${password}",`,
    '            "HOST": "127.0.0.1",',
    `            "PORT": "${String(port)}",`,
    '        }',
    '    }',
  ];
  if (httpPort !== 0) lines.push('metrics:', `    http://127.0.0.1:${String(httpPort)}/metrics`);
  lines.push('configuration:', `    ${configFile}`, '', '');
  return lines.join('\n');
}
