/**
 * The requests of this node that wait for an answer, and what becomes of them: docs/PROTOCOL.md, section 8.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Connection } from "../Connection.js"
import type * as Frame from "../Frame.js"
import type { JsonObject } from "../Message.js"
import type { RequestType } from "../MessageType.js"
import * as NetworkError from "../NetworkError.js"
import type { NodeId } from "../NodeId.js"
import type * as Payloads from "../Payloads.js"
import type { Deadlines } from "./Deadlines.js"
import { PassingMap } from "./PassingMap.js"
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

/**
 * A request, from its making to its answer. A class, as {@link PassingMap} is no `Map`: objects made by a literal were
 * given old memory by V8, which held on to all that they had known; without these two a request costs a fifth less.
 */
export class Request {
  readonly id: string
  readonly peer: NodeId
  readonly frame: Frame.Frame
  /** The link that it waits for. */
  readonly first: Connection
  /** Links to be asked to pass it on as well, if they have room; undefined: it goes straight to the peer, over the first. */
  readonly others: ReadonlyArray<Connection> | undefined
  readonly millis: number
  /** Those that were asked to pass it on, less those that say that they know no way. */
  asked: Set<Connection> | undefined
  settle: (outcome: Answer | Unanswered) => void = nothing
  cancelDeadline = nothing
  cancelSending = nothing

  constructor(
    id: string,
    peer: NodeId,
    frame: Frame.Frame,
    first: Connection,
    others: ReadonlyArray<Connection> | undefined,
    millis: number
  ) {
    this.id = id
    this.peer = peer
    this.frame = frame
    this.first = first
    this.others = others
    this.millis = millis
  }
}

/** What {@link Effect.uninterruptibleMask} gives. */
type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export interface Requests {
  /** Sends it and waits for its answer. To be run where nothing interrupts but what is restored. */
  readonly ask: <A, B, F, I>(
    request: Request,
    type: RequestType<A, B, F, I>,
    restore: Restore
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
  const pending = new PassingMap<string, Request>()

  const finish = ({ cancelDeadline, cancelSending, id }: Request): void => {
    pending.delete(id)
    cancelDeadline()
    cancelSending()
  }

  const end = (request: Request, outcome: Answer | Unanswered): void => {
    finish(request)
    request.settle(outcome)
  }

  /** Sends it. `settle` is told once, unless it is finished before. */
  const begin = (request: Request, settle: Request["settle"]): void => {
    const { first, frame, id, millis, others, peer } = request
    const message = { frame, id }
    request.settle = settle
    const isTaken = others === undefined && first.outbox.offer(message, true)
    request.cancelDeadline = deadlines.after(millis, () =>
      end(request, { _tag: "Unanswered", failure: new NetworkError.RequestTimeout({ peer, id, millis }) })
    )
    pending.set(id, request)
    // As nearly always: all that goes before is done while it is on its way.
    if (isTaken) return
    if (others !== undefined) {
      request.asked = new Set([first, ...others.filter(({ outbox }) => outbox.offer(message))])
      if (first.outbox.offer(message)) return
    }
    const isTakenElsewhere = request.asked !== undefined && request.asked.size > 1
    request.cancelSending = enqueue(first, peer, message, (failure) => {
      if (failure !== undefined && !isTakenElsewhere) end(request, { _tag: "Unanswered", failure })
    })
  }

  // What `Effect.async` does for an effect that undoes, in half the steps.
  const ask: Requests["ask"] = <A, B, F, I>(request: Request, type: RequestType<A, B, F, I>, restore: Restore) => {
    const answer = Effect.async<B, NetworkError.RequestError | F>((resume) => {
      begin(request, (outcome) => resume(Effect.suspend(() => conclude(outcome, request, type))))
    })
    return Effect.catchAllCause(restore(answer), (cause) => {
      finish(request)
      return Effect.failCause(cause)
    })
  }

  const find = (replyTo: string | undefined): Request | undefined =>
    replyTo === undefined ? undefined : pending.get(replyTo)

  return {
    ask,
    answered: (replyTo, sender, answer) => {
      const request = find(replyTo)
      if (request?.peer !== sender) return false
      end(request, answer)
      return true
    },
    noRoute: (replyTo, neighbour, error) => {
      const request = find(replyTo)
      if (request?.asked?.delete(neighbour) !== true) return false
      if (request.asked.size === 0) end(request, { _tag: "Error", error })
      return true
    },
    gone: (peer, current, unsent) => {
      for (const request of pending.values()) {
        // It may be back by now, and asked anew.
        if (request.peer === peer && request.others === undefined && request.first !== current) {
          end(request, { _tag: "Gone", sent: !unsent.has(request.id) })
        }
      }
    },
    isOpen: (id) => find(id) !== undefined,
    open: (peer) => {
      if (peer === undefined) return pending.size
      let count = 0
      for (const request of pending.values()) if (request.peer === peer) count++
      return count
    }
  }
}

const conclude = <A, B, F, I>(
  outcome: Answer | Unanswered,
  { id, peer }: Request,
  type: RequestType<A, B, F, I>
): Effect.Effect<B, NetworkError.RequestError | F> => {
  switch (outcome._tag) {
    case "Unanswered":
      return Effect.fail(outcome.failure)
    case "Gone":
      return Effect.fail(new NetworkError.RequestLost({ peer, id, sent: outcome.sent }))
    case "Reply": {
      const reply = type.decodeReply(outcome.payload)
      return Either.isRight(reply)
        ? Effect.succeed(reply.right)
        : Effect.fail(new NetworkError.ReplyInvalid({ peer, id, detail: reply.left }))
    }
    case "Error":
      return Effect.fail(refusedBy(outcome.error, peer, id, type))
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
