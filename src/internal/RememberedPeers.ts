/**
 * The nodes that are worth remembering beyond a run, as the book has them, and how they come back into a book: as hints
 * of this node to itself, so that they are dialed when peers are wanted, but neither shown nor passed on before a
 * handshake (docs/PROTOCOL.md, section 5).
 *
 * @internal
 */
import * as HashMap from "effect/HashMap"
import * as Schema from "effect/Schema"
import { NodeId } from "../NodeId.js"
import * as PeerAddress from "../PeerAddress.js"
import type { PeerRecord, State } from "../PeerBook.js"
import { heldByLive, hinted } from "../PeerBook.js"
import { timestampPattern } from "./Timestamp.js"

/** Nodes that are remembered. */
export const maxPeers = 4096

/** Addresses of each, as many as a PEER_LIST has. */
const maxAddresses = 8

export const RememberedPeer = Schema.Struct({
  id: NodeId,
  addresses: Schema.Array(
    Schema.Struct({ host: PeerAddress.PeerAddress.fields.host, port: Schema.Int.pipe(Schema.between(1, 65535)) })
  ).pipe(Schema.minItems(1), Schema.maxItems(maxAddresses)),
  /** When it was last connected, RFC 3339. */
  lastSeen: Schema.String.pipe(Schema.pattern(timestampPattern))
})

export type RememberedPeer = typeof RememberedPeer.Type

const keyOf = ({ host, port }: { readonly host: string; readonly port: number }): string =>
  PeerAddress.format(host, port)

const isLive = ({ status }: PeerRecord): boolean => status === "connected" || status === "suspect"

/**
 * Whom to remember: the nodes of the book that have an address and are not banned, then those of `before` that were not
 * met in this run; those seen last first. One whose every address is a live node's now is forgotten.
 */
export const collect = (
  state: State,
  before: ReadonlyArray<RememberedPeer>,
  self: NodeId,
  wallNow: number
): ReadonlyArray<RememberedPeer> => {
  const held = heldByLive(state)
  const now = new Date(wallNow).toISOString()
  const kept: Array<RememberedPeer> = []
  for (const peer of HashMap.values(state.peers)) {
    if (peer.status === "banned") continue
    const addresses = isLive(peer) ? peer.addresses : peer.addresses.filter((address) => !held.has(keyOf(address)))
    if (addresses.length === 0) continue
    kept.push({
      id: peer.id,
      addresses: addresses.slice(0, maxAddresses).map(({ host, port }) => ({ host, port })),
      lastSeen: isLive(peer) ? now : new Date(peer.since).toISOString()
    })
  }
  for (const peer of before) {
    if (peer.id === self || HashMap.has(state.peers, peer.id)) continue
    const addresses = peer.addresses.filter((address) => !held.has(keyOf(address)))
    if (addresses.length > 0) kept.push(addresses.length === peer.addresses.length ? peer : { ...peer, addresses })
  }
  return newestFirst(kept).slice(0, maxPeers)
}

const newestFirst = (peers: ReadonlyArray<RememberedPeer>): ReadonlyArray<RememberedPeer> =>
  peers
    .map((peer) => ({ peer, at: Date.parse(peer.lastSeen) }))
    .sort((a, b) => b.at - a.at)
    .map(({ peer }) => peer)

/**
 * Gives remembered nodes to the book, the first ones first, as long as they fill no more than half of the room for hints:
 * the rest is for what others tell. None that is connected, or is to be left alone for now.
 */
export const remind = (
  state: State,
  peers: ReadonlyArray<RememberedPeer>,
  self: NodeId,
  now: number,
  maxHints: number
): State => {
  const room = Math.max(1, Math.floor(maxHints / 2))
  return hinted(state, self, self, peers, now, { peers: Infinity, hints: maxHints, hintsPerTeller: room })
}

/** What of it is worth a write: whom and where, not when. */
export const fingerprint = (peers: ReadonlyArray<RememberedPeer>): string =>
  peers
    .map(({ addresses, id }) => [id, ...addresses.map(keyOf)].join(" "))
    .sort()
    .join("\n")
