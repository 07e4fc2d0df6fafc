/**
 * Writes src/sql/catalog-functions.ts from pg_catalog of the PostgreSQL that the tests use and of the servers named as
 * arguments (connection strings): with every new major version of PostgreSQL,
 *
 *     npm run generate:catalog -- postgres://postgres@127.0.0.1:5415/postgres
 *
 * with a server of the oldest version that is supported. Then look at what is new and volatile (it is printed): whatever
 * changes the session or runs SQL of its argument belongs into `effects` of src/sql/words.ts.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { CATALOG_FUNCTIONS } from '../../src/sql/catalog-functions.ts';
import { startPostgres } from '../support/postgres.ts';

/** What takes or returns `internal`, and triggers: SQL cannot call it. */
const CALLABLE = `
  SELECT proname AS name, bool_or(provolatile = 'v') AS volatile FROM pg_proc
  WHERE pronamespace = 'pg_catalog'::regnamespace AND 'internal'::regtype <> ALL (proargtypes)
    AND prorettype NOT IN ('internal'::regtype, 'trigger'::regtype, 'event_trigger'::regtype)
  GROUP BY proname`;

const KEYWORDS = `SELECT word AS name, false AS volatile FROM pg_get_keywords() WHERE catcode IN ('R', 'C')`;

interface Word {
  readonly name: string;
  readonly volatile: boolean;
}

async function wordsOf(connectionString: string, sql: string): Promise<Word[]> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return (await client.query<Word>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** One string literal, in lines that fit the formatter. */
function literal(name: string, comment: string, words: Iterable<string>): string {
  const lines: string[] = [];
  let line = '';
  for (const word of [...new Set(words)].toSorted()) {
    if (line.length + word.length > 98) {
      lines.push(line);
      line = '';
    }
    line += `${word} `;
  }
  const text = [...lines, line.trimEnd()].map((part) => `  '${part}'`).join(' +\n');
  return `/** ${comment} */\nexport const ${name} =\n${text};\n`;
}

const embedded = await startPostgres();
try {
  const { user, password, host, port } = embedded;
  const servers = [
    `postgres://${user}:${password}@${host}:${String(port)}/postgres`,
    ...process.argv.slice(2),
  ];
  const functions: Word[] = [];
  const keywords: Word[] = [];
  for (const server of servers) {
    functions.push(...(await wordsOf(server, CALLABLE)));
    keywords.push(...(await wordsOf(server, KEYWORDS)));
  }
  const known = new Set(CATALOG_FUNCTIONS.split(' '));
  const fresh = functions
    .filter(({ name, volatile }) => volatile && !known.has(name))
    .map(({ name }) => name);
  process.stdout.write(`new and volatile: ${fresh.join(' ') || 'none'}\n`);
  writeFileSync(
    join(import.meta.dirname, '../../src/sql/catalog-functions.ts'),
    `/** Names of pg_catalog and of the grammar. Generated from servers by test/sql/generate-catalog.ts, which says how. */\n\n${literal(
      'CATALOG_FUNCTIONS',
      'The functions of pg_catalog that SQL can call; words.ts tells which of them do leave something.',
      functions.map(({ name }) => name),
    )}\n${literal(
      'RESERVED_WORDS',
      'Keywords that cannot be the name of a function: what follows them in parentheses is no argument list of one.',
      keywords.map(({ name }) => name),
    )}`,
  );
} finally {
  await embedded.stop();
}
