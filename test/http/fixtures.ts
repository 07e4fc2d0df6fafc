/** An HTTP endpoint on a free port, over sources that a test can change. */
import type { TestContext } from 'node:test';
import type { DatabaseHealth, Readiness } from '../../src/http/health.ts';
import { listenHttp } from '../../src/http/server.ts';
import type { LogFields } from '../../src/observability/logger.ts';
import { silentLogger } from '../../src/observability/logger.ts';

export const appHealth: DatabaseHealth = {
  name: 'app',
  host: 'db.internal',
  port: 5432,
  paused: false,
  disabled: false,
  servers: { active: 3, idle: 1, used: 0, tested: 0, login: 2 },
  clients: { active: 10, waiting: 4 },
  lastConnectAge: 1500,
  lastError: undefined,
};

export interface Fixture {
  readonly port: number;
  readonly url: string;
  readonly logged: { readonly fields: LogFields; readonly message: string }[];
  readiness: Readiness;
  databases: DatabaseHealth[];
  metrics: () => Promise<string>;
  readonly close: () => Promise<void>;
}

export async function startEndpoint(context: TestContext): Promise<Fixture> {
  const logged: { fields: LogFields; message: string }[] = [];
  const state: Pick<Fixture, 'readiness' | 'databases' | 'metrics'> = {
    readiness: { kind: 'ready' },
    databases: [appHealth],
    metrics: () => Promise.resolve('up 1\n'),
  };
  const endpoint = await listenHttp({
    host: '127.0.0.1',
    port: 0,
    logger: { ...silentLogger, error: (fields, message) => logged.push({ fields, message }) },
    health: { readiness: () => state.readiness, databases: () => state.databases },
    scrape: async () => ({ contentType: 'text/plain; version=0.0.4', body: await state.metrics() }),
  });
  context.after(() => endpoint.close());
  const { port } = endpoint.address;
  return Object.assign(state, {
    port,
    logged,
    url: `http://127.0.0.1:${port}`,
    close: () => endpoint.close(),
  });
}
