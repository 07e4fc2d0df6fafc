/**
 * The life of one server connection, as its pool sees it.
 *
 *     connecting ──▶ idle ◀──▶ active ──▶ being_canceled ──▶ idle
 *          │           ▲          │
 *          │           └─ tested ◀┘   (check of an idle server; reset or clean-up of a released one; init after a login)
 *          │
 *        any ──▶ closing ──▶ closed
 *
 * Each state carries exactly what is true in it: an active server always has a client and an idle one never does.
 * Every state but closed takes a slot of every limit: PostgreSQL counts a backend until it has gone.
 */
import { unreachable } from '../base/assert.ts';

/** Why a server is busy with statements of our own: they are guests, no client is linked meanwhile. */
export type TestPurpose = 'check' | 'reset' | 'clean' | 'init';

export type ServerState<Client> =
  | { readonly kind: 'connecting'; readonly since: number }
  | { readonly kind: 'idle'; readonly since: number }
  | { readonly kind: 'active'; readonly since: number; readonly client: Client }
  | {
      readonly kind: 'tested';
      readonly since: number;
      readonly purpose: TestPurpose;
      /** It was idle, and goes back to its place among the idle ones. */
      readonly idleSince?: number | undefined;
    }
  /** Released, but a cancel request aimed at it is still under way: it must not hit the next client. */
  | { readonly kind: 'being_canceled'; readonly since: number }
  /** Terminate is sent; the slot is free only when the server has closed its side. */
  | { readonly kind: 'closing'; readonly since: number; readonly reason: string }
  | { readonly kind: 'closed'; readonly reason: string };

export type ServerStateKind = ServerState<unknown>['kind'];

/**
 * Active may follow active: the server goes from one client straight to the oldest waiter. `closed` is final.
 *
 * Asked at each link and release: comparing strings that are constants is faster than looking them up.
 */
export function mayFollow(from: ServerStateKind, to: ServerStateKind): boolean {
  switch (from) {
    case 'connecting':
      return to !== 'connecting' && to !== 'being_canceled';
    case 'idle':
      return to === 'active' || to === 'tested' || to === 'closing' || to === 'closed';
    case 'active':
    case 'tested':
      return to !== 'connecting';
    case 'being_canceled':
      return to !== 'connecting' && to !== 'being_canceled';
    case 'closing':
      return to === 'closed';
    case 'closed':
      return false;
    default:
      return unreachable(from);
  }
}
