/**
 * PostgreSQL's MD5 password exchange, both sides:
 *
 *     hash   = hex(md5(password ‖ user))          what is stored, as "md5" ‖ hash
 *     answer = "md5" ‖ hex(md5(hash ‖ salt))      the salt being four random bytes of the one who checks
 *
 * https://www.postgresql.org/docs/current/protocol-flow.html
 */
import { hash, timingSafeEqual } from 'node:crypto';

const md5 = (first: string | Buffer, second: string | Buffer): string =>
  hash('md5', Buffer.concat([Buffer.from(first), Buffer.from(second)]));

/** 32 hexadecimal digits, without the `md5` that stands in front of them where they are stored. */
export const md5Hash = (password: string | Buffer, user: string): string => md5(password, user);

/** What one who knows `storedHash` (32 digits) answers to `salt`. */
export const md5Answer = (storedHash: string, salt: Buffer): string => `md5${md5(storedHash, salt)}`;

export function isMd5Answer(answer: Buffer, storedHash: string, salt: Buffer): boolean {
  const expected = Buffer.from(md5Answer(storedHash, salt));
  return answer.length === expected.length && timingSafeEqual(answer, expected);
}
