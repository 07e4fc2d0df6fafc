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

/** What may follow what. `closed` is final. */
const SUCCESSORS: { readonly [kind in ServerStateKind]: readonly ServerStateKind[] } = {
  connecting: ['idle', 'active', 'tested', 'closing', 'closed'],
  idle: ['active', 'tested', 'closing', 'closed'],
  active: ['idle', 'active', 'tested', 'being_canceled', 'closing', 'closed'],
  tested: ['idle', 'active', 'tested', 'being_canceled', 'closing', 'closed'],
  being_canceled: ['idle', 'active', 'tested', 'closing', 'closed'],
  closing: ['closed'],
  closed: [],
};

/** Active may follow active: the server goes from one client straight to the oldest waiter. */
export function mayFollow(from: ServerStateKind, to: ServerStateKind): boolean {
  return SUCCESSORS[from].includes(to);
}
