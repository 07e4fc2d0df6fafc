import { after, before, describe, test } from 'node:test';
import { type Daemon, startDaemon } from '../support/daemon.ts';

const config = (period: string): string => `
[ostler]
listen_addr = "127.0.0.1"
listen_port = 0
http_port = 0
log_level = "debug"
stats_period = "${period}"
[databases.app]
host = "127.0.0.1"
[users.app]
password = "x"
`;

describe('stats_period', () => {
  let daemon: Daemon;
  before(async () => {
    daemon = await startDaemon({ config: config('1h') });
  });
  after(() => daemon.stop());

  test('holds from the RELOAD on that changes it', async () => {
    await daemon.writeConfig(config('100ms'));
    process.kill(daemon.pid, 'SIGHUP');
    await daemon.waitForLog((line) => line['msg'] === 'stats');
  });
});
