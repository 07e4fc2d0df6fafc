/** Password preparation: SASLprep (RFC 4013) by PostgreSQL's rule, that a password it refuses is used as it is. */
import { isUtf8 } from 'node:buffer';
import { saslprep } from '@mongodb-js/saslprep';

/**
 * The bytes that go into PBKDF2, the same ones as PostgreSQL and libpq take for this password: prepared where SASLprep allows,
 * else raw (not UTF-8, prohibited or unassigned characters, mixed directions, nothing left).
 */
export function preparePassword(password: string | Buffer): Buffer {
  const raw = typeof password === 'string' ? Buffer.from(password) : password;
  if (!isUtf8(raw)) return raw;
  try {
    const prepared = Buffer.from(saslprep(raw.toString()));
    return prepared.length === 0 ? raw : prepared;
  } catch {
    return raw;
  }
}
