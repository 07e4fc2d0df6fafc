/**
 * The keys by which clients may cancel their queries: random, unguessable, and ours, not the server's.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';

const ID_SIZE = 4;
/** 4 bytes is what protocol 3.0 has room for, 32 what PostgreSQL itself sends in 3.2. */
const SECRET_SIZE = { short: 4, long: 32 } as const;

export interface CancelKey {
  readonly processId: number;
  readonly secret: Buffer;
}

export class CancelKeys<Holder> {
  readonly #holders = new Map<number, { readonly secret: Buffer; readonly holder: Holder }>();

  get size(): number {
    return this.#holders.size;
  }

  /** A key of its own for `holder`; `long` where the client speaks protocol 3.2. */
  issue(holder: Holder, long: boolean): CancelKey {
    const secretSize = long ? SECRET_SIZE.long : SECRET_SIZE.short;
    for (;;) {
      // 63 bits decide: the "process id" is as random as the secret, but positive, since tools print it.
      const random = randomBytes(ID_SIZE + secretSize);
      const processId = random.readUInt32BE(0) >>> 1;
      if (processId === 0 || this.#holders.has(processId)) continue;
      const secret = random.subarray(ID_SIZE);
      this.#holders.set(processId, { secret, holder });
      return { processId, secret };
    }
  }

  find({ processId, secret }: CancelKey): Holder | undefined {
    const entry = this.#holders.get(processId);
    if (entry === undefined || entry.secret.length !== secret.length) return undefined;
    return timingSafeEqual(entry.secret, secret) ? entry.holder : undefined;
  }

  revoke(processId: number): void {
    this.#holders.delete(processId);
  }
}
