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
  readonly isRelayed: boolean
  /** Over which it was asked, less those that say that they know no way. */
  readonly asked: Set<Connection>
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

  const ask: Requests["ask"] = ({ frame, id, isRelayed, millis, peer, ways }, type) =>
    Effect.async((resume) => {
      const [first, ...others] = ways
      let cancelSending = nothing
      const finish = (): void => {
        pending.delete(id)
        cancelDeadline()
        cancelSending()
      }
      const cancelDeadline = deadlines.after(millis, () => {
        finish()
        resume(Effect.fail(new NetworkError.RequestTimeout({ peer, id, millis })))
      })
      const taken = others.filter(({ outbox }) => outbox.offer({ frame, id }))
      pending.set(id, {
        peer,
        isRelayed,
        asked: new Set([first, ...taken]),
        settle: (answer) => {
          finish()
          resume(conclude(answer, peer, id, type))
        }
      })
      cancelSending = enqueue(first, peer, { frame, id }, (failure) => {
        if (failure === undefined || taken.length > 0) return
        finish()
        resume(Effect.fail(failure))
      })
      return Effect.sync(finish)
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
      if (waiting === undefined || !waiting.isRelayed || !waiting.asked.delete(neighbour)) return false
      if (waiting.asked.size === 0) waiting.settle({ _tag: "Error", error })
      return true
    },
    gone: (peer, current, unsent) => {
      for (const [id, { asked, isRelayed, peer: of, settle }] of pending) {
        // It may be back by now, and asked anew.
        const isCurrent = current !== undefined && asked.has(current)
        if (of === peer && !isRelayed && !isCurrent) settle({ _tag: "Gone", sent: !unsent.has(id) })
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
    case "Reply":
      return Effect.mapError(
        type.decodeReply(answer.payload),
        (detail) => new NetworkError.ReplyInvalid({ peer, id, detail })
      )
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
