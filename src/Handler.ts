/**
 * What an application does with the messages of a type, as a value: decoding before, encoding of the answer after, and
 * what becomes of failures.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { JsonObject } from "./Message.js"
import * as Message from "./Message.js"
import type { MessageType, Received, RequestType } from "./MessageType.js"

/**
 * What to do with messages of a type. Made with {@link make} or {@link other}.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handler<out R> {
  /** The type; undefined: every type that has no handler of its own. */
  readonly type: string | undefined
  readonly answers: boolean
  /** Handles a request: the answer's payload; fails with a refusal. The message is its own, and shows the decoded payload. */
  readonly run: (message: Received<JsonObject>) => Effect.Effect<JsonObject, Refused, R>
  /** The same, and what comes after: for handlers that can do it at less than the price of an Effect around them. */
  readonly runThen?: <A>(message: Received<JsonObject>, after: After<A>) => Effect.Effect<A, never, R>
  /** Handles a message that nobody waits for the answer to, likewise; {@link refusalOf} tells what a failure means. */
  readonly take: (message: Received<JsonObject>) => Effect.Effect<unknown, unknown, R>
}

/**
 * What to do with the answer of a handler, or with why there is none. Must not throw.
 *
 * @since 0.1.0
 * @category models
 */
export interface After<out A> {
  readonly answered: (payload: JsonObject) => Effect.Effect<A>
  readonly refused: (cause: Cause.Cause<Refused>) => Effect.Effect<A>
}

/**
 * Why there is no answer: `Undecodable`, the payload does not fit; `Failed`, the handler refused; `Broke`, its answer or
 * failure cannot be sent.
 *
 * @since 0.1.0
 * @category models
 */
export type Refused =
  | { readonly _tag: "Undecodable"; readonly detail: string }
  | { readonly _tag: "Failed"; readonly failure: JsonObject[string] | undefined; readonly detail: string }
  | { readonly _tag: "Broke"; readonly detail: string }

const noAnswer: JsonObject = {}

/**
 * Messages of a type and what to do with them, as a value: `P2PNetworkNode.layer({ handlers: [...] })` takes such.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: {
  <A, B, F, I, R>(type: RequestType<A, B, F, I>, run: (message: Received<A>) => Effect.Effect<B, F, R>): Handler<R>
  <A, I, E, R>(type: MessageType<A, I>, run: (message: Received<A>) => Effect.Effect<unknown, E, R>): Handler<R>
} = <A, B, F, I, R>(
  type: MessageType<A, I> | RequestType<A, B, F, I>,
  run: (message: Received<A>) => Effect.Effect<B, F, R>
): Handler<R> =>
  type._tag === "RequestType" ? forRequests(type as RequestType<A, B, F, I>, run) : forMessages(type, run)

/** A refusal among failures of the application's own. */
class Refusal {
  readonly refused: Refused

  constructor(refused: Refused) {
    this.refused = refused
  }
}

/**
 * What it means that {@link Handler.take} failed so.
 *
 * @since 0.1.0
 * @category combinators
 */
export const refusalOf = (failure: unknown): Refused =>
  failure instanceof Refusal ? failure.refused : { _tag: "Failed", failure: undefined, detail: String(failure) }

/** The application's Effect is given as it is: one more around it would cost more than all else done for a message. */
const forMessages = <A, I, E, R>(
  type: MessageType<A, I>,
  handle: (message: Received<A>) => Effect.Effect<unknown, E, R>
): Handler<R> => {
  const take: Handler<R>["take"] = (message) => {
    const payload = type.decode(message.payload)
    return Either.isLeft(payload)
      ? Effect.fail(new Refusal({ _tag: "Undecodable", detail: payload.left }))
      : handle(holding(message, payload.right))
  }
  return {
    type: type.name,
    answers: false,
    run: (message) => Effect.mapBoth(take(message), { onFailure: refusalOf, onSuccess: () => noAnswer }),
    take
  }
}

const forRequests = <A, B, F, I, R>(
  type: RequestType<A, B, F, I>,
  handle: (message: Received<A>) => Effect.Effect<B, F, R>
): Handler<R> => {
  // All in one: each Effect more would cost as much as what is done in it.
  const runThen: NonNullable<Handler<R>["runThen"]> = (message, after) => {
    const payload = type.decode(message.payload)
    if (Either.isLeft(payload)) return after.refused(Cause.fail({ _tag: "Undecodable", detail: payload.left }))
    return Effect.matchCauseEffect(handle(holding(message, payload.right)), {
      onFailure: (cause) => after.refused(refusedBy(type, cause)),
      onSuccess: (reply) => {
        const encoded = encodedBy(type, reply)
        return Either.isRight(encoded) ? after.answered(encoded.right) : after.refused(encoded.left)
      }
    })
  }
  return refusing({
    type: type.name,
    answers: true,
    run: (message) => Effect.flatten(runThen(message, asItIs)),
    runThen
  })
}

/** A handler that does the same where nobody waits for the answer. */
const refusing = <R>(handler: Pick<Handler<R>, "type" | "answers" | "run" | "runThen">): Handler<R> => ({
  ...handler,
  take: (message) => Effect.mapError(handler.run(message), (refused) => new Refusal(refused))
})

/** What becomes of an answer where nothing is to come after. */
const asItIs: After<Effect.Effect<JsonObject, Refused>> = {
  answered: (payload) => Effect.succeed(Effect.succeed(payload)),
  refused: (cause) => Effect.succeed(Effect.failCause(cause))
}

/** The message with its payload as the application sees it: the same object, since a second one is a tenth of the garbage. */
const holding = <A>(message: Received<JsonObject>, payload: A): Received<A> => {
  const held: { payload: unknown } = message as Received<unknown>
  held.payload = payload
  return message as Received<unknown> as Received<A>
}

/** Why there is no answer, of a handler that has failed so. */
const refusedBy = <A, B, F, I>(type: RequestType<A, B, F, I>, cause: Cause.Cause<F>): Cause.Cause<Refused> => {
  const failure = Cause.failureOrCause(cause)
  if (Either.isRight(failure)) return failure.right
  try {
    const encoded = type.encodeFailure(failure.left)
    return Cause.fail(
      Either.isRight(encoded)
        ? { _tag: "Failed", failure: encoded.right, detail: "" }
        : { _tag: "Broke", detail: `the failure does not fit its schema: ${encoded.left}` }
    )
  } catch (thrown) {
    return Cause.die(thrown)
  }
}

const encodedBy = <A, B, F, I>(
  type: RequestType<A, B, F, I>,
  reply: B
): Either.Either<JsonObject, Cause.Cause<Refused>> => {
  try {
    const encoded = type.encodeReply(reply)
    return Either.isRight(encoded)
      ? (encoded as Either.Either<JsonObject, never>)
      : Either.left(Cause.fail({ _tag: "Broke", detail: `the answer does not fit its schema: ${encoded.left}` }))
  } catch (thrown) {
    return Either.left(Cause.die(thrown))
  }
}

/**
 * What to do with all types that have no handler of their own.
 *
 * @since 0.1.0
 * @category constructors
 */
export const other = <R>(run: (message: Received<JsonObject>) => Effect.Effect<JsonObject, unknown, R>): Handler<R> =>
  refusing({
    type: undefined,
    answers: true,
    run: (message) =>
      Effect.matchEffect(run(message), {
        onFailure: (failure) => Effect.fail(refusal(failure)),
        onSuccess: (reply) => {
          const fault = message.expectsReply ? Message.payloadFault(reply) : undefined
          return fault === undefined
            ? Effect.succeed(reply)
            : Effect.fail<Refused>({ _tag: "Broke", detail: `the answer is not JSON: ${fault}` })
        }
      })
  })

const refusal = (failure: unknown): Refused => {
  const detail =
    typeof failure === "object" && failure !== null && "message" in failure && typeof failure.message === "string"
      ? failure.message
      : ""
  return isJson(failure) ? { _tag: "Failed", failure, detail } : { _tag: "Broke", detail }
}

const isJson = (failure: unknown): failure is JsonObject[string] =>
  failure !== undefined && Message.payloadFault({ failure }) === undefined

/**
 * A handler that has all it needs.
 *
 * @since 0.1.0
 * @category combinators
 */
export const provided = <R>(registered: Handler<R>, context: Context.Context<R>): Handler<never> => {
  const provide = <A, E>(handled: Effect.Effect<A, E, R>): Effect.Effect<A, E> =>
    Effect.mapInputContext(handled, (outer: Context.Context<never>) => Context.merge(outer, context))
  const { runThen, ...handler } = registered
  return {
    ...handler,
    run: (message) => provide(registered.run(message)),
    ...(runThen === undefined
      ? {}
      : ({ runThen: (message, after) => provide(runThen(message, after)) } satisfies Pick<Handler<never>, "runThen">)),
    take: (message) => provide(registered.take(message))
  }
}
