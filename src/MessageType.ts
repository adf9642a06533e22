/**
 * The types of messages an application sends: a name on the wire and the schema of the payload; for requests also those
 * of the answer and of the failure.
 *
 * @example
 * ```ts
 * import { MessageType } from "synapse-p2p"
 * import { Schema } from "effect"
 *
 * const Chat = MessageType.make("CHAT", Schema.Struct({ text: Schema.String }))
 * const Ask = MessageType.request(
 *   "ASK",
 *   Schema.Struct({ question: Schema.String }),
 *   Schema.Struct({ answer: Schema.String })
 * )
 * ```
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { sameAndCarried, sameBothWays } from "./internal/PlainStruct.js"
import * as Message from "./Message.js"
import type { NodeId } from "./NodeId.js"

/**
 * A type of one-way message. `A` is what the application sees, `I` its JSON form, which must be an object.
 *
 * @since 0.1.0
 * @category models
 */
export interface MessageType<in out A, in out I = A> {
  readonly _tag: "MessageType" | "RequestType"
  readonly name: string
  readonly payload: Schema.Schema<A, I>
  /** The payload as JSON; left: why it has none. */
  readonly encode: (payload: A) => Either.Either<Message.JsonObject, string>
  /** The application's value of a received payload; left: what does not fit. */
  readonly decode: (payload: Message.JsonObject) => Either.Either<A, string>
}

/**
 * A type of request: answered with a `B`, or refused with an `F`.
 *
 * @since 0.1.0
 * @category models
 */
export interface RequestType<in out A, in out B, in out F = never, in out I = A> extends MessageType<A, I> {
  readonly _tag: "RequestType"
  readonly encodeReply: (reply: B) => Either.Either<Message.JsonObject, string>
  readonly decodeReply: (payload: Message.JsonObject) => Either.Either<B, string>
  readonly encodeFailure: (failure: F) => Either.Either<Message.Json, string>
  readonly decodeFailure: (failure: unknown) => Either.Either<F, string>
}

/** The same Either, with what it fails with in words: a success costs no second one. */
const describing = <A>(either: Either.Either<A, ParseResult.ParseIssue>): Either.Either<A, string> =>
  Either.isRight(either)
    ? (either as Either.Either<A, never>)
    : Either.left(ParseResult.TreeFormatter.formatIssueSync(either.left))

const encodeObject = <A, I>(schema: Schema.Schema<A, I>) => {
  const encode = ParseResult.encodeEither(schema)
  const isSame = sameAndCarried(schema.ast)
  return (value: A): Either.Either<Message.JsonObject, string> => {
    if (isSame?.(value) === true) return Either.right(value as Message.JsonObject)
    const encoded = describing(encode(value) as Either.Either<unknown, ParseResult.ParseIssue>)
    if (Either.isLeft(encoded)) return Either.left(encoded.left)
    const fault = Message.payloadFault(encoded.right)
    return fault === undefined ? (encoded as Either.Either<Message.JsonObject, never>) : Either.left(fault)
  }
}

const decoder = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = ParseResult.decodeUnknownEither(schema)
  const isSame = sameBothWays(schema.ast)
  return (value: unknown): Either.Either<A, string> =>
    isSame?.(value) === true ? Either.right(value as A) : describing(decode(value))
}

const checkName = (name: string): string => {
  if (!Message.typePattern.test(name)) {
    throw new TypeError(`"${name}" is not a message type: use A-Z, 0-9 and _, a letter first, 64 characters at most`)
  }
  if (Message.isProtocolType(name) && name !== "DATA_SYNC") {
    throw new TypeError(`${name} is the protocol's own message type: choose another name`)
  }
  return name
}

/**
 * A type of one-way messages. `name` is 1 to 64 of `A-Z 0-9 _`, a letter first, and none of the protocol's own names;
 * throws a `TypeError` on any other.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <A, I extends object>(name: string, payload: Schema.Schema<A, I>): MessageType<A, I> => ({
  _tag: "MessageType",
  name: checkName(name),
  payload,
  encode: encodeObject(payload),
  decode: decoder(payload)
})

/**
 * A type of requests, with the schema of the reply and, where the handler may refuse, of the failure. Throws as
 * {@link make} does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const request = <A, I extends object, B, BI extends object, F = never, FI = never>(
  name: string,
  payload: Schema.Schema<A, I>,
  reply: Schema.Schema<B, BI>,
  failure: Schema.Schema<F, FI> = Schema.Never as unknown as Schema.Schema<F, FI>
): RequestType<A, B, F, I> => {
  const encodeFailure = ParseResult.encodeEither(failure)
  return {
    ...make(name, payload),
    _tag: "RequestType",
    encodeReply: encodeObject(reply),
    decodeReply: decoder(reply),
    encodeFailure: (value) => {
      const encoded = describing(encodeFailure(value))
      if (Either.isLeft(encoded)) return Either.left(encoded.left)
      const fault = Message.payloadFault({ failure: encoded.right })
      return fault === undefined ? Either.right(encoded.right as unknown as Message.Json) : Either.left(fault)
    },
    decodeFailure: decoder(failure)
  }
}

/**
 * A one-way type without a schema: any JSON object. For gateways, which pass on what they do not know.
 *
 * @since 0.1.0
 * @category constructors
 */
export const json = (name: string): MessageType<Message.JsonObject> => ({
  _tag: "MessageType",
  name: checkName(name),
  payload: anyObject,
  encode: encodeJson,
  decode: Either.right
})

/**
 * A request without schemas: any JSON object in, any out, any JSON as failure.
 *
 * @since 0.1.0
 * @category constructors
 */
export const jsonRequest = (
  name: string
): RequestType<Message.JsonObject, Message.JsonObject, unknown, Message.JsonObject> => ({
  ...json(name),
  _tag: "RequestType",
  encodeReply: encodeJson,
  decodeReply: Either.right,
  encodeFailure: (failure) => {
    const fault = Message.payloadFault({ failure })
    return fault === undefined ? Either.right(failure as Message.Json) : Either.left(fault)
  },
  decodeFailure: Either.right
})

const anyObject: Schema.Schema<Message.JsonObject> = Schema.declare(
  (u): u is Message.JsonObject => typeof u === "object" && u !== null && !Array.isArray(u)
)

const encodeJson = (payload: Message.JsonObject): Either.Either<Message.JsonObject, string> => {
  const fault = Message.payloadFault(payload)
  return fault === undefined ? Either.right(payload) : Either.left(fault)
}

/**
 * A message as a handler gets it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Received<out A> {
  readonly type: string
  readonly id: string
  /** The node that made it. */
  readonly sender: NodeId
  /** The peer it came over: the sender itself, or a relay. */
  readonly via: NodeId
  readonly payload: A
  /** When it was made, by the sender's clock (RFC 3339): for people, not for decisions. */
  readonly timestamp: string
  /** Whether the sender waits for an answer. */
  readonly expectsReply: boolean
  /** Whether it went to the whole network. */
  readonly isBroadcast: boolean
  /** The message as it came, unknown members included. */
  readonly envelope: Message.Envelope
}
