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
import * as PeerIndex from "./internal/PeerIndex.js"
import type { SyncRef } from "./internal/SyncRef.js"
import * as SyncRefs from "./internal/SyncRef.js"
import { timestampOf } from "./internal/Timestamp.js"
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
  /** Those of them where it certainly is: it was met there, or says so of the host that it comes from. */
  readonly proven: ReadonlyArray<PeerAddress.PeerAddress>
  readonly session: string | undefined
  readonly agent: string | undefined
  readonly tags: Readonly<Record<string, string>>
  /** The application asked for it: it is dialed again even over the target. */
  readonly isRequested: boolean
  /** Not to be dialed before; `Infinity`: only if the application asks, or after it came by itself. */
  readonly avoidUntil: number
  /** Dials since it was last connected. */
  readonly attempts: number
  /** Since when it has been connected without a gap, or was when it last was; monotonic milliseconds. */
  readonly upSince: number
  /** Attempts in vain before that: dials that failed, and connections that did not last. */
  readonly failures: number
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
  /** Given up after; `Infinity` for a bootstrap peer and one never to be dialed, 0 before the first failure, which sets it. */
  readonly giveUpAt: number
  readonly error: { readonly _tag: string; readonly message: string } | undefined
}

/**
 * Where a node is, as one that is not it says.
 *
 * @since 0.1.0
 * @category models
 */
export interface Telling {
  readonly teller: NodeId
  /** The part of the network that the teller is in, where that is known. */
  readonly group?: string | undefined
  readonly addresses: ReadonlyArray<PeerAddress.PeerAddress>
}

/**
 * What others said of a node that is not met yet: something new each.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hint {
  readonly id: NodeId
  readonly told: ReadonlyArray<Telling>
}

/**
 * All that is known of others: peers by id, addresses by `host:port`, hints by id; and by other keys, for those who look
 * for one of many.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly peers: HashMap.HashMap<NodeId, PeerRecord>
  /** By `host:port`. */
  readonly addresses: HashMap.HashMap<string, AddressRecord>
  readonly hints: HashMap.HashMap<NodeId, Hint>
  readonly index: PeerIndex.PeerIndex
}

/**
 * How much is remembered. Hints are counted by who told them: the same node told of by two counts twice.
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
 * A book in which nobody is known.
 *
 * @since 0.1.0
 * @category constructors
 */
export const empty: State = {
  peers: HashMap.empty(),
  addresses: HashMap.empty(),
  hints: HashMap.empty(),
  index: PeerIndex.empty
}

const peerOf = (state: State, id: NodeId): PeerRecord | undefined => Option.getOrUndefined(HashMap.get(state.peers, id))

const setPeer = (state: State, peer: PeerRecord): State => ({
  ...state,
  peers: HashMap.set(state.peers, peer.id, peer),
  index: PeerIndex.setPeer(state.index, peer.id, peerOf(state, peer.id), peer)
})

const removePeer = (state: State, id: NodeId): State => ({
  ...state,
  peers: HashMap.remove(state.peers, id),
  index: PeerIndex.setPeer(state.index, id, peerOf(state, id), undefined)
})

const recordAt = (state: State, address: PeerAddress.PeerAddress): AddressRecord | undefined =>
  Option.getOrUndefined(HashMap.get(state.addresses, address.toString()))

const setAddress = (state: State, record: AddressRecord): State => ({
  ...state,
  addresses: HashMap.set(state.addresses, record.address.toString(), record),
  index: PeerIndex.setAddress(state.index, recordAt(state, record.address), record)
})

const forgetRecord = (state: State, address: PeerAddress.PeerAddress): State => {
  const record = recordAt(state, address)
  if (record === undefined) return state
  return {
    ...state,
    addresses: HashMap.remove(state.addresses, address.toString()),
    index: PeerIndex.setAddress(state.index, record, undefined)
  }
}

const addressRecord = (state: State, address: PeerAddress.PeerAddress): AddressRecord =>
  recordAt(state, address) ?? {
    address,
    id: undefined,
    isBootstrap: false,
    attempts: 0,
    nextAt: 0,
    giveUpAt: 0,
    error: undefined
  }

const nothing: ReadonlyArray<never> = []

const toldOf = (state: State, id: NodeId): ReadonlyArray<Telling> =>
  Option.getOrUndefined(HashMap.get(state.hints, id))?.told ?? nothing

const setTold = (state: State, id: NodeId, told: ReadonlyArray<Telling>): State => {
  const before = toldOf(state, id)
  if (before.length === 0 && told.length === 0) return state
  return {
    ...state,
    hints: told.length === 0 ? HashMap.remove(state.hints, id) : HashMap.set(state.hints, id, { id, told }),
    index: PeerIndex.setTold(state.index, before, told)
  }
}

/** The state to be changed by {@link setTold} alone, without a copy for each of many changes, until it is {@link closed}. */
const opened = (state: State): State => ({
  ...state,
  hints: HashMap.beginMutation(state.hints),
  index: PeerIndex.beginTold(state.index)
})

const closed = (state: State): State => ({
  ...state,
  hints: HashMap.endMutation(state.hints),
  index: PeerIndex.endTold(state.index)
})

const isLive = (peer: PeerRecord): boolean => peer.status === "connected" || peer.status === "suspect"

/** Where a peer may be: the addresses it is known by, and those at which it answered. */
const placesOf = (
  state: State,
  { addresses, id }: Pick<PeerRecord, "addresses" | "id">
): ReadonlyArray<PeerAddress.PeerAddress> => {
  const answered = PeerIndex.answeredBy(state.index, id)
  return answered.length === 0 ? addresses : distinct([...addresses, ...answered])
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
export const dropBootstrap = (state: State, address: PeerAddress.PeerAddress): State => forgetRecord(state, address)

/**
 * A connection to a node is open. What was in vain before is kept until it has lasted; over the limit, a peer not
 * connected is forgotten: where most of them are, the one for longest.
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
    /** When it opened, monotonic milliseconds. */
    readonly openedAt: number
  },
  wallNow: number,
  limits: Limits
): State => {
  const { dialed, identity, openedAt } = peer
  const known = peerOf(state, identity.id)
  const dialable = identity.listen.filter(({ host, port }) => port !== 0 && !PeerAddress.isUnspecified(host))
  const addresses = distinct(dialed === undefined ? dialable : [dialed, ...dialable])
  // What a node says of another host proves nothing: it must not keep this node from dialing who is really there.
  const proven = addresses.filter((address) => address === dialed || address.host === peer.address.host)
  const places = placesOf(state, { id: identity.id, addresses: proven })
  const failures = places.map((address) => addressRecord(state, address).attempts)
  const standing = known !== undefined && isLive(known) ? known : { upSince: openedAt, failures: 0 }
  let next = setPeer(setTold(state, identity.id, []), {
    id: identity.id,
    status: "connected",
    since: wallNow,
    direction: peer.direction,
    address: peer.address,
    ...atPlaces({ addresses, proven }, places),
    session: identity.session,
    agent: identity.agent,
    tags: identity.tags,
    isRequested: known?.isRequested ?? false,
    avoidUntil: 0,
    attempts: 0,
    upSince: standing.upSince,
    failures: Math.max(standing.failures, ...failures)
  })
  for (const address of places) next = cleared(next, address, identity.id)
  return forgetOldest(next, limits)
}

const distinct = (addresses: ReadonlyArray<PeerAddress.PeerAddress>): ReadonlyArray<PeerAddress.PeerAddress> =>
  addresses.length < 2 ? addresses : [...new Map(addresses.map((address) => [address.toString(), address])).values()]

/** Addresses kept of a node: as many as a HELLO has, and those it was met at. */
const maxAddresses = 24

const withPlaces = (
  known: ReadonlyArray<PeerAddress.PeerAddress>,
  places: ReadonlyArray<PeerAddress.PeerAddress>
): ReadonlyArray<PeerAddress.PeerAddress> =>
  places.every((place) => known.some((one) => isAt(one, place)))
    ? known
    : distinct([...known, ...places]).slice(0, maxAddresses)

/**
 * A node with a live connection was met at the address: it is one of its own, and nothing is held against it. Only
 * bootstrap addresses are kept for themselves.
 *
 * @since 0.1.0
 * @category transitions
 */
export const answered = (state: State, address: PeerAddress.PeerAddress, id: NodeId): State => {
  const peer = peerOf(state, id)
  const next =
    peer === undefined
      ? state
      : setPeer(state, {
          ...peer,
          ...atPlaces(peer, [address])
        })
  return cleared(next, address, id)
}

/** It was met at the places: it has no proven ones but among its addresses. */
const atPlaces = (
  { addresses, proven }: Pick<PeerRecord, "addresses" | "proven">,
  places: ReadonlyArray<PeerAddress.PeerAddress>
): Pick<PeerRecord, "addresses" | "proven"> => {
  const all = withPlaces(addresses, places)
  const kept = places.filter((place) => all.some((one) => isAt(one, place)))
  return { addresses: all, proven: withPlaces(proven, kept) }
}

/** Nothing is held against the address any more, where the node was met. */
const cleared = (state: State, address: PeerAddress.PeerAddress, id: NodeId): State => {
  const record = recordAt(state, address)
  return record?.isBootstrap === true
    ? setAddress(state, { ...record, id, attempts: 0, nextAt: 0, error: undefined })
    : forgetRecord(state, address)
}

/**
 * The addresses at which connected peers certainly are, as `host:port`: whoever else is said to be there is not.
 *
 * @since 0.1.0
 * @category accessors
 */
export const heldByLive = (state: State): ReadonlySet<string> => {
  const held = new Set<string>()
  HashMap.forEach(state.peers, (peer) => {
    if (isLive(peer)) for (const address of peer.proven) held.add(address.toString())
  })
  return held
}

/**
 * Whether a connected peer certainly is at the address.
 *
 * @since 0.1.0
 * @category accessors
 */
export const isHeldByLive = (state: State, address: PeerAddress.PeerAddress): boolean =>
  PeerIndex.peersAt(state.index, address).some((id) => {
    const peer = peerOf(state, id)
    return peer !== undefined && isLive(peer) && peer.proven.some((one) => isAt(one, address))
  })

/** Of those in the part of the network that most are in: who comes under ever new names forgets itself. */
const forgetOldest = (state: State, limits: Limits): State => {
  if (HashMap.size(state.peers) <= limits.peers) return state
  const parts = new Map<string, { count: number; oldest: PeerRecord }>()
  for (const peer of HashMap.values(state.peers)) {
    if (isLive(peer)) continue
    const part = PeerAddress.group(peer.address.host) ?? ""
    const before = parts.get(part)
    const oldest = before === undefined || peer.since < before.oldest.since ? peer : before.oldest
    parts.set(part, { count: (before?.count ?? 0) + 1, oldest })
  }
  let largest: { readonly count: number; readonly oldest: PeerRecord } | undefined
  for (const part of parts.values()) if (largest === undefined || part.count > largest.count) largest = part
  const oldest = largest?.oldest
  if (oldest === undefined) return state
  let next = removePeer(state, oldest.id)
  for (const address of PeerIndex.answeredBy(state.index, oldest.id)) {
    if (recordAt(state, address)?.isBootstrap !== true) next = forgetRecord(next, address)
  }
  return next
}

/**
 * A peer is silent, or heard again.
 *
 * @since 0.1.0
 * @category transitions
 */
export const suspected = (state: State, id: NodeId, isSuspect: boolean, wallNow: number): State => {
  const peer = peerOf(state, id)
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
  const peer = peerOf(state, id)
  return peer === undefined || peer.isRequested ? state : setPeer(state, { ...peer, isRequested: true })
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
  /** Attempts in vain so far, this connection one of them unless it lasted. */
  readonly failures: number
  /** Not to be dialed for so long, milliseconds. One that is `disconnected` is dialed again then. */
  readonly avoidFor: number
  /** If it is to be dialed again by back-off: when first, and for how long in all, milliseconds from now. */
  readonly redial: { readonly after: number; readonly giveUpAfter: number } | undefined
}

/**
 * A peer's last connection ended. One that cannot be dialed is forgotten. One that is `dead` and to be left alone, without
 * a `redial`, does not take this node: but for bootstrap addresses it is not dialed before it came by itself.
 *
 * @since 0.1.0
 * @category transitions
 */
export const ended = (state: State, id: NodeId, ending: Ending, now: number, wallNow: number): State => {
  const peer = peerOf(state, id)
  if (peer === undefined) return state
  const avoidUntil = now + ending.avoidFor
  let next: State =
    peer.addresses.length === 0
      ? removePeer(state, id)
      : setPeer(state, {
          ...peer,
          status: ending.status,
          since: wallNow,
          avoidUntil,
          // A peer closed on purpose is no longer wanted; one that closed by itself may be.
          isRequested: peer.isRequested && (ending.status !== "disconnected" || ending.avoidFor !== Infinity)
        })
  for (const address of placesOf(state, peer)) {
    const record = addressRecord(next, address)
    // A bootstrap address that the peer only says is its own.
    if (record.isBootstrap && record.id !== id) continue
    next = endedAt(next, { ...record, id, attempts: ending.failures, error: ending.error }, ending, now)
  }
  return next
}

const endedAt = (state: State, record: AddressRecord, { avoidFor, redial, status }: Ending, now: number): State => {
  const nextAt = now + (redial?.after ?? avoidFor)
  if (record.isBootstrap) return setAddress(state, { ...record, nextAt })
  if (redial !== undefined) return setAddress(state, { ...record, nextAt, giveUpAt: now + redial.giveUpAfter })
  if (status === "dead" && avoidFor > 0) return never(state, record)
  return status === "disconnected" && nextAt !== Infinity
    ? setAddress(state, { ...record, nextAt, giveUpAt: 0 })
    : forgetRecord(state, record.address)
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
  return nextAt >= giveUpAt && !record.isBootstrap ? forgetAddress(counted, address) : bounded(counted, address)
}

/**
 * The node at an address that is not a bootstrap one does not take this node: for so long, milliseconds, or `Infinity`,
 * it is not dialed for whatever reason of this node's own, unless it came by itself. An address that nobody named leaves
 * nothing behind.
 *
 * @since 0.1.0
 * @category transitions
 */
export const refused = (state: State, address: PeerAddress.PeerAddress, avoidFor: number, now: number): State => {
  const record = addressRecord(state, address)
  if (record.isBootstrap || !isNamed(state, address)) return state
  if (avoidFor === Infinity) return never(state, record)
  const until = now + avoidFor
  return bounded(setAddress(state, { ...record, nextAt: until, giveUpAt: until }), address)
}

const isNamed = (state: State, address: PeerAddress.PeerAddress): boolean => {
  const key = address.toString()
  const isThere = (other: PeerAddress.PeerAddress): boolean => other.toString() === key
  return (
    HashMap.has(state.addresses, key) ||
    PeerIndex.peersAt(state.index, address).length > 0 ||
    HashMap.some(state.hints, ({ told }) => told.some(({ addresses }) => addresses.some(isThere)))
  )
}

/** Never to be dialed, nor told of, until somebody is met there. */
const never = (state: State, record: AddressRecord): State =>
  bounded(
    forgetHintsAt(setAddress(state, { ...record, nextAt: Infinity, giveUpAt: Infinity }), record.address),
    record.address
  )

/** Addresses kept of nodes that were not met. */
const maxStrangers = 1024

/** What others tell is dialed once and then remembered for a while: whoever tells without end fills no more than this. */
const bounded = (state: State, added: PeerAddress.PeerAddress): State => {
  if (HashMap.size(state.addresses) <= maxStrangers) return state
  let count = 0
  let oldest: AddressRecord | undefined
  for (const record of HashMap.values(state.addresses)) {
    if (record.isBootstrap || (record.id !== undefined && HashMap.has(state.peers, record.id))) continue
    count++
    if (record.address.toString() === added.toString()) continue
    if (oldest === undefined || record.giveUpAt < oldest.giveUpAt) oldest = record
  }
  return count <= maxStrangers || oldest === undefined ? state : forgetAddress(state, oldest.address)
}

const countAttempt = (state: State, id: NodeId): State => {
  const peer = peerOf(state, id)
  return peer === undefined ? state : setPeer(state, { ...peer, attempts: peer.attempts + 1 })
}

/** An address that was given up leaves no way back to it but being told of again. */
const forgetAddress = (state: State, address: PeerAddress.PeerAddress): State =>
  forgetHintsAt(forgetRecord(state, address), address)

const forgetHintsAt = (state: State, address: PeerAddress.PeerAddress): State => {
  const key = address.toString()
  let next = state
  for (const { id, told } of HashMap.values(state.hints)) {
    const left = withoutAddress(told, key)
    if (left !== told) next = setTold(next, id, left)
  }
  return next
}

/** The same list where none of it is said of the address. */
const withoutAddress = (told: ReadonlyArray<Telling>, key: string): ReadonlyArray<Telling> => {
  const isThere = (address: PeerAddress.PeerAddress): boolean => address.toString() === key
  if (!told.some(({ addresses }) => addresses.some(isThere))) return told
  return told.flatMap((telling) => {
    const addresses = telling.addresses.filter((other) => !isThere(other))
    return addresses.length === 0 ? [] : [{ ...telling, addresses }]
  })
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
    if (!isGivenUp(record, now)) continue
    // What was not tried in vain may still be told of.
    next = record.attempts > 0 ? forgetAddress(next, record.address) : forgetRecord(next, record.address)
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
  never(state, addressRecord(state, address))

/**
 * A hint turned out wrong: another node answered there. What else is told of the node stands; without an address, nothing.
 *
 * @since 0.1.0
 * @category transitions
 */
export const dropHint = (state: State, id: NodeId, address?: PeerAddress.PeerAddress): State =>
  setTold(state, id, address === undefined ? [] : withoutAddress(toldOf(state, id), address.toString()))

/** Hints from one part of the network, in those of one teller: whoever has many identities there has one voice. */
const tellersOfGroup = 4

/** Addresses taken from one telling. */
const toldAddresses = 8

/**
 * What a peer told of others. Hints only: bounded in all, per teller, and per part of the network that tellers are in
 * (`group`); where there is no room left, who told most gives
 * way, so that many that lie cannot shut out one that has told little. None about this node itself, about peers that are
 * connected, or about those that are to be left alone for now.
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
  limits: Limits,
  group?: string
): State => {
  let next = state

  const set = (id: NodeId, told: ReadonlyArray<Telling>): void => {
    next = setTold(next === state ? opened(state) : next, id, told)
  }

  /** Whoever has told most gives way, if that is more than this one has. */
  const makeRoom = (): boolean => {
    const { byTeller } = next.index
    const first: readonly [NodeId, number] = [teller, 0]
    const [busiest, most] = HashMap.reduce(byTeller, first, (max, count, other) =>
      count > max[1] ? [other, count] : max
    )
    if (most <= PeerIndex.toldBy(next.index, teller) + 1) return false
    const given = Option.getOrUndefined(
      HashMap.findFirst(next.hints, ({ told }) => told.some((one) => one.teller === busiest))
    )
    if (given === undefined) return false
    set(given[0], without(given[1].told, busiest))
    return true
  }

  const isFull = (): boolean =>
    PeerIndex.toldBy(next.index, teller) >= limits.hintsPerTeller ||
    (group !== undefined && PeerIndex.toldIn(next.index, group) >= limits.hintsPerTeller * tellersOfGroup)

  for (const entry of entries) {
    if (entry.id === self) continue
    const told = toldOf(next, entry.id)
    const before = told.find((telling) => telling.teller === teller)
    // Most tellers have told as much as they may: their entries need not be looked at further.
    if (before === undefined && isFull()) continue
    const peer = peerOf(state, entry.id)
    if (peer !== undefined && (isLive(peer) || peer.avoidUntil > now)) continue
    const others = before === undefined ? told : without(told, teller)
    // Most of what is told has been told before.
    if (isSaid(others, entry.addresses) || (before !== undefined && isSame(before.addresses, entry.addresses))) continue
    const addresses = distinct(entry.addresses.map(({ host, port }) => PeerAddress.make(host, port)))
      .filter((address) => recordAt(state, address)?.nextAt !== Infinity)
      .slice(0, toldAddresses)
    if (isSaid(others, addresses)) continue
    if (before !== undefined) {
      // What was tried stays until it is given up: nobody can have this node dial one address after the other.
      if (before.addresses.some((address) => HashMap.has(state.addresses, address.toString()))) continue
    } else if (next.index.tellings >= limits.hints && !makeRoom()) continue
    set(entry.id, [
      ...without(toldOf(next, entry.id), teller),
      group === undefined ? { teller, addresses } : { teller, group, addresses }
    ])
  }
  return next === state ? state : closed(next)
}

const without = (told: ReadonlyArray<Telling>, teller: NodeId): ReadonlyArray<Telling> =>
  told.filter((telling) => telling.teller !== teller)

type Place = Pick<PeerAddress.PeerAddress, "host" | "port">

const isAt = (one: Place, { host, port }: Place): boolean =>
  one.port === port && one.host === PeerAddress.normalizeHost(host)

/** Whether the tellings say all of it. */
const isSaid = (told: ReadonlyArray<Telling>, places: ReadonlyArray<Place>): boolean =>
  places.every((place) => told.some(({ addresses }) => addresses.some((address) => isAt(address, place))))

const isSame = (addresses: ReadonlyArray<Place>, places: ReadonlyArray<Place>): boolean =>
  addresses.length === places.length &&
  places.every((place, index) => {
    const address = addresses[index]
    return address !== undefined && isAt(address, place)
  })

/**
 * The node known, or last met, at an address.
 *
 * @since 0.1.0
 * @category accessors
 */
export const nodeAt = (state: State, address: PeerAddress.PeerAddress): NodeId | undefined => {
  const known = addressRecord(state, address).id
  if (known !== undefined) return known
  const there = PeerIndex.peersAt(state.index, address)
  // A node that came back under another id stands beside what it was before.
  return there.findLast((id) => isLiveIn(state, id)) ?? there[0]
}

const isLiveIn = (state: State, id: NodeId): boolean => {
  const peer = peerOf(state, id)
  return peer !== undefined && isLive(peer)
}

/**
 * What this node tells another of the nodes it knows: those that it shook hands with itself, that have an address, and
 * that are not banned, left or dead; never the one that is told. Addresses of this machine and link go only to peers
 * that are seen at such (docs/PROTOCOL.md, section 5).
 *
 * @since 0.1.0
 * @category accessors
 */
export const known = (
  state: State,
  told: NodeId,
  toldAt: PeerAddress.PeerAddress,
  /** Of all that may be told, those that are. */
  choose: (peers: ReadonlyArray<PeerRecord>) => ReadonlyArray<PeerRecord> = (peers) => peers
): ReadonlyArray<PeerEntry> => {
  const mayHear = PeerIndex.mayHear(toldAt.host)
  const tellable: Array<PeerRecord> = []
  HashMap.forEach(state.peers, (peer) => {
    if (peer.id === told || !PeerIndex.isTellable(peer.status)) return
    if (peer.addresses.some(mayHear)) tellable.push(peer)
  })
  // Most of a large book is not told: its entries need not be made.
  return choose(tellable).map((peer) => entryOf(peer, mayHear))
}

/**
 * Up to `count` of those that it tells ({@link known}), each as likely as any other: however many it knows, only so many
 * are looked at.
 *
 * @since 0.1.0
 * @category accessors
 */
export const someKnown = (
  state: State,
  told: NodeId,
  toldAt: PeerAddress.PeerAddress,
  count: number,
  random: () => number
): ReadonlyArray<PeerEntry> => {
  const mayHear = PeerIndex.mayHear(toldAt.host)
  const entries: Array<PeerEntry> = []
  if (count <= 0) return entries
  for (const peer of PeerIndex.shuffled(state.index, toldAt.host, random)) {
    if (peer.id !== told && entries.push(entryOf(peer, mayHear)) >= count) break
  }
  return entries
}

/**
 * Those of the given nodes that it tells ({@link known}), without a look at all the others.
 *
 * @since 0.1.0
 * @category accessors
 */
export const knownOf = (
  state: State,
  ids: Iterable<NodeId>,
  told: NodeId,
  toldAt: PeerAddress.PeerAddress
): ReadonlyArray<PeerEntry> => {
  const mayHear = PeerIndex.mayHear(toldAt.host)
  const entries: Array<PeerEntry> = []
  for (const id of ids) {
    const peer = peerOf(state, id)
    if (peer === undefined || id === told || !PeerIndex.isTellable(peer.status)) continue
    if (peer.addresses.some(mayHear)) entries.push(entryOf(peer, mayHear))
  }
  return entries
}

/** Addresses told of a node. */
const tellableAddresses = 8

const entryOf = (peer: PeerRecord, mayHear: (address: PeerAddress.PeerAddress) => boolean): PeerEntry => {
  const { id } = peer
  const addresses: Array<{ readonly host: string; readonly port: number }> = []
  for (const address of peer.addresses) {
    if (mayHear(address) && addresses.push({ host: address.host, port: address.port }) === tellableAddresses) break
  }
  return isLive(peer) ? { id, addresses } : { id, addresses, lastSeen: timestampOf(peer.since) }
}

/**
 * The peer book of this node: the state, read and changed in one synchronous step.
 *
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
