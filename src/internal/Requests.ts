/**
 * The requests of this node that wait for an answer, and what becomes of them: docs/PROTOCOL.md, section 8.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Connection } from "../Connection.js"
import type { JsonObject } from "../Message.js"
import type { RequestType } from "../MessageType.js"
import * as NetworkError from "../NetworkError.js"
import type { NodeId } from "../NodeId.js"
import type * as Payloads from "../Payloads.js"
import type { Deadlines } from "./Deadlines.js"
import type { Sending } from "./Sending.js"
import { plain } from "./Utf8.js"

/** What comes of a request that does not go out, or stays without an answer. */
interface Unanswered {
  readonly _tag: "Unanswered"
  readonly failure: NetworkError.RequestTimeout | NetworkError.PeerNotConnected | NetworkError.SendTimeout
}

export type Answer =
  | { readonly _tag: "Reply"; readonly payload: JsonObject }
  | { readonly _tag: "Error"; readonly error: Payloads.ErrorPayload }
  | { readonly _tag: "Gone"; readonly sent: boolean }

/** A request as it goes out: straight to the peer, or with `relay` over others. */
export interface Question {
  readonly id: string
  readonly peer: NodeId
  readonly frame: Uint8Array
  /** The links it may go over: the first is waited for, the others take it if they have room. */
  readonly ways: readonly [Connection, ...Array<Connection>]
  readonly isRelayed: boolean
  readonly millis: number
}

interface Pending {
  readonly peer: NodeId
  /** Over which it was asked, where it went straight to the peer. */
  readonly straight: Connection | undefined
  /** Over which it was asked, where it was to be passed on, less those that say that they know no way. */
  readonly asked: Set<Connection> | undefined
  readonly settle: (answer: Answer) => void
}

export interface Requests {
  readonly ask: <A, B, F, I>(
    question: Question,
    type: RequestType<A, B, F, I>
  ) => Effect.Effect<B, NetworkError.RequestError | F>
  /** Whether somebody waited for this answer from that sender. */
  readonly answered: (replyTo: string | undefined, sender: NodeId, answer: Answer) => boolean
  /** A neighbour knows no way for a request that went over it: the last one to say so ends it. */
  readonly noRoute: (replyTo: string | undefined, neighbour: Connection, error: Payloads.ErrorPayload) => boolean
  /** The peer's connections before `current` are gone: what was asked over them fails. */
  readonly gone: (peer: NodeId, current: Connection | undefined, unsent: ReadonlySet<string>) => void
  /** How many wait, of that peer or in all. */
  readonly open: (peer?: NodeId) => number
  readonly isOpen: (id: string | undefined) => boolean
}

export const make = (deadlines: Deadlines, { enqueue }: Pick<Sending, "enqueue">): Requests => {
  const pending = new Map<string, Pending>()

  /** Sends it, and gives what stops the waiting for it. `settle` is told once, unless that comes before. */
  const begin = (
    { frame, id, isRelayed, millis, peer, ways }: Question,
    settle: (answer: Answer | Unanswered) => void
  ): (() => void) => {
    const [first, ...others] = ways
    let cancelSending = nothing
    const finish = (): void => {
      pending.delete(id)
      cancelDeadline()
      cancelSending()
    }
    const cancelDeadline = deadlines.after(millis, () => {
      finish()
      settle({ _tag: "Unanswered", failure: new NetworkError.RequestTimeout({ peer, id, millis }) })
    })
    const taken = others.filter(({ outbox }) => outbox.offer({ frame, id }))
    pending.set(id, {
      peer,
      straight: isRelayed ? undefined : first,
      asked: isRelayed ? new Set([first, ...taken]) : undefined,
      settle: (answer) => {
        finish()
        settle(answer)
      }
    })
    cancelSending = enqueue(first, peer, { frame, id }, (failure) => {
      if (failure === undefined || taken.length > 0) return
      finish()
      settle({ _tag: "Unanswered", failure })
    })
    return finish
  }

  // What `Effect.async` does for an effect that undoes, in half the steps.
  const ask: Requests["ask"] = (question, type) =>
    Effect.uninterruptibleMask((restore) => {
      let finish = nothing
      const waiting = Effect.async<Answer | Unanswered>((resume) => {
        finish = begin(question, (outcome) => resume(Effect.succeed(outcome)))
      })
      return Effect.matchCauseEffect(restore(waiting), {
        onFailure: (cause) => {
          finish()
          return Effect.failCause(cause)
        },
        onSuccess: (outcome) =>
          outcome._tag === "Unanswered"
            ? Effect.fail(outcome.failure)
            : conclude(outcome, question.peer, question.id, type)
      })
    })

  const find = (replyTo: string | undefined): Pending | undefined =>
    replyTo === undefined ? undefined : pending.get(replyTo)

  return {
    ask,
    answered: (replyTo, sender, answer) => {
      const waiting = find(replyTo)
      if (waiting?.peer !== sender) return false
      waiting.settle(answer)
      return true
    },
    noRoute: (replyTo, neighbour, error) => {
      const waiting = find(replyTo)
      if (waiting?.asked?.delete(neighbour) !== true) return false
      if (waiting.asked.size === 0) waiting.settle({ _tag: "Error", error })
      return true
    },
    gone: (peer, current, unsent) => {
      for (const [id, { peer: of, settle, straight }] of pending) {
        // It may be back by now, and asked anew.
        if (of === peer && straight !== undefined && straight !== current) {
          settle({ _tag: "Gone", sent: !unsent.has(id) })
        }
      }
    },
    isOpen: (id) => find(id) !== undefined,
    open: (peer) => {
      if (peer === undefined) return pending.size
      let count = 0
      for (const waiting of pending.values()) if (waiting.peer === peer) count++
      return count
    }
  }
}

const conclude = <A, B, F, I>(
  answer: Answer,
  peer: NodeId,
  id: string,
  type: RequestType<A, B, F, I>
): Effect.Effect<B, NetworkError.RequestError | F> => {
  switch (answer._tag) {
    case "Gone":
      return Effect.fail(new NetworkError.RequestLost({ peer, id, sent: answer.sent }))
    case "Reply": {
      const reply = type.decodeReply(answer.payload)
      return Either.isRight(reply)
        ? Effect.succeed(reply.right)
        : Effect.fail(new NetworkError.ReplyInvalid({ peer, id, detail: reply.left }))
    }
    case "Error":
      return Effect.fail(refusedBy(answer.error, peer, id, type))
  }
}

const refusedBy = <A, B, F, I>(
  error: Payloads.ErrorPayload,
  peer: NodeId,
  id: string,
  type: RequestType<A, B, F, I>
): NetworkError.RequestError | F => {
  const detail = plain(error.message, 1024)
  switch (error.code) {
    case "UNSUPPORTED_TYPE":
      return new NetworkError.UnsupportedType({ peer, id, detail })
    case "NO_ROUTE":
      return new NetworkError.NoRoute({ peer, id, detail })
    case "INTERNAL":
      return new NetworkError.RequestBroke({ peer, id, detail })
    default: {
      const failure = error.failure === undefined ? undefined : Either.getOrUndefined(type.decodeFailure(error.failure))
      return failure ?? new NetworkError.RequestFailed({ peer, id, detail, failure: error.failure })
    }
  }
}

const nothing = (): void => {}
