/**
 * The requests of other nodes that wait for the application behind the sidecar to answer them.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Json, JsonObject } from "../Message.js"

/**
 * No request of that node with that id waits for an answer.
 *
 * @since 0.1.0
 * @category errors
 */
export class RequestUnknown extends Data.TaggedError("RequestUnknown")<{
  readonly from: string
  readonly to: string
}> {
  override get message(): string {
    return `no request ${this.to} of ${this.from} waits for an answer: it never came, or was answered already, or too late`
  }
}

/**
 * What a requester gets as `failure` where the application did not answer at all.
 *
 * @since 0.1.0
 * @category models
 */
export interface Unanswered {
  readonly _tag: "ReplyTimeout" | "RequestIdInUse" | "ShuttingDown"
  readonly message: string
}

/**
 * The requests that wait. A request is named by the node that asked and the message's id.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeptRequests {
  /**
   * Keeps a request while `show` runs and then until it is answered, for `limit` at most. Fails with the failure that
   * the application gave, or with {@link Unanswered}; a request whose name is in use is not shown.
   */
  readonly keep: (from: string, id: string, show: Effect.Effect<void>) => Effect.Effect<JsonObject, Json | Unanswered>
  /** Gives a request its answer (`Effect.succeed(payload)`) or its failure. */
  readonly answer: (
    from: string,
    id: string,
    answer: Effect.Effect<JsonObject, Json>
  ) => Effect.Effect<void, RequestUnknown>
  /** Refuses those that wait and those that come. */
  readonly close: Effect.Effect<void>
  readonly size: () => number
}

const shuttingDown: Unanswered = { _tag: "ShuttingDown", message: "the node stops" }

// Neither part can hold a space.
const name = (from: string, id: string): string => `${from} ${id}`

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (limit: Duration.Duration): KeptRequests => {
  const waiting = new Map<string, Deferred.Deferred<JsonObject, Json | Unanswered>>()
  let closed = false

  const timeout = {
    duration: limit,
    onTimeout: (): Unanswered => ({
      _tag: "ReplyTimeout",
      message: `the application did not answer within ${Duration.toMillis(limit)} ms`
    })
  }

  return {
    keep: (from, id, show) =>
      Effect.gen(function* () {
        const key = name(from, id)
        if (closed) return yield* Effect.fail(shuttingDown)
        if (waiting.has(key)) {
          const failure: Unanswered = {
            _tag: "RequestIdInUse",
            message: "another request with this id waits for its answer"
          }
          return yield* Effect.fail(failure)
        }
        const answer = yield* Deferred.make<JsonObject, Json | Unanswered>()
        waiting.set(key, answer)
        return yield* show.pipe(
          Effect.zipRight(Effect.timeoutFail(Deferred.await(answer), timeout)),
          Effect.ensuring(
            Effect.sync(() => {
              // Once answered, the name may belong to another request already.
              if (waiting.get(key) === answer) waiting.delete(key)
            })
          )
        )
      }),
    answer: (from, id, answer) =>
      Effect.suspend(() => {
        const key = name(from, id)
        const kept = waiting.get(key)
        if (kept === undefined) return Effect.fail(new RequestUnknown({ from, to: id }))
        waiting.delete(key)
        return Effect.asVoid(Deferred.complete(kept, answer))
      }),
    close: Effect.suspend(() => {
      closed = true
      return Effect.forEach([...waiting.values()], (kept) => Deferred.fail(kept, shuttingDown), { discard: true })
    }),
    size: () => waiting.size
  }
}
