/**
 * Every way in which the network can fail, one class for each thing a caller can act on differently, and the error codes
 * of the wire (docs/PROTOCOL.md, section 7). What follows from each stands in `Policy`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { NodeId } from "./NodeId.js"
import { PeerAddress } from "./PeerAddress.js"

const Cause = Schema.optional(Schema.Defect)

const causeText = (cause: unknown): string =>
  cause === undefined ? "" : `: ${cause instanceof Error ? cause.message : String(cause)}`

// --- Settings and start ---

/**
 * One or more settings have values that are not allowed. Nothing was started.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConfigInvalid extends Schema.TaggedError<ConfigInvalid>("synapse-p2p/ConfigInvalid")("ConfigInvalid", {
  issues: Schema.Array(Schema.Struct({ key: Schema.String, value: Schema.String, expected: Schema.String }))
}) {
  override get message(): string {
    return this.issues.map(({ expected, key, value }) => `${key} is ${value}, but must be ${expected}`).join("; ")
  }
}

/**
 * The address cannot be listened at.
 *
 * @since 0.1.0
 * @category errors
 */
export class ListenFailed extends Schema.TaggedError<ListenFailed>("synapse-p2p/ListenFailed")("ListenFailed", {
  address: PeerAddress,
  reason: Schema.Literal("AddressInUse", "AddressNotAvailable", "PermissionDenied", "Other"),
  cause: Cause
}) {
  override get message(): string {
    switch (this.reason) {
      case "AddressInUse":
        return `${this.address} is in use, perhaps by another node on this machine: stop that one, or choose another port (--port 0 takes any free one)`
      case "AddressNotAvailable":
        return `${this.address} is not an address of this machine: choose another host (127.0.0.1 for this machine only, 0.0.0.0 for all its addresses)`
      case "PermissionDenied":
        return `listening at ${this.address} is not permitted: choose a port above 1023`
      case "Other":
        return `cannot listen at ${this.address}${causeText(this.cause)}`
    }
  }
}

/**
 * The state folder cannot be used. `pid`: the process that has it, where that is known.
 *
 * @since 0.1.0
 * @category errors
 */
export class StateFolderFailed extends Schema.TaggedError<StateFolderFailed>("synapse-p2p/StateFolderFailed")(
  "StateFolderFailed",
  {
    path: Schema.String,
    reason: Schema.Literal("InUse", "NotWritable", "NotAFolder", "Other"),
    pid: Schema.optional(Schema.Number),
    cause: Cause
  }
) {
  override get message(): string {
    switch (this.reason) {
      case "InUse":
        return `the state folder ${this.path} is in use by ${this.pid === undefined ? "another process" : `process ${this.pid}`}: stop that process, or choose another folder (stateDir) for this node`
      case "NotWritable":
        return `the state folder ${this.path} cannot be written to${causeText(this.cause)}: choose another folder (stateDir), or let this user write there`
      case "NotAFolder":
        return `the state folder ${this.path} is not a folder: choose another one (stateDir), or move that file away`
      case "Other":
        return `the state folder ${this.path} cannot be used${causeText(this.cause)}`
    }
  }
}

/**
 * This node cannot have the identity that it is to have: its key is missing, damaged or open to others, or the settings ask
 * for another id than the key's. Nothing was started, and no key was changed. `detail` repeats nothing of a key.
 *
 * @since 0.1.0
 * @category errors
 */
export class IdentityFailed extends Schema.TaggedError<IdentityFailed>("synapse-p2p/IdentityFailed")("IdentityFailed", {
  reason: Schema.Literal(
    "Missing",
    "Exists",
    "ReadableByOthers",
    "Damaged",
    "NotWritable",
    "KeyInvalid",
    "OtherNodeId",
    "NoFolder",
    "Other"
  ),
  /** The file of the key, if it is one. */
  path: Schema.optional(Schema.String),
  detail: Schema.optional(Schema.String),
  cause: Cause
}) {
  override get message(): string {
    switch (this.reason) {
      case "Missing":
        return `there is no key at ${this.path}: make one (synapse identity new), or start a node with that state folder, which makes one`
      case "Exists":
        return `there is a key at ${this.path} already, and a key is never overwritten: choose another folder, or move it away`
      case "ReadableByOthers":
        return `the key at ${this.path} can be read by others than its owner: make it private (chmod 600), and a new one if somebody may have read it`
      case "Damaged":
        return `the key at ${this.path} is damaged (${this.detail}): put it back from a backup, or move it away for a new one, with which this node is another node`
      case "NotWritable":
        return `a key cannot be written to ${this.path}${causeText(this.cause)}`
      case "KeyInvalid":
        return `the identityKey that was given cannot be used: ${this.detail}`
      case "OtherNodeId":
        return `${this.detail}: leave nodeId out, or set encryption to none`
      case "NoFolder":
        return "no state folder is named: name one (--state-dir, or SYNAPSE_STATE_DIR)"
      case "Other":
        return `the key at ${this.path} cannot be read${causeText(this.cause)}`
    }
  }
}

/**
 * The network is stopped, or has not been started.
 *
 * @since 0.1.0
 * @category errors
 */
export class NetworkNotRunning extends Schema.TaggedError<NetworkNotRunning>("synapse-p2p/NetworkNotRunning")(
  "NetworkNotRunning",
  {}
) {
  override get message(): string {
    return "the network is not running: start it first"
  }
}

/**
 * The text is not `host:port`.
 *
 * @since 0.1.0
 * @category errors
 */
export class AddressInvalid extends Schema.TaggedError<AddressInvalid>("synapse-p2p/AddressInvalid")("AddressInvalid", {
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
}

// --- Dialing ---

/**
 * Nobody listens at the address.
 *
 * @since 0.1.0
 * @category errors
 */
export class DialRefused extends Schema.TaggedError<DialRefused>("synapse-p2p/DialRefused")("DialRefused", {
  address: PeerAddress
}) {
  override get message(): string {
    return `${this.address} refused the connection: no node listens there`
  }
}

/**
 * No connection came about within `connectTimeout`.
 *
 * @since 0.1.0
 * @category errors
 */
export class DialTimeout extends Schema.TaggedError<DialTimeout>("synapse-p2p/DialTimeout")("DialTimeout", {
  address: PeerAddress,
  millis: Schema.Number
}) {
  override get message(): string {
    return `${this.address} did not answer within ${this.millis} ms`
  }
}

/**
 * The connection was reset while it was made.
 *
 * @since 0.1.0
 * @category errors
 */
export class DialReset extends Schema.TaggedError<DialReset>("synapse-p2p/DialReset")("DialReset", {
  address: PeerAddress,
  cause: Cause
}) {
  override get message(): string {
    return `${this.address} reset the connection${causeText(this.cause)}`
  }
}

/**
 * There is no way to the address from here.
 *
 * @since 0.1.0
 * @category errors
 */
export class DialUnreachable extends Schema.TaggedError<DialUnreachable>("synapse-p2p/DialUnreachable")(
  "DialUnreachable",
  { address: PeerAddress, cause: Cause }
) {
  override get message(): string {
    return `${this.address} cannot be reached${causeText(this.cause)}`
  }
}

/**
 * The host name stands for no address.
 *
 * @since 0.1.0
 * @category errors
 */
export class AddressUnresolved extends Schema.TaggedError<AddressUnresolved>("synapse-p2p/AddressUnresolved")(
  "AddressUnresolved",
  { address: PeerAddress, cause: Cause }
) {
  override get message(): string {
    return `the name ${this.address.host} cannot be resolved${causeText(this.cause)}`
  }
}

/**
 * Too many dials wait already.
 *
 * @since 0.1.0
 * @category errors
 */
export class DialQueueFull extends Schema.TaggedError<DialQueueFull>("synapse-p2p/DialQueueFull")("DialQueueFull", {
  address: PeerAddress,
  limit: Schema.Number
}) {
  override get message(): string {
    return `${this.address} was not dialed: ${this.limit} dials wait already; try again later`
  }
}

/**
 * Another node than the one asked for answered at the address.
 *
 * @since 0.1.0
 * @category errors
 */
export class IdentityMismatch extends Schema.TaggedError<IdentityMismatch>("synapse-p2p/IdentityMismatch")(
  "IdentityMismatch",
  { address: PeerAddress, expected: NodeId, actual: NodeId }
) {
  override get message(): string {
    return `at ${this.address} is ${this.actual}, not ${this.expected}`
  }
}

/**
 * What {@link Transport} may fail with when it dials.
 *
 * @since 0.1.0
 * @category errors
 */
export type DialError = DialRefused | DialReset | DialUnreachable | AddressUnresolved | TlsFailed | HandshakeTimeout

// --- Connections: what the ERROR codes of the wire stand for ---

const remoteFields = {
  /** The other end's address, as seen from here. */
  address: PeerAddress,
  /** Its id, once known. */
  peer: Schema.optional(NodeId),
  /** Who found the fault: we, or the other end, which told us. */
  origin: Schema.Literal("local", "remote"),
  /** The text that came, or went, with the code. */
  detail: Schema.String,
  /** How long the other end asks to be left alone. */
  retryAfterMs: Schema.optional(Schema.Number)
}

interface Remote {
  readonly address: PeerAddress
  readonly peer?: NodeId | undefined
  readonly origin: "local" | "remote"
  readonly detail: string
}

const remoteText = (error: Remote, what: string): string =>
  `${error.peer === undefined ? error.address : `${error.peer} at ${error.address}`}: ${what}${
    error.detail === "" || error.detail === what
      ? ""
      : ` (${error.origin === "remote" ? "it says: " : ""}${error.detail})`
  }`

/**
 * A frame that is not one: length 0, no UTF-8, no JSON object, or not complete in time.
 *
 * @since 0.1.0
 * @category errors
 */
export class MalformedFrame extends Schema.TaggedError<MalformedFrame>("synapse-p2p/MalformedFrame")(
  "MalformedFrame",
  remoteFields
) {
  override get message(): string {
    return remoteText(this, "malformed frame")
  }
}

/**
 * A frame longer than its receiver takes.
 *
 * @since 0.1.0
 * @category errors
 */
export class FrameTooLarge extends Schema.TaggedError<FrameTooLarge>("synapse-p2p/FrameTooLarge")(
  "FrameTooLarge",
  remoteFields
) {
  override get message(): string {
    return remoteText(this, "frame too large")
  }
}

/**
 * A message that breaks a rule of the protocol.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidMessage extends Schema.TaggedError<InvalidMessage>("synapse-p2p/InvalidMessage")(
  "InvalidMessage",
  remoteFields
) {
  override get message(): string {
    return remoteText(this, "invalid message")
  }
}

/**
 * The first message was not HELLO.
 *
 * @since 0.1.0
 * @category errors
 */
export class HandshakeRequired extends Schema.TaggedError<HandshakeRequired>("synapse-p2p/HandshakeRequired")(
  "HandshakeRequired",
  remoteFields
) {
  override get message(): string {
    return remoteText(this, "the first message must be HELLO")
  }
}

/**
 * No HELLO within `handshakeTimeout`.
 *
 * @since 0.1.0
 * @category errors
 */
export class HandshakeTimeout extends Schema.TaggedError<HandshakeTimeout>("synapse-p2p/HandshakeTimeout")(
  "HandshakeTimeout",
  remoteFields
) {
  override get message(): string {
    return remoteText(this, "no handshake in time")
  }
}

/**
 * The two speak no common version of the protocol.
 *
 * @since 0.1.0
 * @category errors
 */
export class VersionMismatch extends Schema.TaggedError<VersionMismatch>("synapse-p2p/VersionMismatch")(
  "VersionMismatch",
  remoteFields
) {
  override get message(): string {
    return remoteText(this, "no common protocol version")
  }
}

/**
 * The other node belongs to another network.
 *
 * @since 0.1.0
 * @category errors
 */
export class NetworkMismatch extends Schema.TaggedError<NetworkMismatch>("synapse-p2p/NetworkMismatch")(
  "NetworkMismatch",
  remoteFields
) {
  override get message(): string {
    return remoteText(this, "another network")
  }
}

/**
 * The other node could not, or need not, prove who it is.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unauthorized extends Schema.TaggedError<Unauthorized>("synapse-p2p/Unauthorized")(
  "Unauthorized",
  remoteFields
) {
  override get message(): string {
    return remoteText(this, "not authorized")
  }
}

/**
 * The node met itself, or another node with its id.
 *
 * @since 0.1.0
 * @category errors
 */
export class SelfConnection extends Schema.TaggedError<SelfConnection>("synapse-p2p/SelfConnection")(
  "SelfConnection",
  remoteFields
) {
  override get message(): string {
    return remoteText(this, "that is this node's own id")
  }
}

/**
 * The two could not agree on encryption. `reason`: `PlainText`, the other end does not speak TLS; `Encrypted`, it does, but
 * this node does not; `Version`, it does not speak TLS 1.3; `Protocol`, it speaks something else over TLS; `Certificate`, it
 * shows no certificate of a key that a node may have.
 *
 * @since 0.1.0
 * @category errors
 */
export class TlsFailed extends Schema.TaggedError<TlsFailed>("synapse-p2p/TlsFailed")("TlsFailed", {
  ...remoteFields,
  reason: Schema.Literal("PlainText", "Encrypted", "Version", "Protocol", "Certificate", "Other"),
  cause: Cause
}) {
  override get message(): string {
    return remoteText(this, `no encrypted connection: ${tlsFaults[this.reason]}${causeText(this.cause)}`)
  }
}

const tlsFaults = {
  PlainText: "the other end does not speak TLS; set encryption to the same at both ends",
  Encrypted: "the other end speaks TLS and this node does not; set encryption to the same at both ends",
  Version: "the other end does not speak TLS 1.3",
  Protocol: "what is spoken there over TLS is not this protocol",
  Certificate: "the other end shows no certificate of an Ed25519 or P-256 key",
  Other: "the TLS handshake failed"
} as const

/**
 * There is another connection to the same node, and that one stays.
 *
 * @since 0.1.0
 * @category errors
 */
export class DuplicateConnection extends Schema.TaggedError<DuplicateConnection>("synapse-p2p/DuplicateConnection")(
  "DuplicateConnection",
  remoteFields
) {
  override get message(): string {
    return remoteText(this, "another connection to that node stays")
  }
}

/**
 * The other end, or this one, has as many connections as it takes.
 *
 * @since 0.1.0
 * @category errors
 */
export class TooManyConnections extends Schema.TaggedError<TooManyConnections>("synapse-p2p/TooManyConnections")(
  "TooManyConnections",
  remoteFields
) {
  override get message(): string {
    return remoteText(this, "too many connections; try again later or raise its maxPeers")
  }
}

/**
 * The address has sent too many invalid messages.
 *
 * @since 0.1.0
 * @category errors
 */
export class Banned extends Schema.TaggedError<Banned>("synapse-p2p/Banned")("Banned", remoteFields) {
  override get message(): string {
    return remoteText(this, "banned for a while")
  }
}

/**
 * Too many messages a second.
 *
 * @since 0.1.0
 * @category errors
 */
export class RateLimited extends Schema.TaggedError<RateLimited>("synapse-p2p/RateLimited")(
  "RateLimited",
  remoteFields
) {
  override get message(): string {
    return remoteText(this, "too many messages a second")
  }
}

/**
 * The connection was closed on purpose.
 *
 * @since 0.1.0
 * @category errors
 */
export class Disconnected extends Schema.TaggedError<Disconnected>("synapse-p2p/Disconnected")(
  "Disconnected",
  remoteFields
) {
  override get message(): string {
    return remoteText(this, "disconnected on purpose")
  }
}

/**
 * The other node stops.
 *
 * @since 0.1.0
 * @category errors
 */
export class ShuttingDown extends Schema.TaggedError<ShuttingDown>("synapse-p2p/ShuttingDown")(
  "ShuttingDown",
  remoteFields
) {
  override get message(): string {
    return remoteText(this, "the node stops")
  }
}

/**
 * The other end has a fault of its own, or sent a fatal code unknown here.
 *
 * @since 0.1.0
 * @category errors
 */
export class PeerFault extends Schema.TaggedError<PeerFault>("synapse-p2p/PeerFault")("PeerFault", remoteFields) {
  override get message(): string {
    return remoteText(this, "internal fault")
  }
}

/**
 * The connection ended without a word: FIN or reset.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectionLost extends Schema.TaggedError<ConnectionLost>("synapse-p2p/ConnectionLost")("ConnectionLost", {
  ...remoteFields,
  cause: Cause
}) {
  override get message(): string {
    return remoteText(this, `connection lost${causeText(this.cause)}`)
  }
}

/**
 * Nothing was heard for `heartbeatTimeout`.
 *
 * @since 0.1.0
 * @category errors
 */
export class PeerSilent extends Schema.TaggedError<PeerSilent>("synapse-p2p/PeerSilent")("PeerSilent", remoteFields) {
  override get message(): string {
    return remoteText(this, "not heard from in time")
  }
}

/**
 * The operating system took nothing for `slowConsumerTimeout` while data waited.
 *
 * @since 0.1.0
 * @category errors
 */
export class SlowConsumer extends Schema.TaggedError<SlowConsumer>("synapse-p2p/SlowConsumer")(
  "SlowConsumer",
  remoteFields
) {
  override get message(): string {
    return remoteText(this, "does not read")
  }
}

// --- Messages ---

/**
 * There is no connection to the peer.
 *
 * @since 0.1.0
 * @category errors
 */
export class PeerNotConnected extends Schema.TaggedError<PeerNotConnected>("synapse-p2p/PeerNotConnected")(
  "PeerNotConnected",
  { peer: Schema.String }
) {
  override get message(): string {
    return `${this.peer} is not connected: connect to it first`
  }
}

/**
 * The peer's queue had no room within `sendTimeout`. The message was not sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class SendTimeout extends Schema.TaggedError<SendTimeout>("synapse-p2p/SendTimeout")("SendTimeout", {
  peer: NodeId,
  millis: Schema.Number
}) {
  override get message(): string {
    return `the queue to ${this.peer} had no room within ${this.millis} ms: it reads too slowly, or more is sent than it can take`
  }
}

/**
 * The message is longer than the peer takes, or than this node's own limit.
 *
 * @since 0.1.0
 * @category errors
 */
export class MessageTooLarge extends Schema.TaggedError<MessageTooLarge>("synapse-p2p/MessageTooLarge")(
  "MessageTooLarge",
  { type: Schema.String, bytes: Schema.Number, limit: Schema.Number }
) {
  override get message(): string {
    return `a ${this.type} of ${this.bytes} bytes is over the limit of ${this.limit}: send less, or raise maxMessageBytes at both ends`
  }
}

/**
 * The payload does not fit its schema, or is something JSON cannot carry.
 *
 * @since 0.1.0
 * @category errors
 */
export class PayloadInvalid extends Schema.TaggedError<PayloadInvalid>("synapse-p2p/PayloadInvalid")("PayloadInvalid", {
  type: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `the payload of ${this.type} cannot be sent: ${this.detail}`
  }
}

/**
 * A batch of messages was taken in part: the first `taken` of them, none after.
 *
 * @since 0.1.0
 * @category errors
 */
export class BatchFailed extends Schema.TaggedError<BatchFailed>("synapse-p2p/BatchFailed")("BatchFailed", {
  taken: Schema.Number,
  error: Schema.Union(PeerNotConnected, SendTimeout, MessageTooLarge, PayloadInvalid, NetworkNotRunning)
}) {
  override get message(): string {
    return `${this.taken} messages were taken, then: ${this.error.message}`
  }
}

/**
 * No answer came in time. The peer may have acted on the request all the same.
 *
 * @since 0.1.0
 * @category errors
 */
export class RequestTimeout extends Schema.TaggedError<RequestTimeout>("synapse-p2p/RequestTimeout")("RequestTimeout", {
  peer: NodeId,
  id: Schema.String,
  millis: Schema.Number
}) {
  override get message(): string {
    return `${this.peer} did not answer ${this.id} within ${this.millis} ms; it may have acted on it`
  }
}

/**
 * The peer went away before it answered. `sent`: whether the request had left this node's queue.
 *
 * @since 0.1.0
 * @category errors
 */
export class RequestLost extends Schema.TaggedError<RequestLost>("synapse-p2p/RequestLost")("RequestLost", {
  peer: NodeId,
  id: Schema.String,
  sent: Schema.Boolean
}) {
  override get message(): string {
    return `${this.peer} went away before it answered ${this.id}, which ${this.sent ? "had been sent: it may have acted on it" : "had not been sent"}`
  }
}

/**
 * The peer's handler refused the request. `failure` is what it gave; where the request names a failure schema, that
 * failure itself is the error instead.
 *
 * @since 0.1.0
 * @category errors
 */
export class RequestFailed extends Schema.TaggedError<RequestFailed>("synapse-p2p/RequestFailed")("RequestFailed", {
  peer: NodeId,
  id: Schema.String,
  detail: Schema.String,
  failure: Schema.optional(Schema.Unknown)
}) {
  override get message(): string {
    return `${this.peer} refused ${this.id}${this.detail === "" ? "" : `: ${this.detail}`}`
  }
}

/**
 * The peer's handler broke. A fault of the peer, not of the request.
 *
 * @since 0.1.0
 * @category errors
 */
export class RequestBroke extends Schema.TaggedError<RequestBroke>("synapse-p2p/RequestBroke")("RequestBroke", {
  peer: NodeId,
  id: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.peer} broke while it answered ${this.id}${this.detail === "" ? "" : `: ${this.detail}`}`
  }
}

/**
 * The answer does not fit the schema of replies.
 *
 * @since 0.1.0
 * @category errors
 */
export class ReplyInvalid extends Schema.TaggedError<ReplyInvalid>("synapse-p2p/ReplyInvalid")("ReplyInvalid", {
  peer: NodeId,
  id: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `the answer of ${this.peer} to ${this.id} does not fit its schema: ${this.detail}`
  }
}

/**
 * The peer does not listen for messages of that type.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnsupportedType extends Schema.TaggedError<UnsupportedType>("synapse-p2p/UnsupportedType")(
  "UnsupportedType",
  { peer: NodeId, id: Schema.String, detail: Schema.String }
) {
  override get message(): string {
    return `${this.peer} does not handle messages of that type: it must handle it before it is asked`
  }
}

/**
 * No way to the recipient is known.
 *
 * @since 0.1.0
 * @category errors
 */
export class NoRoute extends Schema.TaggedError<NoRoute>("synapse-p2p/NoRoute")("NoRoute", {
  peer: NodeId,
  id: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `no way to ${this.peer} is known`
  }
}

/**
 * There is a handler for the type already; each type has one.
 *
 * @since 0.1.0
 * @category errors
 */
export class HandlerExists extends Schema.TaggedError<HandlerExists>("synapse-p2p/HandlerExists")("HandlerExists", {
  type: Schema.String
}) {
  override get message(): string {
    return `${this.type} has a handler already: close its scope first, or use messages("${this.type}") to listen beside it`
  }
}

/**
 * Two nodes use one NodeId and push each other out.
 *
 * @since 0.1.0
 * @category errors
 */
export class IdConflict extends Schema.TaggedError<IdConflict>("synapse-p2p/IdConflict")("IdConflict", {
  peer: NodeId,
  address: PeerAddress
}) {
  override get message(): string {
    return `two nodes call themselves ${this.peer} (the latest at ${this.address}): give each a node id of its own`
  }
}

/**
 * Why a connection was refused or ended. Each is one ERROR code of the wire, or the absence of one.
 *
 * @since 0.1.0
 * @category errors
 */
export type ConnectionError =
  | MalformedFrame
  | FrameTooLarge
  | InvalidMessage
  | HandshakeRequired
  | HandshakeTimeout
  | VersionMismatch
  | NetworkMismatch
  | Unauthorized
  | TlsFailed
  | SelfConnection
  | DuplicateConnection
  | TooManyConnections
  | Banned
  | RateLimited
  | Disconnected
  | ShuttingDown
  | PeerFault
  | ConnectionLost
  | PeerSilent
  | SlowConsumer

/**
 * What `connect` may fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type ConnectError =
  | AddressInvalid
  | DialError
  | DialTimeout
  | DialQueueFull
  | IdentityMismatch
  | ConnectionError
  | NetworkNotRunning

/**
 * What sending may fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type SendError = PeerNotConnected | SendTimeout | MessageTooLarge | PayloadInvalid | NetworkNotRunning

/**
 * What a request may fail with, besides the failures its own schema names.
 *
 * @since 0.1.0
 * @category errors
 */
export type RequestError =
  | SendError
  | RequestTimeout
  | RequestLost
  | RequestFailed
  | RequestBroke
  | ReplyInvalid
  | UnsupportedType
  | NoRoute

/**
 * Every error of this package. `Policy` has a row for each, which the compiler checks.
 *
 * @since 0.1.0
 * @category errors
 */
export type NetworkError =
  | ConfigInvalid
  | ListenFailed
  | StateFolderFailed
  | IdentityFailed
  | ConnectError
  | RequestError
  | BatchFailed
  | HandlerExists
  | IdConflict

// --- Codes of the wire ---

/**
 * The fatal codes that end a connection, each with the class that stands for it.
 *
 * @since 0.1.0
 * @category errors
 */
export const connectionErrors = {
  MALFORMED_FRAME: MalformedFrame,
  FRAME_TOO_LARGE: FrameTooLarge,
  INVALID_MESSAGE: InvalidMessage,
  HANDSHAKE_REQUIRED: HandshakeRequired,
  HANDSHAKE_TIMEOUT: HandshakeTimeout,
  VERSION_MISMATCH: VersionMismatch,
  NETWORK_MISMATCH: NetworkMismatch,
  UNAUTHORIZED: Unauthorized,
  SELF_CONNECTION: SelfConnection,
  DUPLICATE_CONNECTION: DuplicateConnection,
  TOO_MANY_CONNECTIONS: TooManyConnections,
  BANNED: Banned,
  RATE_LIMITED: RateLimited,
  DISCONNECTED: Disconnected,
  SHUTTING_DOWN: ShuttingDown,
  INTERNAL: PeerFault
} as const

/**
 * A code that may end a connection.
 *
 * @since 0.1.0
 * @category errors
 */
export type ConnectionCode = keyof typeof connectionErrors

/**
 * Every code of docs/PROTOCOL.md, section 7.
 *
 * @since 0.1.0
 * @category errors
 */
export type ErrorCode = ConnectionCode | "UNSUPPORTED_TYPE" | "NO_ROUTE" | "REQUEST_FAILED"

/** The types say as much; to check the fields once more takes ten times as long, once for each connection. */
const unchecked = { disableValidation: true } as const

/**
 * Makes an error that no caller threw: its stack would only tell that the other end was heard, and to take it costs half
 * as much as all else that the end of a connection does.
 */
const withoutStack = <E extends Error>(make: () => E): E => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return make()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/**
 * The error that a code on a connection stands for; an unknown code is a {@link PeerFault} that names it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromCode = (
  code: string,
  fields: {
    readonly address: PeerAddress
    readonly peer?: NodeId | undefined
    readonly origin: "local" | "remote"
    readonly detail: string
    readonly retryAfterMs?: number | undefined
  }
): ConnectionError =>
  withoutStack((): ConnectionError =>
    Object.hasOwn(connectionErrors, code)
      ? new connectionErrors[code as ConnectionCode](fields, unchecked)
      : new PeerFault({ ...fields, detail: `${code}: ${fields.detail}` }, unchecked)
  )
