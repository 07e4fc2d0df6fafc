/** `${env:NAME}` and `${file:/path}` inside the strings of a configuration; `$${` is a plain `${`. */

export interface Outside {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The text of a file; throws when it cannot be read. */
  readonly readFile: (path: string) => string;
}

export type Complain = (message: string) => unknown;

/** `complain` gets a sentence for each reference that leads nowhere; the result is then of no use. */
export function interpolate(text: string, outside: Outside, complain: Complain): string {
  return text.replaceAll(/\$\$\{|\$\{(?:([^}:]*):([^}]*)\})?/g, (match, scheme?: string, name?: string) => {
    if (match === '$${') return '${';
    if (scheme === 'env' && name !== undefined && name !== '') {
      const value = Object.hasOwn(outside.env, name) ? outside.env[name] : undefined;
      if (value === undefined) complain(`environment variable ${name} is not set`);
      return value ?? '';
    }
    if (scheme === 'file' && name !== undefined && name !== '')
      return readSecret(name, outside, complain) ?? '';
    complain(`"\${" must begin \${env:NAME} or \${file:PATH}; write "$\${" for the characters themselves`);
    return '';
  });
}

/** A file's text without the line end that editors and `echo` leave behind; undefined after a complaint. */
export function readSecret(path: string, outside: Outside, complain: Complain): string | undefined {
  try {
    return outside.readFile(path).replace(/\r?\n$/, '');
  } catch (error) {
    complain(`cannot read ${path}${reason(error)}`);
    return undefined;
  }
}

/** The system's code, such as ENOENT: messages of exceptions may quote what they choke on. */
export function reason(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? ` (${error.code})`
    : '';
}
