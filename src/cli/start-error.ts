/** What a start fails with when the operator can mend the reason: one clear line, exit status 1, no stack. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

/** The line for a start that failed; undefined for a bug of ours. */
export function startFailure(error: unknown): string | undefined {
  if (error instanceof StartError) return error.message;
  // A file, a program or a socket that the system refuses.
  return error instanceof Error && 'syscall' in error ? error.message : undefined;
}
