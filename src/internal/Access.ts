/**
 * Who may be connected, by two lists that can be changed at any time.
 *
 * @internal
 */
import type { NodeId } from "../NodeId.js"
import type { AccessLists } from "../Peer.js"

export interface Access {
  readonly lists: () => AccessLists
  readonly set: (lists: Partial<AccessLists>) => void
  /** On the deny list never; else where the allow list is empty, or names it. */
  readonly isWelcome: (id: NodeId) => boolean
}

export const make = (initial: AccessLists): Access => {
  let allow: ReadonlySet<NodeId> = new Set(initial.allow)
  let deny: ReadonlySet<NodeId> = new Set(initial.deny)
  return {
    lists: () => ({ allow: [...allow], deny: [...deny] }),
    set: (lists) => {
      allow = new Set(lists.allow ?? allow)
      deny = new Set(lists.deny ?? deny)
    },
    isWelcome: (id) => !deny.has(id) && (allow.size === 0 || allow.has(id))
  }
}
