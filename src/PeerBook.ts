/**
 * Whom this node knows: the peers it has shaken hands with, the addresses it dials and how that went, and the hints that
 * others gave. State and transitions are pure; times are monotonic milliseconds, but for those shown to people.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Identity } from "./Connection.js"
import type { SyncRef } from "./internal/SyncRef.js"
import * as SyncRefs from "./internal/SyncRef.js"
import type { NodeId } from "./NodeId.js"
import type { PeerEntry } from "./Payloads.js"
import type { Direction, PeerStatus } from "./Peer.js"
import * as PeerAddress from "./PeerAddress.js"

/**
 * A node that this one has shaken hands with.
 *
 * @since 0.1.0
 * @category models
 */
export interface PeerRecord {
  readonly id: NodeId
  readonly status: PeerStatus
  /** When the status became what it is, milliseconds since the epoch. */
  readonly since: number
  readonly direction: Direction
  /** The other end of its latest connection, as seen from here. */
  readonly address: PeerAddress.PeerAddress
  /** Where it can be dialed: what it says, and what was dialed. */
  readonly addresses: ReadonlyArray<PeerAddress.PeerAddress>
  readonly session: string | undefined
  readonly agent: string | undefined
  readonly tags: Readonly<Record<string, string>>
  /** The application asked for it: it is dialed again even over the target. */
  readonly isRequested: boolean
  /** Not to be dialed before; `Infinity`: only if the application asks, or after it came by itself. */
  readonly avoidUntil: number
  /** Dials since it was last connected. */
  readonly attempts: number
}

/**
 * How it goes with dialing an address that is not connected.
 *
 * @since 0.1.0
 * @category models
 */
export interface AddressRecord {
  readonly address: PeerAddress.PeerAddress
  /** The node that answered there last. */
  readonly id: NodeId | undefined
  readonly isBootstrap: boolean
  readonly attempts: number
  /** Not to be dialed before; `Infinity`: never. */
  readonly nextAt: number
  /** Given up after; `Infinity` for a bootstrap peer, 0 before the first failure, which sets it. */
  readonly giveUpAt: number
  readonly error: { readonly _tag: string; readonly message: string } | undefined
}

/**
 * What another node said of a third.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hint {
  readonly id: NodeId
  readonly addresses: ReadonlyArray<PeerAddress.PeerAddress>
  readonly teller: NodeId
}

/**
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly peers: HashMap.HashMap<NodeId, PeerRecord>
  /** By `host:port`. */
  readonly addresses: HashMap.HashMap<string, AddressRecord>
  readonly hints: HashMap.HashMap<NodeId, Hint>
}

/**
 * How much is remembered.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  readonly peers: number
  readonly hints: number
  readonly hintsPerTeller: number
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const empty: State = { peers: HashMap.empty(), addresses: HashMap.empty(), hints: HashMap.empty() }

const setPeer = (state: State, peer: PeerRecord): State => ({
  ...state,
  peers: HashMap.set(state.peers, peer.id, peer)
})

const setAddress = (state: State, record: AddressRecord): State => ({
  ...state,
  addresses: HashMap.set(state.addresses, record.address.toString(), record)
})

const addressRecord = (state: State, address: PeerAddress.PeerAddress): AddressRecord =>
  Option.getOrElse(HashMap.get(state.addresses, address.toString()), () => ({
    address,
    id: undefined,
    isBootstrap: false,
    attempts: 0,
    nextAt: 0,
    giveUpAt: 0,
    error: undefined
  }))

const isLive = (peer: PeerRecord): boolean => peer.status === "connected" || peer.status === "suspect"

/** Where a peer may be: the addresses it is known by, and those at which it answered. */
const placesOf = (state: State, { addresses, id }: Pick<PeerRecord, "addresses" | "id">) => {
  const met = [...HashMap.values(state.addresses)].filter((record) => record.id === id)
  return distinct([...addresses, ...met.map(({ address }) => address)])
}

/**
 * An address to dial for ever.
 *
 * @since 0.1.0
 * @category transitions
 */
export const addBootstrap = (state: State, address: PeerAddress.PeerAddress): State =>
  setAddress(state, { ...addressRecord(state, address), isBootstrap: true, giveUpAt: Infinity })

/**
 * A bootstrap name does not stand for the address any more: it is not dialed for its own sake.
 *
 * @since 0.1.0
 * @category transitions
 */
export const dropBootstrap = (state: State, address: PeerAddress.PeerAddress): State => ({
  ...state,
  addresses: HashMap.remove(state.addresses, address.toString())
})

/**
 * A connection to a node is open. What is known of dialing it begins anew; over the limit, the peer not connected for
 * longest is forgotten.
 *
 * @since 0.1.0
 * @category transitions
 */
export const connected = (
  state: State,
  peer: {
    readonly identity: Identity
    readonly direction: Direction
    readonly address: PeerAddress.PeerAddress
    readonly dialed: PeerAddress.PeerAddress | undefined
  },
  wallNow: number,
  limits: Limits
): State => {
  const { dialed, identity } = peer
  const known = Option.getOrUndefined(HashMap.get(state.peers, identity.id))
  const dialable = identity.listen.filter(({ host, port }) => port !== 0 && !PeerAddress.isUnspecified(host))
  const addresses = dialed === undefined ? dialable : [dialed, ...dialable]
  let next = setPeer(state, {
    id: identity.id,
    status: "connected",
    since: wallNow,
    direction: peer.direction,
    address: peer.address,
    addresses: distinct(addresses),
    session: identity.session,
    agent: identity.agent,
    tags: identity.tags,
    isRequested: known?.isRequested ?? false,
    avoidUntil: 0,
    attempts: 0
  })
  next = { ...next, hints: HashMap.remove(next.hints, identity.id) }
  // What a node says of another host proves nothing: it must not keep this node from dialing who is really there.
  const proven = addresses.filter((address) => address === dialed || address.host === peer.address.host)
  for (const address of placesOf(next, { id: identity.id, addresses: proven })) {
    next = answered(next, address, identity.id)
  }
  return forgetOldest(next, limits)
}

const distinct = (addresses: ReadonlyArray<PeerAddress.PeerAddress>): ReadonlyArray<PeerAddress.PeerAddress> => [
  ...new Map(addresses.map((address) => [address.toString(), address])).values()
]

/**
 * A node with a live connection was met at the address: nothing is held against it. Only bootstrap addresses are kept for
 * themselves.
 *
 * @since 0.1.0
 * @category transitions
 */
export const answered = (state: State, address: PeerAddress.PeerAddress, id: NodeId): State => {
  const record = addressRecord(state, address)
  return record.isBootstrap
    ? setAddress(state, { ...record, id, attempts: 0, nextAt: 0, error: undefined })
    : { ...state, addresses: HashMap.remove(state.addresses, address.toString()) }
}

const forgetOldest = (state: State, limits: Limits): State => {
  if (HashMap.size(state.peers) <= limits.peers) return state
  let oldest: PeerRecord | undefined
  for (const peer of HashMap.values(state.peers)) {
    if (!isLive(peer) && (oldest === undefined || peer.since < oldest.since)) oldest = peer
  }
  if (oldest === undefined) return state
  const { id } = oldest
  return {
    ...state,
    peers: HashMap.remove(state.peers, id),
    addresses: HashMap.filter(state.addresses, (record) => record.isBootstrap || record.id !== id)
  }
}

/**
 * A peer is silent, or heard again.
 *
 * @since 0.1.0
 * @category transitions
 */
export const suspected = (state: State, id: NodeId, isSuspect: boolean, wallNow: number): State => {
  const peer = Option.getOrUndefined(HashMap.get(state.peers, id))
  if (peer === undefined || !isLive(peer)) return state
  return setPeer(state, { ...peer, status: isSuspect ? "suspect" : "connected", since: wallNow })
}

/**
 * The application asked for the peer.
 *
 * @since 0.1.0
 * @category transitions
 */
export const requested = (state: State, id: NodeId): State => {
  const peer = Option.getOrUndefined(HashMap.get(state.peers, id))
  return peer === undefined ? state : setPeer(state, { ...peer, isRequested: true })
}

/**
 * What is to happen with a peer after its last connection ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ending {
  readonly status: Exclude<PeerStatus, "connected" | "suspect">
  readonly error: { readonly _tag: string; readonly message: string }
  /** Not to be dialed for so long, milliseconds. One that is `disconnected` is dialed again then. */
  readonly avoidFor: number
  /** If it is to be dialed again by back-off: when first, and for how long in all, milliseconds from now. */
  readonly redial: { readonly after: number; readonly giveUpAfter: number } | undefined
}

/**
 * A peer's last connection ended. One that cannot be dialed is forgotten.
 *
 * @since 0.1.0
 * @category transitions
 */
export const ended = (state: State, id: NodeId, ending: Ending, now: number, wallNow: number): State => {
  const peer = Option.getOrUndefined(HashMap.get(state.peers, id))
  if (peer === undefined) return state
  const avoidUntil = now + ending.avoidFor
  let next: State =
    peer.addresses.length === 0
      ? { ...state, peers: HashMap.remove(state.peers, id) }
      : setPeer(state, {
          ...peer,
          status: ending.status,
          since: wallNow,
          avoidUntil,
          // A peer closed on purpose is no longer wanted.
          isRequested: peer.isRequested && ending.status !== "disconnected"
        })
  for (const address of placesOf(state, peer)) {
    const record = addressRecord(next, address)
    // A bootstrap address that the peer only says is its own.
    if (record.isBootstrap && record.id !== id) continue
    next = endedAt(next, { ...record, id, attempts: 0, error: ending.error }, ending, now)
  }
  return next
}

const endedAt = (state: State, record: AddressRecord, { avoidFor, redial, status }: Ending, now: number): State => {
  const nextAt = now + (redial?.after ?? avoidFor)
  if (record.isBootstrap) return setAddress(state, { ...record, nextAt })
  if (redial !== undefined) return setAddress(state, { ...record, nextAt, giveUpAt: now + redial.giveUpAfter })
  return status === "disconnected" && nextAt !== Infinity
    ? setAddress(state, { ...record, nextAt, giveUpAt: 0 })
    : { ...state, addresses: HashMap.remove(state.addresses, record.address.toString()) }
}

/**
 * What a failed dial means for the address: when to try again, milliseconds from now (`Infinity`: never).
 *
 * @since 0.1.0
 * @category models
 */
export interface DialFailure {
  readonly error: { readonly _tag: string; readonly message: string }
  readonly retryAfter: number
  readonly giveUpAfter: number
}

/**
 * A dial failed. An address that is given up is forgotten, with the hints it came from.
 *
 * @since 0.1.0
 * @category transitions
 */
export const dialFailed = (
  state: State,
  address: PeerAddress.PeerAddress,
  failure: DialFailure,
  now: number
): State => {
  const record = addressRecord(state, address)
  const giveUpAt = record.giveUpAt === 0 ? now + failure.giveUpAfter : record.giveUpAt
  const nextAt = now + failure.retryAfter
  const next = setAddress(state, { ...record, attempts: record.attempts + 1, nextAt, giveUpAt, error: failure.error })
  const counted = record.id === undefined ? next : countAttempt(next, record.id)
  return nextAt >= giveUpAt && !record.isBootstrap ? forgetAddress(counted, address) : counted
}

const countAttempt = (state: State, id: NodeId): State => {
  const peer = Option.getOrUndefined(HashMap.get(state.peers, id))
  return peer === undefined ? state : setPeer(state, { ...peer, attempts: peer.attempts + 1 })
}

/** An address that was given up leaves no way back to it but being told of again. */
const forgetAddress = (state: State, address: PeerAddress.PeerAddress): State =>
  forgetHintsAt({ ...state, addresses: HashMap.remove(state.addresses, address.toString()) }, address)

const forgetHintsAt = (state: State, address: PeerAddress.PeerAddress): State => {
  const key = address.toString()
  return {
    ...state,
    hints: HashMap.filterMap(state.hints, (hint) => {
      const addresses = hint.addresses.filter((other) => other.toString() !== key)
      return addresses.length === 0 ? Option.none() : Option.some({ ...hint, addresses })
    })
  }
}

/**
 * Whether the address was dialed in vain for so long that it is not dialed any more.
 *
 * @since 0.1.0
 * @category guards
 */
export const isGivenUp = (record: AddressRecord, now: number): boolean =>
  record.giveUpAt !== 0 && record.giveUpAt <= now

/**
 * Forgets the addresses whose time is over, also where they were not dialed in it since there were peers enough.
 *
 * @since 0.1.0
 * @category transitions
 */
export const expired = (state: State, now: number): State => {
  let next = state
  for (const record of HashMap.values(state.addresses)) {
    if (isGivenUp(record, now)) next = forgetAddress(next, record.address)
  }
  return next
}

/**
 * An address at which this node met itself: never to be dialed.
 *
 * @since 0.1.0
 * @category transitions
 */
export const isSelf = (state: State, address: PeerAddress.PeerAddress): State =>
  forgetHintsAt(setAddress(state, { ...addressRecord(state, address), nextAt: Infinity, giveUpAt: Infinity }), address)

/**
 * A hint turned out wrong: another node answered there.
 *
 * @since 0.1.0
 * @category transitions
 */
export const dropHint = (state: State, id: NodeId): State => ({ ...state, hints: HashMap.remove(state.hints, id) })

/** Addresses kept of one node that is only heard of. */
const hintAddresses = 8

/**
 * What a peer told of others. Hints only: bounded in all and per teller, fairly shared among tellers, none about this node itself, about peers that
 * are connected, or about those that are to be left alone for now.
 *
 * @since 0.1.0
 * @category transitions
 */
export const hinted = (
  state: State,
  self: NodeId,
  teller: NodeId,
  entries: ReadonlyArray<PeerEntry>,
  now: number,
  limits: Limits
): State => {
  let { hints } = state
  const counts = new Map<NodeId, number>()
  for (const hint of HashMap.values(hints)) counts.set(hint.teller, (counts.get(hint.teller) ?? 0) + 1)
  const count = (of: NodeId, by: number): void => {
    counts.set(of, (counts.get(of) ?? 0) + by)
  }
  for (const entry of entries) {
    if (entry.id === self) continue
    const peer = Option.getOrUndefined(HashMap.get(state.peers, entry.id))
    if (peer !== undefined && (isLive(peer) || peer.avoidUntil > now)) continue
    const addresses = distinct(entry.addresses.map(({ host, port }) => PeerAddress.make(host, port))).filter(
      (address) => addressRecord(state, address).nextAt !== Infinity
    )
    if (addresses.length === 0) continue
    const before = Option.getOrUndefined(HashMap.get(hints, entry.id))
    if (before !== undefined) {
      // What one says does not keep out what another says of the same node.
      const joined = distinct([...before.addresses.slice(0, hintAddresses / 2), ...addresses]).slice(0, hintAddresses)
      hints = HashMap.set(hints, entry.id, { ...before, addresses: joined })
      continue
    }
    if ((counts.get(teller) ?? 0) >= limits.hintsPerTeller) continue
    if (HashMap.size(hints) >= limits.hints) {
      // Who told most gives way, so that many liars cannot shut out one who has told little.
      const [busiest, most] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a), [teller, 0])
      if (most <= (counts.get(teller) ?? 0) + 1) break
      const given = Option.getOrUndefined(HashMap.findFirst(hints, (hint) => hint.teller === busiest))
      if (given === undefined) break
      hints = HashMap.remove(hints, given[0])
      count(busiest, -1)
    }
    hints = HashMap.set(hints, entry.id, { id: entry.id, addresses, teller })
    count(teller, 1)
  }
  return { ...state, hints }
}

/**
 * The node known, or last met, at an address.
 *
 * @since 0.1.0
 * @category accessors
 */
export const nodeAt = (state: State, address: PeerAddress.PeerAddress): NodeId | undefined => {
  const known = addressRecord(state, address).id
  if (known !== undefined) return known
  const key = address.toString()
  let found: PeerRecord | undefined
  for (const peer of HashMap.values(state.peers)) {
    // A node that came back under another id stands beside what it was before.
    if ((found === undefined || isLive(peer)) && peer.addresses.some((other) => other.toString() === key)) found = peer
  }
  return found?.id
}

/**
 * What this node tells another of the nodes it knows: those that it shook hands with itself, that have an address, and
 * that are not banned, left or dead; never the one that is told. Addresses of this machine and link go only to peers
 * that are seen at such (docs/PROTOCOL.md, section 5).
 *
 * @since 0.1.0
 * @category accessors
 */
export const known = (state: State, told: NodeId, toldAt: PeerAddress.PeerAddress): ReadonlyArray<PeerEntry> => {
  const mayHear = ({ host, port }: PeerAddress.PeerAddress): boolean =>
    port !== 0 &&
    !PeerAddress.isUnspecified(host) &&
    (!PeerAddress.isLoopback(host) || PeerAddress.isLoopback(toldAt.host)) &&
    (!PeerAddress.isLinkLocal(host) || PeerAddress.isLinkLocal(toldAt.host) || PeerAddress.isLoopback(toldAt.host))
  const entries: Array<PeerEntry> = []
  for (const peer of HashMap.values(state.peers)) {
    if (peer.id === told || !(isLive(peer) || peer.status === "disconnected")) continue
    const addresses = peer.addresses.filter(mayHear).slice(0, 8)
    if (addresses.length === 0) continue
    entries.push({
      id: peer.id,
      addresses: addresses.map(({ host, port }) => ({ host, port })),
      ...(isLive(peer) ? {} : { lastSeen: new Date(peer.since).toISOString() })
    })
  }
  return entries
}

/**
 * @since 0.1.0
 * @category tags
 */
export class PeerBook extends Context.Tag("synapse-p2p/PeerBook")<PeerBook, SyncRef<State>>() {}

/**
 * An empty book that lives as long as the layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<PeerBook> = Layer.sync(PeerBook, () => SyncRefs.make(empty))
