/**
 * The book's peers, addresses and hints by other keys than those they are kept under. Each step of the book keeps it up to
 * date, so that nothing that happens at every connection goes through all that is known. Persistent, as the book is.
 *
 * @internal
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type { NodeId } from "../NodeId.js"
import type { PeerStatus } from "../Peer.js"
import * as PeerAddress from "../PeerAddress.js"
import type { PeerRecord } from "../PeerBook.js"
import * as Roster from "./Roster.js"

type Address = PeerAddress.PeerAddress

/** Who may be told of an address: all, those seen at an address of the same link, or of the same machine. */
export type Audience = "all" | "link" | "machine"

const audiences = ["all", "link", "machine"] as const satisfies ReadonlyArray<Audience>

interface Telling {
  readonly teller: NodeId
  readonly group?: string | undefined
}

export interface PeerIndex {
  /** Peers that others may be told of, by the widest audience of their addresses. */
  readonly tellable: Readonly<Record<Audience, Roster.Roster<PeerRecord>>>
  /** Peers by the addresses they are known by, as `host:port`. */
  readonly at: HashMap.HashMap<string, ReadonlyArray<NodeId>>
  /** Addresses that have a record, by the node that answered there last. */
  readonly answered: HashMap.HashMap<NodeId, ReadonlyArray<Address>>
  /** How many hints there are, each counted as often as it was told: in all, and by teller and group of tellers. */
  readonly tellings: number
  readonly byTeller: HashMap.HashMap<NodeId, number>
  readonly byGroup: HashMap.HashMap<string, number>
}

export const empty: PeerIndex = {
  tellable: { all: Roster.empty, link: Roster.empty, machine: Roster.empty },
  at: HashMap.empty(),
  answered: HashMap.empty(),
  tellings: 0,
  byTeller: HashMap.empty(),
  byGroup: HashMap.empty()
}

const getOr = <K, V>(map: HashMap.HashMap<K, V>, key: K, none: V): V => {
  const found = HashMap.get(map, key)
  return Option.isSome(found) ? found.value : none
}

const none: ReadonlyArray<never> = []

// --- Peers ---

/** Undefined: nobody can dial it. */
const audienceOf = ({ host, port }: Address): Audience | undefined => {
  if (port === 0 || PeerAddress.isUnspecified(host)) return undefined
  if (PeerAddress.isLoopback(host)) return "machine"
  return PeerAddress.isLinkLocal(host) ? "link" : "all"
}

/** Those that hear of what is seen by whoever is at the host. */
const heardAt = (host: string): ReadonlyArray<Audience> =>
  audiences.slice(0, PeerAddress.isLoopback(host) ? 3 : PeerAddress.isLinkLocal(host) ? 2 : 1)

/** Whether those at the host may be told of the address. */
export const mayHear = (host: string): ((address: Address) => boolean) => {
  const heard = heardAt(host)
  return (address) => {
    const audience = audienceOf(address)
    return audience !== undefined && heard.includes(audience)
  }
}

/** Whether others may be told of a node in that state. */
export const isTellable = (status: PeerStatus): boolean =>
  status === "connected" || status === "suspect" || status === "disconnected"

const widest = (peer: PeerRecord | undefined): Audience | undefined => {
  if (peer === undefined || !isTellable(peer.status)) return undefined
  const { addresses } = peer
  return audiences.find((audience) => addresses.some((address) => audienceOf(address) === audience))
}

const isKnownTellable = (peer: PeerRecord | undefined): boolean => peer !== undefined && isTellable(peer.status)

const retold = (
  tellable: PeerIndex["tellable"],
  id: NodeId,
  before: PeerRecord | undefined,
  after: PeerRecord | undefined,
  hasMoved: boolean
): PeerIndex["tellable"] => {
  const to = widest(after)
  const from = !hasMoved && isKnownTellable(before) === isKnownTellable(after) ? to : widest(before)
  let next = tellable
  if (from !== undefined && from !== to) next = { ...next, [from]: Roster.remove(next[from], id) }
  if (after !== undefined && to !== undefined) next = { ...next, [to]: Roster.set(next[to], after) }
  return next
}

const moved = (
  at: PeerIndex["at"],
  id: NodeId,
  before: ReadonlyArray<Address>,
  after: ReadonlyArray<Address>
): PeerIndex["at"] => {
  const left = new Set(before.map(String))
  let next = at
  for (const key of after.map(String)) {
    if (!left.delete(key)) next = HashMap.set(next, key, [...getOr(next, key, none), id])
  }
  for (const key of left) {
    const others = getOr(next, key, none).filter((other) => other !== id)
    next = others.length === 0 ? HashMap.remove(next, key) : HashMap.set(next, key, others)
  }
  return next
}

const isSame = (some: ReadonlyArray<Address>, others: ReadonlyArray<Address>): boolean =>
  some === others ||
  (some.length === others.length &&
    some.every(({ host, port }, at) => host === others[at]?.host && port === others[at]?.port))

/** A peer is known, or known otherwise, or not any more. */
export const setPeer = (
  index: PeerIndex,
  id: NodeId,
  before: PeerRecord | undefined,
  after: PeerRecord | undefined
): PeerIndex => {
  const from = before?.addresses ?? none
  const to = after?.addresses ?? none
  // Most often it has another status, or comes back to where it was.
  const hasMoved = !isSame(from, to)
  return {
    ...index,
    tellable: retold(index.tellable, id, before, after, hasMoved),
    at: hasMoved ? moved(index.at, id, from, to) : index.at
  }
}

/** The peers known by an address. */
export const peersAt = ({ at }: PeerIndex, address: Address): ReadonlyArray<NodeId> =>
  getOr(at, address.toString(), none)

/** Those that whoever is at the host may be told of, in random order. */
export const shuffled = ({ tellable }: PeerIndex, host: string, random: () => number): Iterable<PeerRecord> =>
  Roster.shuffled(
    heardAt(host).map((audience) => tellable[audience]),
    random
  )

// --- Addresses ---

interface Answered {
  readonly address: Address
  readonly id: NodeId | undefined
}

/** There is a record of an address, or another one, or none any more. */
export const setAddress = (index: PeerIndex, before: Answered | undefined, after: Answered | undefined): PeerIndex => {
  if (before?.id === after?.id) return index
  let { answered } = index
  if (before?.id !== undefined) {
    const key = before.address.toString()
    const others = getOr(answered, before.id, none).filter((other) => other.toString() !== key)
    answered = others.length === 0 ? HashMap.remove(answered, before.id) : HashMap.set(answered, before.id, others)
  }
  if (after?.id !== undefined) {
    answered = HashMap.set(answered, after.id, [...getOr(answered, after.id, none), after.address])
  }
  return { ...index, answered }
}

/** The addresses with a record at which the node answered last. */
export const answeredBy = ({ answered }: PeerIndex, id: NodeId): ReadonlyArray<Address> => getOr(answered, id, none)

// --- Hints ---

const counted = <K>(counts: HashMap.HashMap<K, number>, key: K, by: number): HashMap.HashMap<K, number> => {
  const count = getOr(counts, key, 0) + by
  return count === 0 ? HashMap.remove(counts, key) : HashMap.set(counts, key, count)
}

/** Many changes of what is told begin, up to {@link endTold}: none of them needs a copy. */
export const beginTold = (index: PeerIndex): PeerIndex => ({
  ...index,
  byTeller: HashMap.beginMutation(index.byTeller),
  byGroup: HashMap.beginMutation(index.byGroup)
})

export const endTold = (index: PeerIndex): PeerIndex => ({
  ...index,
  byTeller: HashMap.endMutation(index.byTeller),
  byGroup: HashMap.endMutation(index.byGroup)
})

/** What is told of a node has changed. */
export const setTold = (index: PeerIndex, before: ReadonlyArray<Telling>, after: ReadonlyArray<Telling>): PeerIndex => {
  let { byGroup, byTeller } = index
  const count = ({ group, teller }: Telling, by: number): void => {
    byTeller = counted(byTeller, teller, by)
    if (group !== undefined) byGroup = counted(byGroup, group, by)
  }
  for (const telling of after) if (!before.includes(telling)) count(telling, 1)
  for (const telling of before) if (!after.includes(telling)) count(telling, -1)
  return { ...index, tellings: index.tellings + after.length - before.length, byTeller, byGroup }
}

/** How often something was told by a node; by those in a part of the network. */
export const toldBy = ({ byTeller }: PeerIndex, teller: NodeId): number => getOr(byTeller, teller, 0)
export const toldIn = ({ byGroup }: PeerIndex, group: string): number => getOr(byGroup, group, 0)
