/**
 * This node, as every part of it needs it: its id and session, the messages it makes, and its time and randomness, both
 * taken from Effect's Clock and Random, so that a seed replays a run.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { PCGRandom } from "effect/Utils"
import type { Credentials } from "./Credentials.js"
import * as Frame from "./Frame.js"
import * as Deadlines from "./internal/Deadlines.js"
import { lend } from "./internal/LentMemory.js"
import { OwnTexts } from "./internal/OwnTexts.js"
import { timestampOf } from "./internal/Timestamp.js"
import type { Envelope, JsonObject } from "./Message.js"
import * as Message from "./Message.js"
import type { Signatures } from "./MessageSignature.js"
import * as MessageSignature from "./MessageSignature.js"
import { NetworkConfig } from "./NetworkConfig.js"
import * as NodeId from "./NodeId.js"
import { NodeIdentity } from "./NodeIdentity.js"

/**
 * The members of an envelope that are not the same for every message.
 *
 * @since 0.1.0
 * @category models
 */
export interface Routing {
  readonly recipient?: NodeId.NodeId | undefined
  readonly ttl?: number | undefined
  readonly replyTo?: string | undefined
  readonly expectsReply?: true | undefined
}

/**
 * This node: its id and session, its clock, its random numbers and the envelopes of what it sends.
 *
 * @since 0.1.0
 * @category tags
 */
export class LocalNode extends Context.Tag("synapse-p2p/LocalNode")<
  LocalNode,
  {
    readonly id: NodeId.NodeId
    /** Random; another one after each start. */
    readonly session: () => string
    /** Where this node has a key: what it proves its identity with. */
    readonly credentials: Credentials | undefined
    /** Where this node has a key: the signatures of messages that cross more than one link. */
    readonly signatures: Signatures | undefined
    readonly renewSession: Effect.Effect<void>
    /** Time and time limits: one timer for the whole node. */
    readonly deadlines: Deadlines.Deadlines
    /** A number from 0 up to but not including 1. */
    readonly random: () => number
    /** A message of this node: a new id, and the time of day; signed where it has a `ttl` and the node a key. */
    readonly compose: (type: string, payload: JsonObject, routing?: Routing) => Envelope
    /** The frame of a message of whatever node. */
    readonly encode: (envelope: Envelope) => Uint8Array
    /** The frame of a message that this node has composed. */
    readonly encodeOwn: (envelope: Envelope) => Uint8Array
    /** The same for one link: a short one is not encoded yet, and a long one may be in memory that is lent. */
    readonly frameOwn: (envelope: Envelope) => Frame.Frame
    /** The frame of a message of the protocol, for one link. */
    readonly control: (type: string, payload: JsonObject, replyTo?: string) => Uint8Array
  }
>() {}

/** A longer frame is encoded at once, while the processor has its text at hand. */
const textBytes = 4096

const encode = (envelope: Envelope): Uint8Array => Frame.encode(Message.encode(envelope))

/**
 * This node, with the id of {@link NodeIdentity} and a random session.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.gen(function* () {
  const { credentials, id } = yield* NodeIdentity
  const { network } = yield* NetworkConfig
  const signatures = credentials && MessageSignature.make(credentials, network)
  const deadlines = yield* Deadlines.make
  const generator = new PCGRandom(yield* Random.nextIntBetween(1, 0x7fffffff))
  const texts = new OwnTexts()
  const encodeOwn = (envelope: Envelope): Uint8Array => Frame.bytesOf(texts.of(envelope))
  let session = yield* NodeId.randomHex
  let made = 0

  // Ids are never used twice, not even after a restart: the session is new each time.
  const nextId = (): string => `${session}-${(made++).toString(36)}`

  const compose = (type: string, payload: JsonObject, routing?: Routing): Envelope => {
    if (routing === undefined)
      return { type, id: nextId(), sender: id, timestamp: timestampOf(deadlines.wallNow()), payload }
    const { expectsReply, recipient, replyTo, ttl } = routing
    // Member by member: a spread adds them one at a time, outside of compiled code.
    const envelope: Envelope = {
      type,
      id: nextId(),
      sender: id,
      timestamp: timestampOf(deadlines.wallNow()),
      recipient,
      ttl,
      replyTo,
      expectsReply,
      payload
    }
    return signatures === undefined || ttl === undefined ? envelope : signatures.sign(envelope)
  }

  return LocalNode.of({
    id,
    session: () => session,
    credentials,
    signatures,
    renewSession: Effect.map(NodeId.randomHex, (next) => {
      session = next
      made = 0
    }),
    deadlines,
    random: () => generator.number(),
    compose,
    encode,
    encodeOwn,
    frameOwn: (envelope) => {
      const frame = texts.of(envelope, lend)
      return frame.length > textBytes ? Frame.bytesOf(frame, lend) : frame
    },
    control: (type, payload, replyTo) =>
      encodeOwn(compose(type, payload, replyTo === undefined ? undefined : { replyTo }))
  })
})

/**
 * Scope: owns the fiber of the node's timer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<LocalNode, never, NodeIdentity | NetworkConfig> = Layer.scoped(LocalNode, make)
