/**
 * Messages: the envelope that every frame holds, its reading and checking, and what may stand in a payload
 * (docs/PROTOCOL.md, sections 1 and 2). The payloads of the protocol's own types stand in `Payloads`.
 *
 * The envelope's rules are written twice: {@link checkEnvelope} by hand, since every message passes it, and
 * {@link Envelope} as a schema.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as json from "./internal/Json.js"
import { RepeatedHead } from "./internal/RepeatedHead.js"
import { isTimestamp, timestampPattern } from "./internal/Timestamp.js"
import { utf8Text } from "./internal/Utf8.js"
import * as NodeId from "./NodeId.js"

/**
 * Any JSON value.
 *
 * @since 0.1.0
 * @category models
 */
export type Json = null | boolean | number | string | ReadonlyArray<Json> | JsonObject

/**
 * A JSON object. One that was received may have any name as its own member, `__proto__` and `constructor` too: copy it
 * by spread, and build maps of its names with `Map`.
 *
 * @since 0.1.0
 * @category models
 */
export interface JsonObject {
  readonly [member: string]: Json
}

/**
 * What a message type looks like, as a pattern over the whole string.
 *
 * @since 0.1.0
 * @category schemas
 */
export const typePattern = /^[A-Z][A-Z0-9_]{0,63}$/

/**
 * What a message id, and a session, looks like, as a pattern over the whole string: 1 to 128 printable ASCII characters
 * without the space.
 *
 * @since 0.1.0
 * @category schemas
 */
export const idPattern = /^[\x21-\x7e]{1,128}$/

/**
 * The version of the protocol that this package speaks.
 *
 * @since 0.1.0
 * @category constants
 */
export const protocolVersion = 1

/**
 * The protocol's own message types.
 *
 * @since 0.1.0
 * @category constants
 */
export const protocolTypes = ["HELLO", "HEARTBEAT", "PEER_LIST", "DATA_SYNC", "ERROR"] as const

/**
 * Whether the type is the protocol's: one of {@link protocolTypes}, or any that begins with `SYNAPSE_`.
 *
 * @since 0.1.0
 * @category guards
 */
export const isProtocolType = (type: string): boolean =>
  (protocolTypes as ReadonlyArray<string>).includes(type) || type.startsWith("SYNAPSE_")

/**
 * Who signed a message, and the signature, both in base64 (docs/PROTOCOL.md, section 9).
 *
 * @since 0.1.0
 * @category models
 */
export interface Signature {
  readonly key: string
  readonly value: string
}

/**
 * A message with its routing. One that was received keeps its unknown members, which belong to it when it is passed on:
 * change it by spread.
 *
 * @since 0.1.0
 * @category models
 */
export interface Envelope {
  /** {@link typePattern} */
  readonly type: string
  /** {@link idPattern}; never used twice by one sender. */
  readonly id: string
  /** The node that made the message, whoever passed it on. */
  readonly sender: NodeId.NodeId
  /** When it was made: RFC 3339 with offset. Informs people; no decision rests on it. */
  readonly timestamp: string
  readonly payload: JsonObject
  /** The node that it is for. */
  readonly recipient?: NodeId.NodeId | undefined
  /** How many more links it may cross, 0 to 255; absent: it never leaves this link. */
  readonly ttl?: number | undefined
  /** The id of the message that this one answers. */
  readonly replyTo?: string | undefined
  /** A request: it is to be answered. */
  readonly expectsReply?: true | undefined
  readonly signature?: Signature | undefined
}

const faults = {
  type: "type: not 1 to 64 of A-Z, 0-9 and _ with a letter first",
  id: "id: not 1 to 128 printable ASCII characters",
  sender: "sender: not a node id",
  timestamp: "timestamp: not an RFC 3339 date-time",
  payload: "payload: not an object",
  recipient: "recipient: not a node id",
  ttl: "ttl: not an integer from 0 to 255",
  replyTo: "replyTo: not 1 to 128 printable ASCII characters",
  expectsReply: "expectsReply: not true",
  signature: "signature: not an object of key and value"
} as const

/** The same check, that knows the last text it passed: one message after the other says the same. */
const remembering = (isValid: (text: string) => boolean): ((u: unknown) => u is string) => {
  let last: string | undefined
  return (u): u is string => {
    if (typeof u !== "string" || (u !== last && !isValid(u))) return false
    if (u.length <= 128) last = u
    return true
  }
}

const isType = remembering((text) => typePattern.test(text))

const isSender = remembering(NodeId.is)

const isTime = remembering(isTimestamp)

const isId = (u: unknown): u is string => typeof u === "string" && idPattern.test(u)

const isSignature = (u: unknown): u is Signature =>
  json.isObject(u) && typeof u["key"] === "string" && typeof u["value"] === "string"

/**
 * The first rule of the envelope (docs/PROTOCOL.md, section 2) that the value breaks, as `member: what is wrong`;
 * `undefined`: it is an {@link Envelope}. A member that is `undefined` counts as absent.
 *
 * @since 0.1.0
 * @category decoding
 */
export const checkEnvelope = (u: unknown): string | undefined => {
  if (!json.isObject(u)) return "not an object"
  const { expectsReply, id, payload, recipient, replyTo, sender, signature, timestamp, ttl, type } = u
  if (!isType(type)) return faults.type
  if (!isId(id)) return faults.id
  if (!isSender(sender)) return faults.sender
  if (!isTime(timestamp)) return faults.timestamp
  if (!json.isObject(payload)) return faults.payload
  if (recipient !== undefined && !NodeId.is(recipient)) return faults.recipient
  if (ttl !== undefined && !(typeof ttl === "number" && Number.isInteger(ttl) && ttl >= 0 && ttl <= 255)) {
    return faults.ttl
  }
  if (replyTo !== undefined && !isId(replyTo)) return faults.replyTo
  if (expectsReply !== undefined && expectsReply !== true) return faults.expectsReply
  if (signature !== undefined && !isSignature(signature)) return faults.signature
  return undefined
}

const Id = Schema.String.pipe(Schema.pattern(idPattern))

const AnyObject = Schema.declare((u): u is JsonObject => json.isObject(u), { identifier: "JsonObject" })

/**
 * The envelope as a schema. Decoding drops unknown members; {@link decode} keeps them.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Envelope: Schema.Schema<Envelope> = Schema.Struct({
  type: Schema.String.pipe(Schema.pattern(typePattern)),
  id: Id,
  sender: Schema.typeSchema(NodeId.NodeId),
  timestamp: Schema.String.pipe(Schema.pattern(timestampPattern)),
  payload: AnyObject,
  recipient: Schema.optional(Schema.typeSchema(NodeId.NodeId)),
  ttl: Schema.optional(Schema.Int.pipe(Schema.between(0, 255))),
  replyTo: Schema.optional(Id),
  expectsReply: Schema.optional(Schema.Literal(true)),
  signature: Schema.optional(Schema.Struct({ key: Schema.String, value: Schema.String }))
})

/**
 * What a frame's body turned out to be. `Malformed` is MALFORMED_FRAME, which closes the connection. `Invalid` is
 * INVALID_MESSAGE; its `type` and `replyTo` (the message's id) are there where they are themselves valid: an ERROR is
 * not answered, and the answer to any other names what it answers. `detail` repeats nothing of what was received but
 * the name of a member.
 *
 * @since 0.1.0
 * @category models
 */
export type Decoded =
  | { readonly _tag: "Message"; readonly envelope: Envelope }
  | { readonly _tag: "Malformed"; readonly detail: string }
  | { readonly _tag: "Invalid"; readonly detail: string; readonly type?: string; readonly replyTo?: string }

const malformed = (detail: string): Decoded => ({ _tag: "Malformed", detail })

const invalid = (detail: string, u?: { readonly [member: string]: unknown }): Decoded => {
  const type = u?.["type"]
  const id = u?.["id"]
  return {
    _tag: "Invalid",
    detail,
    ...(typeof type === "string" && typePattern.test(type) ? { type } : undefined),
    ...(isId(id) ? { replyTo: id } : undefined)
  }
}

const repeated = new RepeatedHead()

/**
 * Reads the body of a frame, with all the checks of docs/PROTOCOL.md, sections 1 and 2, in their order. The members of
 * the envelope are the parsed JSON's own.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode = (body: Uint8Array): Decoded => {
  const envelope = repeated.read(body)
  return envelope === undefined ? decodeWhole(body) : { _tag: "Message", envelope }
}

const decodeWhole = (body: Uint8Array): Decoded => {
  const text = utf8Text(body, 0, body.length)
  if (text === undefined) return malformed("the body is not UTF-8")
  if (text.charCodeAt(0) === 0xfeff) return malformed("the body begins with a byte order mark")
  if (json.isTooDeep(text)) return invalid(`nested deeper than ${json.maxDepth} levels`)
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return malformed("the body is not JSON")
  }
  if (!json.isObject(parsed)) return malformed("the body is not an object")
  const fault = checkEnvelope(parsed)
  if (fault !== undefined) return invalid(fault, parsed)
  if (parsed["ttl"] !== undefined) {
    const fault = routedFault(parsed, text)
    if (fault !== undefined) return invalid(fault, parsed)
  }
  const envelope = parsed as unknown as Envelope
  repeated.remember(body, text, envelope)
  return { _tag: "Message", envelope }
}

// What is passed on must be the same value at every node. The names of unknown members are not repeated: they may be
// of any length.
const routedFault = (parsed: { readonly [member: string]: unknown }, text: string): string | undefined => {
  const escapes = text.includes("\\u")
  for (const name of Object.keys(parsed)) {
    const fault = json.iJsonFault(parsed[name], escapes)
    if (fault !== undefined) return `${Object.hasOwn(faults, name) ? name : "unknown member"}: ${fault}`
    if (escapes && json.hasLoneSurrogate(name)) return "unknown member: a name with a lone surrogate"
  }
  return undefined
}

/**
 * The JSON text of an envelope, unknown members included. The payload must be free of {@link payloadFault}s.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = (envelope: Envelope): string => JSON.stringify(envelope)

/**
 * The same for an envelope with no unknown member and with an `id` that needs no escapes in JSON, as this node's own have.
 * Only the payload is left to `JSON.stringify`, which takes half the time: the rest is put together as it is. `payload`: its
 * JSON, where that is made already.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeOwn = (envelope: Envelope, payload = JSON.stringify(envelope.payload)): string => {
  const { expectsReply, recipient, replyTo, signature, ttl } = envelope
  // Each name, type and timestamp consists of characters that stand for themselves; the id of another's message may not.
  return (
    `{"type":"${envelope.type}","id":"${envelope.id}","sender":"${envelope.sender}","timestamp":"${envelope.timestamp}"` +
    (recipient === undefined ? "" : `,"recipient":"${recipient}"`) +
    (ttl === undefined ? "" : `,"ttl":${ttl}`) +
    (replyTo === undefined ? "" : `,"replyTo":${JSON.stringify(replyTo)}`) +
    (expectsReply === undefined ? "" : `,"expectsReply":true`) +
    (signature === undefined ? "" : `,"signature":${JSON.stringify(signature)}`) +
    `,"payload":${payload}}`
  )
}

/**
 * What in a value makes it no payload: it is not a plain object, or holds something that JSON cannot carry to the other
 * end as it is. Given as `path: what`, or `undefined` where there is nothing. Refused are bigint, function, symbol,
 * `undefined` in an array, NaN and infinities, objects of any class (Date, Map, …), cycles, lone surrogates, and nesting
 * so deep that the message would pass 64 levels. A member whose value is `undefined` counts as absent.
 *
 * @since 0.1.0
 * @category guards
 */
export const payloadFault = (u: unknown): string | undefined => json.payloadFault(u)
