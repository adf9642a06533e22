/**
 * The language of the sidecar (`synapse start --json`): one JSON object a line, commands in and events out. Other
 * members than those named here are ignored in commands, so that there is room to grow.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { isObject } from "../internal/Json.js"
import type { Json } from "../Message.js"
import { isProtocolType, typePattern } from "../Message.js"
import type { JsonObject } from "../Message.js"
import { NodeId } from "../NodeId.js"
import { BroadcastReceipt, NetworkStatus, Peer } from "../Peer.js"
import { PeerAddress } from "../PeerAddress.js"

const AnyObject = Schema.declare((u): u is JsonObject => isObject(u), {
  identifier: "JsonObject",
  message: () => "must be a JSON object"
})

// Whatever JSON.parse gives.
const AnyJson = Schema.declare((u): u is Json => u !== undefined, { identifier: "Json" })

const TypeName = Schema.String.pipe(
  Schema.filter((name) => {
    if (!typePattern.test(name)) return "must be 1 to 64 of A-Z, 0-9 and _ with a letter first"
    return isProtocolType(name) && name !== "DATA_SYNC" ? "is the protocol's own: choose another name" : true
  })
)

// --- Commands ---

const Connect = Schema.Struct({ command: Schema.Literal("connect"), address: Schema.String })
const Disconnect = Schema.Struct({ command: Schema.Literal("disconnect"), peer: NodeId })
const Send = Schema.Struct({ command: Schema.Literal("send"), to: NodeId, type: TypeName, payload: AnyObject })
const Request = Schema.Struct({
  command: Schema.Literal("request"),
  to: NodeId,
  type: TypeName,
  payload: AnyObject,
  /** Milliseconds; default: the network's `requestTimeout`. */
  timeout: Schema.optionalWith(Schema.Number.pipe(Schema.finite(), Schema.positive()), { exact: true })
})
const Reply = Schema.Struct({
  command: Schema.Literal("reply"),
  /** The node that asked. */
  from: NodeId,
  /** The id of its request. */
  to: Schema.String,
  payload: Schema.optionalWith(AnyObject, { exact: true }),
  failure: Schema.optionalWith(AnyJson, { exact: true })
}).pipe(
  Schema.filter(
    (reply) =>
      (reply.payload === undefined) !== (reply.failure === undefined) || "needs either a payload or a failure, not both"
  )
)
const Broadcast = Schema.Struct({ command: Schema.Literal("broadcast"), type: TypeName, payload: AnyObject })
const Peers = Schema.Struct({ command: Schema.Literal("peers") })
const Status = Schema.Struct({ command: Schema.Literal("status") })
const Stop = Schema.Struct({ command: Schema.Literal("stop") })

/**
 * What can be asked of the sidecar.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Command = Schema.Union(Connect, Disconnect, Send, Request, Reply, Broadcast, Peers, Status, Stop)

/**
 * @since 0.1.0
 * @category models
 */
export type Command = typeof Command.Type

const Nothing = Schema.Struct({})

/**
 * The `value` of the result of each command.
 *
 * @since 0.1.0
 * @category schemas
 */
export const results = {
  connect: Peer,
  disconnect: Nothing,
  send: Schema.Struct({ id: Schema.String }),
  request: Schema.Struct({ payload: AnyObject }),
  reply: Nothing,
  broadcast: BroadcastReceipt,
  peers: Schema.Array(Peer),
  status: NetworkStatus,
  stop: Nothing
} as const satisfies Record<Command["command"], Schema.Schema.AnyNoContext>

// --- Events ---

/**
 * An error on a line: its tag and text; of a refused request also what the other side's application gave as `failure`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const LineError = Schema.Struct({
  _tag: Schema.String,
  message: Schema.String,
  failure: Schema.optionalWith(AnyJson, { exact: true })
})

/**
 * @since 0.1.0
 * @category models
 */
export type LineError = typeof LineError.Type

const ref = Schema.optionalWith(AnyJson, { exact: true })

/**
 * What the sidecar writes, told apart by `event`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Event = Schema.Union(
  Schema.Struct({ event: Schema.Literal("listening"), nodeId: NodeId, address: PeerAddress }),
  /** The status of a peer has changed; `error` says why it was lost. */
  Schema.Struct({
    event: Schema.Literal("peer"),
    peer: Peer,
    error: Schema.optionalWith(LineError, { exact: true })
  }),
  /** `from` is the peer that the message came over, `message` the envelope as it came. */
  Schema.Struct({ event: Schema.Literal("message"), from: NodeId, message: AnyObject }),
  Schema.Struct({ event: Schema.Literal("result"), ref, ok: Schema.Literal(true), value: AnyJson }),
  Schema.Struct({ event: Schema.Literal("result"), ref, ok: Schema.Literal(false), error: LineError }),
  /** The line was not a command; nothing was done. */
  Schema.Struct({ event: Schema.Literal("error"), ref, error: LineError }),
  /** Messages that were still in this node's queue when the connection to the peer ended. */
  Schema.Struct({ event: Schema.Literal("lost"), peer: NodeId, ids: Schema.Array(Schema.String) }),
  /** The last line. */
  Schema.Struct({ event: Schema.Literal("stopped") })
)

/**
 * @since 0.1.0
 * @category models
 */
export type Event = typeof Event.Type

/**
 * An event as it stands on its line.
 *
 * @since 0.1.0
 * @category models
 */
export type EventLine = typeof Event.Encoded

// --- Reading a line ---

/**
 * What a line asks for, with the `ref` that its result will carry.
 *
 * @since 0.1.0
 * @category models
 */
export interface Asked {
  readonly ref?: Json
  readonly command: Command
}

/**
 * Why a line is not a command, with its `ref` where it has one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rejected {
  readonly ref?: Json
  readonly error: LineError
}

type Decode = (u: unknown, options?: { readonly errors: "all" }) => Either.Either<Command, ParseResult.ParseError>

const decoders = {
  connect: Schema.decodeUnknownEither(Connect),
  disconnect: Schema.decodeUnknownEither(Disconnect),
  send: Schema.decodeUnknownEither(Send),
  request: Schema.decodeUnknownEither(Request),
  reply: Schema.decodeUnknownEither(Reply),
  broadcast: Schema.decodeUnknownEither(Broadcast),
  peers: Schema.decodeUnknownEither(Peers),
  status: Schema.decodeUnknownEither(Status),
  stop: Schema.decodeUnknownEither(Stop)
} as const satisfies Record<Command["command"], Decode>

const names = Object.keys(decoders) as ReadonlyArray<Command["command"]>

const isName = (u: unknown): u is Command["command"] => typeof u === "string" && Object.hasOwn(decoders, u)

const faults = (error: ParseResult.ParseError): string =>
  ParseResult.ArrayFormatter.formatErrorSync(error)
    .map(({ message, path }) => (path.length === 0 ? message : `${path.join(".")} ${message}`))
    .join("; ")

// A value nested without end is the one thing that JSON.parse reads and JSON.stringify cannot write.
const isWritable = (value: Json): boolean => {
  try {
    JSON.stringify(value)
    return true
  } catch {
    return false
  }
}

const rejected = (_tag: string, message: string, ref: { readonly ref?: Json } = {}): Rejected => ({
  ...ref,
  error: { _tag, message }
})

/**
 * Reads one line. Left: it is not a command, and why; the `ref` is found whatever else is wrong with the object.
 *
 * @since 0.1.0
 * @category decoding
 */
export const read = (line: string): Either.Either<Asked, Rejected> => {
  let parsed: Json
  try {
    parsed = JSON.parse(line) as Json
  } catch {
    return Either.left(rejected("NotJson", "the line is not JSON: write one JSON object a line"))
  }
  if (!isObject(parsed)) {
    return Either.left(rejected("NotCommand", "the line is not a JSON object"))
  }
  const ref = parsed["ref"] !== undefined && isWritable(parsed["ref"] as Json) ? { ref: parsed["ref"] as Json } : {}
  const name = parsed["command"]
  if (!isName(name)) {
    return Either.left(rejected("NotCommand", `command must be one of ${names.join(", ")}`, ref))
  }
  const decode: Decode = decoders[name]
  return Either.mapBoth(decode(parsed, { errors: "all" }), {
    onLeft: (error) => rejected("CommandInvalid", `${name}: ${faults(error)}`, ref),
    onRight: (command) => ({ ...ref, command })
  })
}
