/**
 * What an application sees of the network: its peers, what happens to them, and the health of its own node. All are
 * plain data with schemas, so that they can be shown, logged and sent as JSON.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { NodeId } from "./NodeId.js"
import { PeerAddress } from "./PeerAddress.js"

/**
 * How it stands with a peer. `connected`; `suspect`: connected, but silent for half of `heartbeatTimeout`;
 * `disconnected`: closed on purpose by one side; `dead`: lost without a word; `left`: it said that it stops; `banned`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const PeerStatus = Schema.Literal("connected", "suspect", "disconnected", "dead", "left", "banned")

/**
 * @since 0.1.0
 * @category models
 */
export type PeerStatus = typeof PeerStatus.Type

/**
 * Who dialed: `outbound` is dialed by this node.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Direction = Schema.Literal("inbound", "outbound")

/**
 * @since 0.1.0
 * @category models
 */
export type Direction = typeof Direction.Type

/**
 * Who may be connected. `deny` wins over `allow`; an empty `allow` stands for all.
 *
 * @since 0.1.0
 * @category schemas
 */
export const AccessLists = Schema.Struct({ allow: Schema.Array(NodeId), deny: Schema.Array(NodeId) })

/**
 * @since 0.1.0
 * @category models
 */
export type AccessLists = typeof AccessLists.Type

const Both = Schema.Struct({ in: Schema.Number, out: Schema.Number })

/**
 * Round-trip times of pings over the last 128, in milliseconds.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RoundTrip = Schema.Struct({ lastMs: Schema.Number, meanMs: Schema.Number, p99Ms: Schema.Number })

/**
 * A node that this one has shaken hands with. Bytes and messages are counted over all its connections, frames of the
 * protocol included; `since` is when the status became what it is (RFC 3339).
 *
 * @since 0.1.0
 * @category schemas
 */
export const Peer = Schema.Struct({
  id: NodeId,
  status: PeerStatus,
  /** Of the live connection, or the last one. */
  direction: Direction,
  /** The other end of the live connection, or the last one, as seen from here. */
  address: PeerAddress,
  /** Where the peer says that it listens, best first. */
  addresses: Schema.Array(PeerAddress),
  since: Schema.String,
  agent: Schema.optionalWith(Schema.String, { exact: true }),
  tags: Schema.Record({ key: Schema.String, value: Schema.String }),
  roundTrip: Schema.optionalWith(RoundTrip, { exact: true }),
  bytes: Both,
  messages: Both,
  /** Attempts to dial it again since it was last connected. */
  attempts: Schema.Number
})

/**
 * @since 0.1.0
 * @category models
 */
export type Peer = typeof Peer.Type

/**
 * An error as data: its tag and text.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Failure = Schema.Struct({ _tag: Schema.String, message: Schema.String })

/**
 * What happens in the network. Filter by `_tag`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const NetworkEvent = Schema.Union(
  Schema.TaggedStruct("Listening", { address: PeerAddress }),
  /** A new peer, one that is back, or, where it was shown as connected all the time, another run of it: it has restarted. */
  Schema.TaggedStruct("PeerConnected", { peer: Peer }),
  Schema.TaggedStruct("PeerSuspect", { peer: Peer }),
  Schema.TaggedStruct("PeerRecovered", { peer: Peer }),
  Schema.TaggedStruct("PeerDisconnected", { peer: Peer, error: Failure }),
  Schema.TaggedStruct("PeerDead", { peer: Peer, error: Failure }),
  Schema.TaggedStruct("PeerLeft", { peer: Peer }),
  /** Messages that were still in this node's queue when the connection ended: they were not sent. */
  Schema.TaggedStruct("MessagesLost", { peer: NodeId, ids: Schema.Array(Schema.String) }),
  Schema.TaggedStruct("DialFailed", {
    address: PeerAddress,
    error: Failure,
    attempts: Schema.Number,
    /** Until the next attempt; absent where there will be none. */
    retryInMs: Schema.optionalWith(Schema.Number, { exact: true })
  }),
  /** A connection that was refused, or broke off, before it was one. */
  Schema.TaggedStruct("HandshakeFailed", { address: PeerAddress, direction: Direction, error: Failure }),
  Schema.TaggedStruct("IdConflict", { id: NodeId, address: PeerAddress }),
  Schema.TaggedStruct("Stopped", {})
)

/**
 * @since 0.1.0
 * @category models
 */
export type NetworkEvent = typeof NetworkEvent.Type

/**
 * The health of this node. Counts are since it was built, rates over about 10 seconds.
 *
 * @since 0.1.0
 * @category schemas
 */
export const NetworkStatus = Schema.Struct({
  nodeId: NodeId,
  running: Schema.Boolean,
  /** What it listens at; absent while it does not. */
  address: Schema.optionalWith(PeerAddress, { exact: true }),
  /** Where it tells others to find it. */
  advertised: Schema.Array(PeerAddress),
  network: Schema.String,
  uptimeMs: Schema.Number,
  peers: Schema.Struct({
    connected: Schema.Number,
    suspect: Schema.Number,
    disconnected: Schema.Number,
    dead: Schema.Number,
    left: Schema.Number,
    banned: Schema.Number
  }),
  connections: Schema.Struct({
    inbound: Schema.Number,
    outbound: Schema.Number,
    handshaking: Schema.Number,
    closing: Schema.Number
  }),
  /** Addresses that are not connected and will be dialed again. */
  dialing: Schema.Array(
    Schema.Struct({
      address: PeerAddress,
      attempts: Schema.Number,
      error: Schema.optionalWith(Failure, { exact: true }),
      nextAttemptInMs: Schema.optionalWith(Schema.Number, { exact: true })
    })
  ),
  messages: Both,
  bytes: Both,
  /** Messages and bytes a second. */
  rates: Schema.Struct({ messages: Both, bytes: Both }),
  queued: Schema.Struct({
    outbound: Schema.Number,
    outboundBytes: Schema.Number,
    inbound: Schema.Number,
    inboundBytes: Schema.Number,
    requests: Schema.Number
  }),
  /** What became of messages that were neither delivered nor answered. */
  counts: Schema.Record({ key: Schema.String, value: Schema.Number }),
  /** Errors so far, by tag. */
  errors: Schema.Record({ key: Schema.String, value: Schema.Number }),
  /** Round-trip times over all connected peers; absent while there is none. */
  roundTrip: Schema.optionalWith(Schema.Struct({ p50Ms: Schema.Number, p90Ms: Schema.Number, p99Ms: Schema.Number }), {
    exact: true
  })
})

/**
 * @since 0.1.0
 * @category models
 */
export type NetworkStatus = typeof NetworkStatus.Type

/**
 * What became of a broadcast at this node: to whom it was handed, and to whom not and why. What the others pass on is
 * not known.
 *
 * @since 0.1.0
 * @category schemas
 */
export const BroadcastReceipt = Schema.Struct({
  id: Schema.String,
  sent: Schema.Array(NodeId),
  failed: Schema.Array(Schema.Struct({ peer: NodeId, error: Failure }))
})

/**
 * @since 0.1.0
 * @category models
 */
export type BroadcastReceipt = typeof BroadcastReceipt.Type
