/**
 * Who may be connected, by two lists that can be changed at any time.
 *
 * @internal
 */
import type { NodeId } from "../NodeId.js"
import type { AccessLists } from "../Peer.js"

/** What the ids of nodes with keys look like: base32 of 32 bytes, whose last digit holds one bit. */
const keyId = /^[a-z2-7]{51}[aq]$/

export const isOfKey = (id: string): boolean => keyId.test(id)

/** In words, for who wrote one that can be nobody's. */
export const idsOfKeys =
  "ids of nodes with keys, which are 52 characters of a-z and 2-7 (with encryption none, any node ids)"

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
