/**
 * Handing messages to links: encoded once, within what the other end takes, waiting for room up to `sendTimeout`.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Connection } from "../Connection.js"
import * as Frame from "../Frame.js"
import type { LocalNode } from "../LocalNode.js"
import type { Envelope, JsonObject } from "../Message.js"
import type { MessageType } from "../MessageType.js"
import type { Settings } from "../NetworkConfig.js"
import * as NetworkError from "../NetworkError.js"
import type { NodeId } from "../NodeId.js"
import type { BroadcastReceipt } from "../Peer.js"
import type { Outgoing } from "./Outbox.js"

/** Why a message was not handed over. */
export type HandError = NetworkError.MessageTooLarge | NetworkError.PeerNotConnected | NetworkError.SendTimeout

/** A message for a connection. */
export interface Composed {
  readonly connection: Connection
  readonly envelope: Envelope
}

/** A message with the id that whoever sends it is told. */
interface Identified extends Outgoing {
  readonly id: string
}

export interface Sending {
  /** The frame, if the other end takes one so long. */
  readonly encodeFor: (
    connection: Connection,
    envelope: Envelope
  ) => Either.Either<Frame.Frame, NetworkError.MessageTooLarge>
  /** Hands the frame over as soon as there is room: `settle` is told, or gets the failure. The function gives up. */
  readonly enqueue: (
    connection: Connection,
    peer: NodeId,
    message: Identified,
    settle: (failure: NetworkError.PeerNotConnected | NetworkError.SendTimeout | undefined) => void
  ) => () => void
  /** Waits until there is room for the message: its id, once it is handed over. */
  readonly wait: (
    connection: Connection,
    peer: NodeId,
    message: Identified
  ) => Effect.Effect<string, NetworkError.PeerNotConnected | NetworkError.SendTimeout>
  /** The message's id, once it is handed over. */
  readonly hand: (connection: Connection, peer: NodeId, envelope: Envelope) => Effect.Effect<string, HandError>
  /**
   * Hands over what `next` composes, one message after the other, until it has no more: their ids. Waits only where there is
   * no room, so that a batch costs an Effect for each wait instead of several for each message.
   */
  readonly handAll: (
    peer: NodeId,
    next: () => Either.Either<Composed, NetworkError.SendError> | undefined
  ) => Effect.Effect<ReadonlyArray<string>, NetworkError.BatchFailed>
  /** Hands the message to all that are there, each waited for at most once. */
  readonly fanOut: (
    envelope: Envelope,
    live: ReadonlyMap<NodeId, Connection>
  ) => Effect.Effect<BroadcastReceipt, NetworkError.MessageTooLarge>
}

export const make = (
  config: Pick<Settings, "sendTimeout" | "maxMessageBytes">,
  { deadlines, encodeOwn, frameOwn }: Pick<LocalNode["Type"], "deadlines" | "encodeOwn" | "frameOwn">
): Sending => {
  const sendTimeout = Duration.toMillis(config.sendTimeout)

  const encodeFor = (
    connection: Connection,
    envelope: Envelope
  ): Either.Either<Frame.Frame, NetworkError.MessageTooLarge> => {
    const frame = frameOwn(envelope)
    const limit = longest(connection)
    const bytes = frame.length - Frame.headerBytes
    return bytes > limit
      ? Either.left(new NetworkError.MessageTooLarge({ type: envelope.type, bytes, limit }))
      : Either.right(frame)
  }

  /** Hands the frame over as soon as there is room: `settle` is told, or gets the failure. The function gives up. */
  const enqueue = (
    connection: Connection,
    peer: NodeId,
    message: Identified,
    settle: (failure: NetworkError.PeerNotConnected | NetworkError.SendTimeout | undefined) => void
  ): (() => void) => {
    if (connection.outbox.offer(message)) {
      settle(undefined)
      return nothing
    }
    let cancelWaiting = nothing
    const cancelDeadline = deadlines.after(sendTimeout, () => {
      cancelWaiting()
      settle(new NetworkError.SendTimeout({ peer, millis: sendTimeout }))
    })
    // Over a connection that has ended, the answer comes at once.
    cancelWaiting = connection.outbox.offerLater(message, (taken) => {
      cancelDeadline()
      settle(taken ? undefined : new NetworkError.PeerNotConnected({ peer }))
    })
    return () => {
      cancelDeadline()
      cancelWaiting()
    }
  }

  const hand = (
    connection: Connection,
    peer: NodeId,
    envelope: Envelope
  ): Effect.Effect<string, NetworkError.MessageTooLarge | NetworkError.PeerNotConnected | NetworkError.SendTimeout> => {
    const frame = encodeFor(connection, envelope)
    if (Either.isLeft(frame)) return Effect.fail(frame.left)
    const message: Identified = { frame: frame.right, id: envelope.id, isOnly: true }
    if (!connection.outbox.offer(message)) return wait(connection, peer, message)
    return connection.outbox.isAhead ? Effect.as(afterTold(connection), envelope.id) : Effect.succeed(envelope.id)
  }

  const wait = (
    connection: Connection,
    peer: NodeId,
    message: Identified
  ): Effect.Effect<string, NetworkError.PeerNotConnected | NetworkError.SendTimeout> =>
    Effect.async((resume) => {
      const cancel = enqueue(connection, peer, message, (failure) =>
        resume(failure === undefined ? Effect.succeed(message.id) : Effect.fail(failure))
      )
      return Effect.sync(cancel)
    })

  const handAll: Sending["handAll"] = (peer, next) =>
    Effect.suspend(() => {
      const ids: Array<string> = []
      const fail = (error: NetworkError.SendError) =>
        Effect.fail(new NetworkError.BatchFailed({ taken: ids.length, error }))
      const goOn = (): Effect.Effect<ReadonlyArray<string>, NetworkError.BatchFailed> => {
        for (let composed = next(); composed !== undefined; composed = next()) {
          if (Either.isLeft(composed)) return fail(composed.left)
          const { connection, envelope } = composed.right
          const frame = encodeFor(connection, envelope)
          if (Either.isLeft(frame)) return fail(frame.left)
          const message: Identified = { frame: frame.right, id: envelope.id, isOnly: true }
          if (!connection.outbox.offer(message)) {
            return Effect.matchEffect(wait(connection, peer, message), {
              onFailure: fail,
              onSuccess: (id) => {
                ids.push(id)
                return goOn()
              }
            })
          }
          ids.push(envelope.id)
          if (connection.outbox.isAhead) return Effect.flatMap(afterTold(connection), goOn)
        }
        return Effect.succeed(ids)
      }
      return goOn()
    })

  const fanOut: Sending["fanOut"] = (envelope, live) => {
    const { id, type } = envelope
    const relayed = encodeOwn(envelope)
    const bytes = bodyBytes(relayed)
    if (bytes > config.maxMessageBytes) {
      return Effect.fail(new NetworkError.MessageTooLarge({ type, bytes, limit: config.maxMessageBytes }))
    }
    // A neighbour that does not pass messages on gets it as a direct one.
    const { ttl: _, ...direct } = envelope
    const toRelay: Identified = { frame: relayed, id, isShared: true }
    let toOthers: Identified | undefined
    const sent: Array<NodeId> = []
    const failed: Array<BroadcastReceipt["failed"][number]> = []
    const waiting: Array<Effect.Effect<void>> = []
    let ahead: Connection | undefined
    const refuse = (peer: NodeId, error: HandError): void => {
      failed.push({ peer, error: { _tag: error._tag, message: error.message } })
    }
    for (const [peer, connection] of live) {
      const message = relays(connection)
        ? toRelay
        : (toOthers ??= { frame: encodeOwn(direct as Envelope), id, isShared: true })
      const { outbox } = connection
      if (!fits(connection, message.frame)) {
        refuse(peer, new NetworkError.MessageTooLarge({ type, bytes, limit: longest(connection) }))
      } else if (outbox.offer(message)) {
        outbox.isPassedOver = false
        sent.push(peer)
        if (outbox.isAhead) ahead = connection
      } else if (outbox.isPassedOver) {
        refuse(peer, new NetworkError.SendTimeout({ peer, millis: 0 }))
      } else {
        waiting.push(
          Effect.async((resume) => {
            const cancel = enqueue(connection, peer, message, (failure) => {
              if (failure === undefined) sent.push(peer)
              else {
                if (failure._tag === "SendTimeout") outbox.isPassedOver = true
                refuse(peer, failure)
              }
              resume(Effect.void)
            })
            return Effect.sync(cancel)
          })
        )
      }
    }
    const receipt: BroadcastReceipt = { id, sent, failed }
    const done = ahead === undefined ? Effect.succeed(receipt) : Effect.as(afterTold(ahead), receipt)
    return waiting.length === 0
      ? done
      : Effect.zipRight(Effect.all(waiting, { concurrency: "unbounded", discard: true }), done)
  }

  return { encodeFor, enqueue, wait, hand, handAll, fanOut }
}

/** What a sender is held up for that is faster than its link tells of what is taken: for a slow peer no longer than a turn. */
const afterTold = ({ outbox }: Connection): Effect.Effect<void> =>
  Effect.async((resume) => outbox.onTold(() => resume(Effect.void)))

export const encodePayload = <A, I>(
  type: MessageType<A, I>,
  payload: A
): Either.Either<JsonObject, NetworkError.PayloadInvalid> => {
  const encoded = type.encode(payload)
  return Either.isRight(encoded)
    ? (encoded as Either.Either<JsonObject, never>)
    : Either.left(new NetworkError.PayloadInvalid({ type: type.name, detail: encoded.left }))
}

/** Whether both ends pass on messages of others. */
export const relays = (connection: Connection): boolean => connection.identity?.relay === true

/** Whether the other end takes a frame so long. */
export const fits = (connection: Connection, frame: Frame.Frame): boolean => bodyBytes(frame) <= longest(connection)

const bodyBytes = (frame: Frame.Frame): number => frame.length - Frame.headerBytes

const longest = (connection: Connection): number => connection.identity?.maxMessageBytes ?? Frame.defaultLimit

const nothing = (): void => {}
