/**
 * PgBouncer's auth_file (userlist.txt): lines of `"user" "secret"`, a quote inside written twice, the rest of the line ignored.
 * PgBouncer silently stops at the first broken line; here every one of them is reported.
 */

export interface UserListProblem {
  /** Counted from 1. */
  readonly line: number;
  readonly message: string;
  /** Nothing that the list could not be used with. */
  readonly warning?: boolean;
}

export interface UserList {
  /** Secret texts by user name, as they stand in the file. */
  readonly secrets: ReadonlyMap<string, string>;
  readonly problems: readonly UserListProblem[];
}

/** The closing quote is one that no other follows, so that `"a""b"` is one text and never two. */
const QUOTED = '"((?:[^"]|"")*)"(?!")';
const ENTRY = new RegExp(`^\\s*${QUOTED}\\s*${QUOTED}`);

export function parseUserList(text: string): UserList {
  const secrets = new Map<string, string>();
  const problems: UserListProblem[] = [];
  const lines = text.replace(/^\uFEFF/, '').split('\n');
  for (const [index, line] of lines.entries()) {
    if (/^\s*(;|$)/.test(line)) continue;
    const report = (message: string): number => problems.push({ line: index + 1, message });
    const warn = (message: string): number => problems.push({ line: index + 1, message, warning: true });
    const [entry, user, secret] = ENTRY.exec(line) ?? [];
    if (entry === undefined || user === undefined || secret === undefined) {
      // Never the line itself: it may hold a password.
      report('expected "user" "secret", both in double quotes');
      continue;
    }
    const name = unquote(user);
    if (name === '') {
      report('the user name is empty');
      continue;
    }
    if (secrets.has(name)) warn(`user "${name}" is listed twice; the last one counts`);
    secrets.set(name, unquote(secret));
  }
  return { secrets, problems };
}

const unquote = (quoted: string): string => quoted.replaceAll('""', '"');
