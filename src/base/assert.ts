/** Claims about our own code. A failure here is a bug of ours, never bad input. */

/** Throws when `condition` does not hold; `message` is one sentence about what should have been true. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`bug: ${message}`);
}

/** Ends a switch over a union: does not compile while a case is missing. */
export function unreachable(value: never): never {
  throw new Error(`bug: unexpected ${JSON.stringify(value)}`);
}
