/** Unix sockets in the file system: what they are called, and how one that a dead process left behind is cleared away. */
import { lstatSync, statSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';

/** sun_path holds 108 bytes with its final zero. */
const LONGEST_PATH = 107;

/** Where PostgreSQL's clients look for a server with this port. */
export function unixSocketPath(directory: string, port: number): string {
  return join(directory, `.s.PGSQL.${port}`);
}

/** Why no socket can be made at `path`, or undefined. */
export function pathProblem(path: string): string | undefined {
  const length = Buffer.byteLength(path);
  if (length > LONGEST_PATH) {
    return `the path of the Unix socket has ${length} bytes, and the system allows ${LONGEST_PATH}: ${path}`;
  }
  // Node calls it a denied permission.
  const folder = statSync(dirname(path), { throwIfNoEntry: false });
  return folder?.isDirectory() === true ? undefined : `cannot listen on ${path}: no such folder`;
}

/**
 * Removes a socket that nobody listens on any more. Says why when it may not: somebody does, or it is no socket at all.
 * Two processes starting in the same instant may still take the path from each other; nothing but a lock file could help.
 */
export async function clearStaleSocket(path: string): Promise<string | undefined> {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return `${path} exists and is no socket`;
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const probe = connect({ path });
  probe.once('connect', () => {
    probe.destroy();
    resolve(`${path} is in use: another process listens there`);
  });
  probe.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNREFUSED') {
      resolve(unlinkProblem(path));
    } else {
      resolve(error.code === 'ENOENT' ? undefined : `${path} is in use (${error.code ?? error.message})`);
    }
  });
  return promise;
}

function unlinkProblem(path: string): string | undefined {
  try {
    unlinkSync(path);
    return undefined;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return `cannot remove the stale socket ${path}: ${reason}`;
  }
}
