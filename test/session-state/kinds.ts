/** Kinds of what scripts are made of, to look at some of them alone: `OSTLER_ONLY=locks,transactions,strangers`. */
const only = process.env['OSTLER_ONLY']?.split(',');

export const isWanted = (kind: string): boolean => only?.includes(kind) ?? true;
