/** The reference file: every setting with its help and its default, as TOML that could be loaded as it is. */
import { databaseFields, userFields } from './entries.ts';
import type { Fields } from './setting.ts';
import { metaOf } from './setting.ts';
import { defaultSettings, settingGroups } from './settings.ts';

const WIDTH = 100;

const opening = `#:schema ./ostler.schema.json
# Every setting of ostler with its default. Made from the table of settings by \`npm run generate\`: do not edit.
#
# A duration is a number of seconds or text with a unit: "500ms", "15s", "5m", "1h", "1d". A size is a number of bytes or
# text such as "64KiB". Text may contain \${env:NAME} and \${file:/path}. Every key can be given by a variable too:
# OSTLER__OSTLER__LISTEN_PORT, OSTLER__DATABASES__APP__HOST, OSTLER__USERS__APP__PASSWORD (or …_FILE).
# RELOAD applies a change at once; "new connections": to those made from then on; "restart": not at all.
`;

export function referenceToml(): string {
  const lines = [opening, '[ostler]'];
  const defaults = new Map(Object.entries(defaultSettings));
  for (const { title, settings } of settingGroups) {
    lines.push('', `# --- ${title} ---`);
    for (const [key, schema] of Object.entries<Fields[string]>(settings)) {
      const literal = metaOf(schema).toml(defaults.get(key));
      lines.push('', ...comments(schema), literal === undefined ? `# ${key} = ""` : `${key} = ${literal}`);
    }
  }
  lines.push(
    '',
    '# --- Databases: what clients ask for, "*" for all that are not listed ---',
    '',
    '[databases.app]',
  );
  lines.push(...fields(databaseFields, 'host', 'host = "127.0.0.1"'));
  lines.push('', '# --- Users: who may log in, besides those in auth_file ---', '', '[users.app]');
  lines.push(...fields(userFields, 'password', `password = "\${env:APP_PASSWORD}"`));
  return `${lines.join('\n')}\n`;
}

/** All but `given` are commented out: without a value they are what [ostler] says. */
function fields(table: Fields, given: string, line: string): readonly string[] {
  const lines: string[] = [];
  for (const [key, schema] of Object.entries(table)) {
    lines.push('', ...comments(schema), key === given ? line : `# ${key} =`);
  }
  return lines;
}

function comments(schema: Fields[string]): readonly string[] {
  const { help, reload } = metaOf(schema);
  const text = reload === 'live' ? help : `${help} (RELOAD: ${reload})`;
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length >= WIDTH) lines.push(`# ${word}`);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
