/** The command line: which words there are, and what each does. What a command needs is imported when it runs. */
import { text } from 'node:stream/consumers';
import yargs from 'yargs';
import { startFailure } from './start-error.ts';
import { version } from './version.ts';

/** Exit statuses: 1 for a start that failed, 2 for a configuration that is wrong. */
const FAILED = 1;
const WRONG_CONFIG = 2;
/** http_port; said here too, because the table of settings takes longer to load than the whole health check. */
const DEFAULT_HTTP_PORT = 9127;

/** Of scram_iterations. */
const MAX_ITERATIONS = 10_000_000;
/** Seconds that a health check may take. */
const MAX_PATIENCE = 600;

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const complain = (line: string): void => void process.stderr.write(`${line}\n`);

/** Runs one command line (without node and script) and resolves to the exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    return await dispatch(argv);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    complain(`${error.message}\n\nRun "ostler --help" for the commands.`);
    return WRONG_CONFIG;
  }
}

/** A word on the command line does not fit. */
class UsageError extends Error {}

async function dispatch(argv: readonly string[]): Promise<number> {
  let status = 0;
  const run = (command: () => Promise<number>) => async (): Promise<void> => {
    status = await command();
  };
  const config = {
    type: 'string',
    describe: 'TOML file; without it DATABASE_URL and OSTLER__… variables are the configuration',
  } as const;
  const parser = yargs([...argv])
    .scriptName('ostler')
    .usage('$0 [CONFIG]\n\nA connection pooler for PostgreSQL.')
    .command(
      ['run [config]', '$0'],
      'Run the pooler',
      (y) => y.positional('config', config),
      async ({ config: path }) => run(() => starting(() => runPooler(path)))(),
    )
    .command(
      'check [config]',
      'Say whether a configuration is right, and everything that is wrong with it',
      (y) => y.positional('config', config),
      async ({ config: path }) => run(() => check(path))(),
    )
    .command(
      'print-config [config]',
      'Print the effective configuration, secrets hidden',
      (y) => y.positional('config', config),
      async ({ config: path }) => run(() => print(path))(),
    )
    .command(
      'demo',
      'Run the pooler in front of an embedded PostgreSQL',
      {},
      run(() => starting(demo)),
    )
    .command(
      'healthcheck [config]',
      'Ask the running pooler whether it is ready; for HEALTHCHECK and ECS',
      (y) =>
        y
          .positional('config', config)
          .option('path', {
            choices: ['/ready', '/live'] as const,
            default: '/live' as const,
            describe: 'What to ask for',
          })
          .option('timeout', { type: 'number', default: 3, describe: 'Seconds' }),
      async ({ config: path, path: route, timeout }) => run(() => healthcheck(path, route, timeout))(),
    )
    .command(
      'scram-secret',
      'Read a password from standard input, print its SCRAM verifier',
      (y) => y.option('iterations', { type: 'number', default: 4096, describe: 'PBKDF2 iterations' }),
      async ({ iterations }) => run(() => scramSecret(iterations))(),
    )
    .version(`ostler ${version}`)
    .alias('version', 'V')
    .help()
    .alias('help', 'h')
    .strict()
    .exitProcess(false)
    .fail((message, thrown: unknown) => {
      // What a command threw is a bug of ours; a word that does not fit is the user's. Thrown too, or yargs would go on and run it.
      throw thrown instanceof Error ? thrown : new UsageError(message);
    });
  await parser.parseAsync();
  return status;
}

/** What yargs makes of text that is no number is NaN. @throws {UsageError} */
function checkOption(name: string, fits: boolean, kind: string): void {
  if (!fits) throw new UsageError(`--${name} must be ${kind}`);
}

async function load(path: string | undefined) {
  const [{ loadEverything }, { formatProblem }] = await Promise.all([
    import('./load-config.ts'),
    import('../config/problem.ts'),
  ]);
  const outcome = loadEverything(path, process.env);
  if (!outcome.ok) for (const problem of outcome.problems) complain(formatProblem(problem));
  return outcome;
}

async function starting(work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    const line = startFailure(error);
    if (line === undefined) throw error;
    complain(`ostler: ${line}`);
    return FAILED;
  }
}

async function runPooler(path: string | undefined): Promise<number> {
  const outcome = await load(path);
  if (!outcome.ok) return WRONG_CONFIG;
  const [{ runDaemon }, { loadEverything }] = await Promise.all([
    import('./daemon.ts'),
    import('./load-config.ts'),
  ]);
  return runDaemon({
    loaded: outcome,
    warnings: outcome.warnings,
    reload: () => loadEverything(path, process.env),
  });
}

async function check(path: string | undefined): Promise<number> {
  const outcome = await load(path);
  if (!outcome.ok) return WRONG_CONFIG;
  const { formatProblem } = await import('../config/problem.ts');
  for (const warning of outcome.warnings) complain(`warning: ${formatProblem(warning)}`);
  say(`${path ?? 'environment'}: ok`);
  return 0;
}

async function print(path: string | undefined): Promise<number> {
  const outcome = await load(path);
  if (!outcome.ok) return WRONG_CONFIG;
  const { printConfig } = await import('../config/print.ts');
  process.stdout.write(printConfig(outcome.config));
  return 0;
}

async function demo(): Promise<number> {
  const [{ startDemo }, { runDaemon }, { loadEverything }] = await Promise.all([
    import('./demo.ts'),
    import('./daemon.ts'),
    import('./load-config.ts'),
  ]);
  const started = await startDemo('.ostler');
  try {
    const outcome = await load(started.configFile);
    if (!outcome.ok) return WRONG_CONFIG;
    return await runDaemon({
      loaded: outcome,
      warnings: outcome.warnings,
      reload: () => loadEverything(started.configFile, process.env),
      listening: (port, httpPort) => process.stdout.write(started.welcome(port, httpPort)),
    });
  } finally {
    await started.stop();
  }
}

/**
 * The health check of an image knows nothing of how `run` was called: without a CONFIG it asks where the defaults and the
 * environment put the HTTP port.
 */
async function healthcheck(
  path: string | undefined,
  route: '/ready' | '/live',
  timeout: number,
): Promise<number> {
  checkOption('timeout', timeout > 0 && timeout <= MAX_PATIENCE, `seconds, up to ${String(MAX_PATIENCE)}`);
  const { probe } = await import('../http/probe.ts');
  let host = process.env['OSTLER__OSTLER__HTTP_ADDR'] ?? '127.0.0.1';
  let port = Number(process.env['OSTLER__OSTLER__HTTP_PORT'] ?? DEFAULT_HTTP_PORT);
  if (path !== undefined) {
    const outcome = await load(path);
    if (!outcome.ok) return FAILED;
    ({ http_addr: host, http_port: port } = outcome.config.settings);
  }
  if (port === 0) {
    say('HTTP is off: http_port is 0');
    return FAILED;
  }
  const { healthy, message } = await probe({ host, port, path: route, timeout: timeout * 1000 });
  say(message);
  return healthy ? 0 : FAILED;
}

async function scramSecret(iterations: number): Promise<number> {
  const fits = Number.isInteger(iterations) && iterations >= 1 && iterations <= MAX_ITERATIONS;
  checkOption('iterations', fits, `a whole number from 1 to ${String(MAX_ITERATIONS)}`);
  const { scramVerifierText } = await import('../auth/secrets.ts');
  const password = (await text(process.stdin)).replace(/\r?\n$/, '');
  if (password === '') {
    complain('no password on standard input');
    return FAILED;
  }
  say(await scramVerifierText(password, iterations));
  return 0;
}
