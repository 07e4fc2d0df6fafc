/**
 * Writes the files of this folder that are made from the table of settings. `--check` writes nothing, and exits with status 1
 * when one of them is not current.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { referenceToml } from '../src/config/reference.ts';
import { configSchema } from '../src/config/schema.ts';

const generated = {
  'ostler.schema.json': `${JSON.stringify(configSchema(), undefined, 2)}\n`,
  'ostler.reference.toml': referenceToml(),
};

for (const [name, text] of Object.entries(generated)) {
  const path = join(import.meta.dirname, name);
  if (!process.argv.includes('--check')) writeFileSync(path, text);
  else if (current(path) !== text) {
    process.stderr.write(`config/${name} is not current: run npm run generate\n`);
    process.exitCode = 1;
  }
}

function current(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
