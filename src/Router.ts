/**
 * Where messages go: to handlers here, to one peer, to the whole network, on to other nodes; and requests to their
 * answers. docs/PROTOCOL.md, section 8. What comes in is sorted in the callback that read it; only handlers are Effects.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Connection } from "./Connection.js"
import { ConnectionPool } from "./ConnectionPool.js"
import * as Frame from "./Frame.js"
import * as Deliveries from "./internal/Delivery.js"
import { nextHops, Routes } from "./internal/Routes.js"
import { SeenMemory } from "./internal/SeenMemory.js"
import { LocalNode } from "./LocalNode.js"
import type { Routing } from "./LocalNode.js"
import type { Envelope, JsonObject } from "./Message.js"
import * as Message from "./Message.js"
import type { MessageType, Received, RequestType } from "./MessageType.js"
import { NetworkConfig } from "./NetworkConfig.js"
import * as NetworkError from "./NetworkError.js"
import { annotatePeer } from "./NetworkLogger.js"
import { NetworkStats } from "./NetworkStats.js"
import type { NodeId } from "./NodeId.js"
import * as NodeIds from "./NodeId.js"
import * as Payloads from "./Payloads.js"
import type { BroadcastReceipt } from "./Peer.js"

/**
 * @since 0.1.0
 * @category tags
 */
export class Router extends Context.Tag("synapse-p2p/Router")<
  Router,
  {
    /** With `relay`, over other nodes to one that is not connected. */
    readonly sendMessage: <A, I>(
      peer: string,
      type: MessageType<A, I>,
      payload: A,
      options?: SendOptions
    ) => Effect.Effect<string, NetworkError.SendError>
    readonly request: <A, B, F, I>(
      peer: string,
      type: RequestType<A, B, F, I>,
      payload: A,
      timeout: Duration.Duration
    ) => Effect.Effect<B, NetworkError.RequestError | F>
    readonly broadcast: <A, I>(
      type: MessageType<A, I>,
      payload: A
    ) => Effect.Effect<BroadcastReceipt, NetworkError.PayloadInvalid | NetworkError.MessageTooLarge>
    readonly handle: (handler: Handler<never>) => Effect.Effect<void, NetworkError.HandlerExists, Scope.Scope>
    readonly messages: <A, I>(type: MessageType<A, I>) => Stream.Stream<Received<A>>
    /** A peer is gone, or is another session now: its open requests fail. `unsent`: ids of messages that never left. */
    readonly peerGone: (peer: NodeId, unsent: ReadonlyArray<string>) => void
    /** Requests of this node that wait for an answer. */
    readonly openRequests: (peer?: NodeId) => number
    /** What waits for handlers. */
    readonly waiting: () => { readonly messages: number; readonly bytes: number }
    /** Completes when all that was received has been handled. */
    readonly idle: Effect.Effect<void>
  }
>() {}

/**
 * `relay`: where the peer is not connected, the message goes over others.
 *
 * @since 0.1.0
 * @category models
 */
export interface SendOptions {
  readonly relay?: boolean
}

// --- Handlers ---

/**
 * What to do with messages of a type. Made with {@link handler} or {@link otherHandler}.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handler<out R> {
  /** The type; undefined: every type that has no handler of its own. */
  readonly type: string | undefined
  readonly answers: boolean
  /** The answer's payload; fails with a refusal. */
  readonly run: (message: Received<JsonObject>) => Effect.Effect<JsonObject, Refused, R>
}

/** Why there is no answer: `undecodable`, the payload does not fit; `failure`, what the handler failed with. */
type Refused =
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
export const handler: {
  <A, B, F, I, R>(type: RequestType<A, B, F, I>, run: (message: Received<A>) => Effect.Effect<B, F, R>): Handler<R>
  <A, I, E, R>(type: MessageType<A, I>, run: (message: Received<A>) => Effect.Effect<unknown, E, R>): Handler<R>
} = <A, B, F, I, R>(
  type: MessageType<A, I> | RequestType<A, B, F, I>,
  run: (message: Received<A>) => Effect.Effect<B, F, R>
): Handler<R> => ({
  type: type.name,
  answers: type._tag === "RequestType",
  run: (message) =>
    Either.match(type.decode(message.payload), {
      onLeft: (detail) => Effect.fail<Refused>({ _tag: "Undecodable", detail }),
      onRight: (payload) => {
        const handled = run({ ...message, payload })
        return type._tag === "RequestType"
          ? answered(type as RequestType<A, B, F, I>, handled)
          : Effect.mapBoth(handled, {
              onFailure: (failure): Refused => ({ _tag: "Failed", failure: undefined, detail: String(failure) }),
              onSuccess: () => noAnswer
            })
      }
    })
})

const answered = <A, B, F, I, R>(
  type: RequestType<A, B, F, I>,
  handled: Effect.Effect<B, F, R>
): Effect.Effect<JsonObject, Refused, R> =>
  Effect.matchEffect(handled, {
    onFailure: (failure) => {
      const encoded = type.encodeFailure(failure)
      return Effect.fail<Refused>(
        Either.isRight(encoded)
          ? { _tag: "Failed", failure: encoded.right, detail: "" }
          : { _tag: "Broke", detail: `the failure does not fit its schema: ${encoded.left}` }
      )
    },
    onSuccess: (reply) =>
      Effect.mapError(type.encodeReply(reply), (detail): Refused => ({
        _tag: "Broke",
        detail: `the answer does not fit its schema: ${detail}`
      }))
  })

/**
 * What to do with all types that have no handler of their own.
 *
 * @since 0.1.0
 * @category constructors
 */
export const otherHandler = <R>(
  run: (message: Received<JsonObject>) => Effect.Effect<JsonObject, unknown, R>
): Handler<R> => ({
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

/** A handler that has all it needs. */
export const provided = <R>(registered: Handler<R>, context: Context.Context<R>): Handler<never> => ({
  ...registered,
  run: (message) =>
    Effect.mapInputContext(registered.run(message), (outer: Context.Context<never>) => Context.merge(outer, context))
})

// --- The service ---

/** Messages that may wait for a reader of `messages`. */
const streamCapacity = 256

interface Pending {
  readonly peer: NodeId
  /** Over which it was asked. */
  readonly connection: Connection
  readonly settle: (answer: Answer) => void
}

/** Those who read a type's messages as a stream. */
type Readers = Set<Mailbox.Mailbox<Envelope & { readonly via: NodeId }>>

type Answer =
  | { readonly _tag: "Reply"; readonly payload: JsonObject }
  | { readonly _tag: "Error"; readonly error: Payloads.ErrorPayload }
  | { readonly _tag: "Gone"; readonly sent: boolean }

/**
 * Scope: interrupts the handlers.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.gen(function* () {
  const config = yield* NetworkConfig
  const node = yield* LocalNode
  const pool = yield* ConnectionPool
  const stats = yield* NetworkStats
  const { deadlines } = node
  const sendTimeout = Duration.toMillis(config.sendTimeout)
  const seen = new SeenMemory({ maxAgeMillis: Duration.toMillis(config.seenMemory), maxIds: config.seenIds })
  const routes = new Routes()
  const handlers = new Map<string | undefined, Handler<never>>()
  const streams = new Map<string, Readers>()
  const pending = new Map<string, Pending>()
  /** Links that had no room for a broadcast within `sendTimeout`, and have not had since. */
  const slow = new WeakSet<Connection>()

  // --- Sending ---

  const encodeFor = (
    connection: Connection,
    envelope: Envelope
  ): Either.Either<Uint8Array, NetworkError.MessageTooLarge> => {
    const frame = node.encode(envelope)
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
    message: { readonly frame: Uint8Array; readonly id: string },
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
    const message = { frame: frame.right, id: envelope.id }
    if (connection.outbox.offer(message)) return Effect.succeed(envelope.id)
    return Effect.async((resume) => {
      const cancel = enqueue(connection, peer, message, (failure) =>
        resume(failure === undefined ? Effect.succeed(envelope.id) : Effect.fail(failure))
      )
      return Effect.sync(cancel)
    })
  }

  /** Hands a message for a node that is not connected to those that may bring it there: to one of them at least. */
  const handTargeted = (
    envelope: Envelope,
    recipient: NodeId
  ): Effect.Effect<string, NetworkError.MessageTooLarge | NetworkError.PeerNotConnected | NetworkError.SendTimeout> => {
    const [first, ...others] = nextHops(envelope, undefined, pool.unsafeLive(), relays, routes)
    const via = first?.identity?.id
    if (first === undefined || via === undefined) {
      return Effect.fail(new NetworkError.PeerNotConnected({ peer: recipient }))
    }
    const frame = node.encode(envelope)
    const isTaken = (way: Connection): boolean =>
      frame.length - Frame.headerBytes <= longest(way) && way.outbox.offer({ frame, id: envelope.id })
    return [first, ...others].filter(isTaken).length > 0 ? Effect.succeed(envelope.id) : hand(first, via, envelope)
  }

  const connectionTo = (peer: string): Effect.Effect<Connection, NetworkError.PeerNotConnected> =>
    Effect.flatMap(Ref.get(pool.live), (live) => {
      const connection = live.get(peer as NodeId)
      return connection === undefined
        ? Effect.fail(new NetworkError.PeerNotConnected({ peer }))
        : Effect.succeed(connection)
    })

  const sendMessage = <A, I>(
    peer: string,
    type: MessageType<A, I>,
    payload: A,
    { relay = false }: SendOptions = {}
  ): Effect.Effect<string, NetworkError.SendError> =>
    Effect.flatMap(Ref.get(pool.live), (live): Effect.Effect<string, NetworkError.SendError> => {
      const connection = live.get(peer as NodeId)
      if (connection === undefined && !(relay && NodeIds.is(peer))) {
        return Effect.fail(new NetworkError.PeerNotConnected({ peer }))
      }
      const encoded = encodePayload(type, payload)
      if (Either.isLeft(encoded)) return Effect.fail(encoded.left)
      const recipient = peer as NodeId
      return connection === undefined
        ? handTargeted(node.compose(type.name, encoded.right, { recipient, ttl: config.broadcastTtl }), recipient)
        : hand(connection, recipient, node.compose(type.name, encoded.right))
    })

  const broadcast = <A, I>(
    type: MessageType<A, I>,
    payload: A
  ): Effect.Effect<BroadcastReceipt, NetworkError.PayloadInvalid | NetworkError.MessageTooLarge> =>
    Effect.flatMap(
      Ref.get(pool.live),
      (live): Effect.Effect<BroadcastReceipt, NetworkError.PayloadInvalid | NetworkError.MessageTooLarge> => {
        const encoded = encodePayload(type, payload)
        if (Either.isLeft(encoded)) return Effect.fail(encoded.left)
        const envelope = node.compose(type.name, encoded.right, { ttl: config.broadcastTtl })
        const relayed = node.encode(envelope)
        const bytes = relayed.length - Frame.headerBytes
        if (bytes > config.maxMessageBytes) {
          return Effect.fail(
            new NetworkError.MessageTooLarge({ type: type.name, bytes, limit: config.maxMessageBytes })
          )
        }
        // A neighbour that does not pass messages on gets it as a direct one.
        const { ttl: _, ...direct } = envelope
        let plain: Uint8Array | undefined
        const sent: Array<NodeId> = []
        const failed: Array<BroadcastReceipt["failed"][number]> = []
        const waiting: Array<Effect.Effect<void>> = []
        const refuse = (peer: NodeId, error: NetworkError.NetworkError): void => {
          failed.push({ peer, error: { _tag: error._tag, message: error.message } })
        }
        for (const [peer, connection] of live) {
          const frame = relays(connection) ? relayed : (plain ??= node.encode(direct as Envelope))
          const limit = longest(connection)
          if (frame.length - Frame.headerBytes > limit) {
            refuse(peer, new NetworkError.MessageTooLarge({ type: type.name, bytes, limit }))
          } else if (connection.outbox.offer({ frame, id: envelope.id })) {
            slow.delete(connection)
            sent.push(peer)
          } else if (slow.has(connection)) {
            refuse(peer, new NetworkError.SendTimeout({ peer, millis: 0 }))
          } else {
            waiting.push(
              Effect.async((resume) => {
                const cancel = enqueue(connection, peer, { frame, id: envelope.id }, (failure) => {
                  if (failure === undefined) sent.push(peer)
                  else {
                    if (failure._tag === "SendTimeout") slow.add(connection)
                    refuse(peer, failure)
                  }
                  resume(Effect.void)
                })
                return Effect.sync(cancel)
              })
            )
          }
        }
        const receipt: BroadcastReceipt = { id: envelope.id, sent, failed }
        return waiting.length === 0
          ? Effect.succeed(receipt)
          : Effect.as(Effect.all(waiting, { concurrency: "unbounded", discard: true }), receipt)
      }
    )

  // --- Requests ---

  const request = <A, B, F, I>(
    peer: string,
    type: RequestType<A, B, F, I>,
    payload: A,
    timeout: Duration.Duration
  ): Effect.Effect<B, NetworkError.RequestError | F> =>
    Effect.flatMap(connectionTo(peer), (connection): Effect.Effect<B, NetworkError.RequestError | F> => {
      const encoded = encodePayload(type, payload)
      if (Either.isLeft(encoded)) return Effect.fail(encoded.left)
      const id = peer as NodeId
      const envelope = node.compose(type.name, encoded.right, { expectsReply: true })
      const frame = encodeFor(connection, envelope)
      if (Either.isLeft(frame)) return Effect.fail(frame.left)
      return ask(connection, id, envelope, frame.right, type, Duration.toMillis(timeout))
    })

  const ask = <A, B, F, I>(
    connection: Connection,
    peer: NodeId,
    envelope: Envelope,
    frame: Uint8Array,
    type: RequestType<A, B, F, I>,
    millis: number
  ): Effect.Effect<B, NetworkError.RequestError | F> =>
    Effect.async((resume) => {
      const { id } = envelope
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
      pending.set(id, {
        peer,
        connection,
        settle: (answer) => {
          finish()
          resume(conclude(answer, peer, id, type))
        }
      })
      cancelSending = enqueue(connection, peer, { frame, id }, (failure) => {
        if (failure === undefined) return
        finish()
        resume(Effect.fail(failure))
      })
      return Effect.sync(finish)
    })

  const onReply = (envelope: Envelope, answer: Answer): void => {
    const waiting = envelope.replyTo === undefined ? undefined : pending.get(envelope.replyTo)
    if (waiting === undefined || waiting.peer !== envelope.sender) return stats.count("repliesDropped")
    waiting.settle(answer)
  }

  // --- Receiving ---

  const openRequests = (peer?: NodeId): number => {
    if (peer === undefined) return pending.size
    let count = 0
    for (const waiting of pending.values()) if (waiting.peer === peer) count++
    return count
  }

  const listensFor = (type: string): boolean =>
    handlers.has(type) || handlers.has(undefined) || (streams.get(type)?.size ?? 0) > 0

  const deliver = (connection: Connection, envelope: Envelope, bytes: number, isBroadcast: boolean): void => {
    if (envelope.replyTo !== undefined) return onReply(envelope, { _tag: "Reply", payload: envelope.payload })
    if (listensFor(envelope.type)) return delivery.push(connection, envelope, bytes)
    stats.count("unsupported")
    if (!isBroadcast) answerError(connection, envelope, "UNSUPPORTED_TYPE", `type: nobody listens for it here`)
  }

  /** Whether any link took it. */
  const pass = (connection: Connection, envelope: Envelope): boolean => {
    const via = connection.identity?.id
    const hops = nextHops(envelope, via, pool.unsafeLive(), relays, routes)
    if (hops.length === 0) return false
    const frame = node.encode({ ...envelope, ttl: (envelope.ttl ?? 1) - 1 })
    let isPassed = false
    for (const next of hops) {
      if (frame.length - Frame.headerBytes > longest(next)) stats.count("tooLarge")
      else if (next.outbox.offer({ frame, id: undefined })) {
        isPassed = true
        stats.count("relayed")
      } else stats.count("relaySkipped")
    }
    return isPassed
  }

  pool.setReceiver({
    message: (connection, envelope, bytes, kind) => {
      if (kind === "Direct") return deliver(connection, envelope, bytes, false)
      if (!seen.add(envelope.sender, envelope.id, deadlines.now())) return stats.count("duplicates")
      const via = connection.identity?.id
      if (via !== undefined) routes.learn(envelope.sender, via)
      if (kind === "Broadcast") {
        pass(connection, envelope)
        return deliver(connection, envelope, bytes, true)
      }
      if (envelope.recipient !== node.id) {
        if (pass(connection, envelope) || kind === "RoutedError" || envelope.sender !== via) return
        stats.count("noRoute")
        return answerError(connection, envelope, "NO_ROUTE", "recipient: no way to it is known")
      }
      if (kind === "Targeted") return deliver(connection, envelope, bytes, false)
      const error = Payloads.decodeError(envelope.payload)
      if (Either.isLeft(error)) return pool.invalid(connection, error.left, envelope)
      onReply(envelope, { _tag: "Error", error: error.right })
    },
    error: (connection, envelope, error) => {
      const waiting = envelope.replyTo === undefined ? undefined : pending.get(envelope.replyTo)
      if (waiting !== undefined) return onReply(envelope, { _tag: "Error", error })
      fork(
        Effect.logDebug(`the peer answers ${error.code}: ${error.message.slice(0, 256)}`).pipe(
          annotatePeer(describe(connection))
        )
      )
    },
    superseded: (loser, survivor, awaitEnd) => delivery.follow(loser, survivor, awaitEnd),
    closed: (connection) => delivery.closed(connection),
    isBusy: (id) => openRequests(id) > 0
  })

  // --- Answering ---

  /** The members by which an answer finds its way back. */
  const backTo = ({ id, sender, ttl }: Envelope): Routing => ({
    replyTo: id,
    recipient: sender,
    ...(ttl === undefined ? {} : { ttl: config.broadcastTtl })
  })

  /** Where an answer goes: straight to who asked, else back the way the question came. */
  const wayBack = (connection: Connection, { sender }: Envelope): Connection => {
    const live = pool.unsafeLive()
    const learned = routes.to(sender)
    return live.get(sender) ?? (learned === undefined ? undefined : live.get(learned)) ?? connection
  }

  const answerError = (
    connection: Connection,
    about: Envelope,
    code: "UNSUPPORTED_TYPE" | "NO_ROUTE" | "REQUEST_FAILED" | "INTERNAL",
    message: string,
    failure?: JsonObject[string]
  ): void => {
    const payload = {
      code,
      message: message.slice(0, 1024),
      fatal: false,
      ...(failure === undefined ? {} : { failure })
    }
    // To a neighbour an ERROR belongs to the link and names no recipient.
    const routing = about.ttl === undefined ? { replyTo: about.id } : backTo(about)
    const back = about.ttl === undefined ? sameSession(connection) : wayBack(connection, about)
    const frame = encodeFor(back, node.compose("ERROR", payload, routing))
    if (Either.isRight(frame)) return back.sendControl(frame.right)
    stats.count("tooLarge")
    answerError(connection, about, "INTERNAL", "the refusal is too long to send")
  }

  /** The connection that has taken the place of one to the same node, or that one itself. */
  const sameSession = (connection: Connection): Connection => {
    const id = connection.identity?.id
    const current = id === undefined ? undefined : pool.unsafeLive().get(id)
    return current?.identity?.session === connection.identity?.session ? (current ?? connection) : connection
  }

  const logFailure = (connection: Connection, type: string, cause: Cause.Cause<Refused>): Effect.Effect<void> => {
    const failure = Option.getOrUndefined(Cause.failureOption(cause))
    stats.count(failure?._tag === "Undecodable" ? "undecodable" : "handlerFailures")
    const log =
      failure === undefined
        ? Effect.logError(`the handler of ${type} broke`, cause)
        : failure._tag === "Undecodable"
          ? Effect.logWarning(`a ${type} does not fit its schema`).pipe(
              Effect.zipRight(Effect.logDebug(failure.detail))
            )
          : Effect.logWarning(`the handler of ${type} failed${failure.detail === "" ? "" : `: ${failure.detail}`}`)
    return annotatePeer(describe(connection))(log)
  }

  /** Runs a handler whatever it does, also if it throws before it is an Effect. */
  const run = (
    registered: Handler<never>,
    connection: Connection,
    envelope: Envelope
  ): Effect.Effect<Exit.Exit<JsonObject, Refused>> =>
    Effect.exit(Effect.suspend(() => registered.run(received(connection, envelope))))

  const offerToStreams = (readers: Readers, connection: Connection, envelope: Envelope): Effect.Effect<void> => {
    const message = { ...envelope, via: connection.identity?.id ?? envelope.sender }
    return Effect.forEach([...readers], (reader) => reader.offer(message), { discard: true })
  }

  const handleOneWay = (connection: Connection, envelope: Envelope): Effect.Effect<void> => {
    const registered = handlers.get(envelope.type) ?? handlers.get(undefined)
    const readers = streams.get(envelope.type)
    // Whoever listened when it came may be gone since.
    stats.count(registered === undefined && readers === undefined ? "unsupported" : "delivered")
    const toStreams = readers === undefined ? Effect.void : offerToStreams(readers, connection, envelope)
    if (registered === undefined) return toStreams
    return Effect.zipRight(
      toStreams,
      Effect.flatMap(run(registered, connection, envelope), (exit) =>
        Exit.isSuccess(exit) ? Effect.void : logFailure(connection, envelope.type, exit.cause)
      )
    )
  }

  const handleRequest = (connection: Connection, envelope: Envelope): Effect.Effect<void> => {
    const registered = handlers.get(envelope.type) ?? handlers.get(undefined)
    if (registered === undefined || !registered.answers) {
      return Effect.sync(() => {
        stats.count("unsupported")
        answerError(connection, envelope, "UNSUPPORTED_TYPE", "type: nobody answers it here")
      })
    }
    stats.count("delivered")
    return Effect.flatMap(run(registered, connection, envelope), (exit) =>
      Exit.isSuccess(exit)
        ? reply(connection, envelope, exit.value)
        : Effect.zipRight(
            Effect.sync(() => refuse(connection, envelope, exit.cause)),
            isExpected(exit.cause) ? Effect.void : logFailure(connection, envelope.type, exit.cause)
          )
    )
  }

  const refuse = (connection: Connection, envelope: Envelope, cause: Cause.Cause<Refused>): void => {
    const failure = Option.getOrUndefined(Cause.failureOption(cause))
    switch (failure?._tag) {
      case undefined:
        return answerError(connection, envelope, "INTERNAL", "the handler broke")
      case "Broke":
        return answerError(connection, envelope, "INTERNAL", failure.detail)
      case "Undecodable":
        return answerError(connection, envelope, "REQUEST_FAILED", "payload: does not fit what the handler takes")
      case "Failed":
        return answerError(connection, envelope, "REQUEST_FAILED", failure.detail, failure.failure)
    }
  }

  const reply = (connection: Connection, about: Envelope, payload: JsonObject): Effect.Effect<void> =>
    Effect.suspend(() => {
      const back = about.ttl === undefined ? sameSession(connection) : wayBack(connection, about)
      const peer = back.identity?.id ?? about.sender
      return hand(back, peer, node.compose(about.type, payload, backTo(about)))
    }).pipe(
      Effect.catchAll((error) => {
        if (error._tag === "MessageTooLarge") {
          answerError(connection, about, "INTERNAL", "the answer is longer than this link takes")
        }
        return Effect.logWarning(`the answer to a ${about.type} was not sent: ${error.message}`).pipe(
          annotatePeer(describe(connection))
        )
      }),
      Effect.asVoid
    )

  const delivery = yield* Deliveries.make({
    concurrency: config.handlerConcurrency,
    handle: handleOneWay,
    handleRequest
  })
  const fork = Runtime.runFork(yield* Effect.runtime<never>())

  // --- Listening ---

  const handle = (registered: Handler<never>): Effect.Effect<void, NetworkError.HandlerExists, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        if (handlers.has(registered.type)) {
          return Effect.fail(new NetworkError.HandlerExists({ type: registered.type ?? "every other type" }))
        }
        handlers.set(registered.type, registered)
        return Effect.void
      }),
      () => Effect.sync(() => handlers.delete(registered.type))
    )

  const messages = <A, I>(type: MessageType<A, I>): Stream.Stream<Received<A>> =>
    Stream.unwrapScoped(
      Effect.gen(function* () {
        const mailbox = yield* Mailbox.make<Envelope & { readonly via: NodeId }>({ capacity: streamCapacity })
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            const readers: Readers = streams.get(type.name) ?? new Set()
            readers.add(mailbox)
            streams.set(type.name, readers)
            return readers
          }),
          (readers) =>
            Effect.suspend(() => {
              readers.delete(mailbox)
              if (readers.size === 0) streams.delete(type.name)
              return mailbox.shutdown
            })
        )
        return Mailbox.toStream(mailbox).pipe(
          Stream.filterMap(({ via, ...envelope }) => {
            const payload = type.decode(envelope.payload)
            if (Either.isLeft(payload)) {
              stats.count("undecodable")
              return Option.none()
            }
            return Option.some({
              type: envelope.type,
              id: envelope.id,
              sender: envelope.sender,
              via,
              payload: payload.right,
              timestamp: envelope.timestamp,
              expectsReply: false,
              isBroadcast: envelope.ttl !== undefined && envelope.recipient === undefined,
              envelope
            })
          })
        )
      })
    )

  return Router.of({
    sendMessage,
    request,
    broadcast,
    handle,
    messages,
    peerGone: (peer, unsent) => {
      const never = new Set(unsent)
      // It may be back by now, and asked anew.
      const current = pool.unsafeLive().get(peer)
      for (const [id, waiting] of pending) {
        if (waiting.peer === peer && waiting.connection !== current) {
          waiting.settle({ _tag: "Gone", sent: !never.has(id) })
        }
      }
    },
    openRequests,
    waiting: delivery.waiting,
    idle: delivery.idle
  })
})

const encodePayload = <A, I>(
  type: MessageType<A, I>,
  payload: A
): Either.Either<JsonObject, NetworkError.PayloadInvalid> =>
  Either.mapLeft(type.encode(payload), (detail) => new NetworkError.PayloadInvalid({ type: type.name, detail }))

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
  const detail = error.message.slice(0, 1024)
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

const received = (connection: Connection, envelope: Envelope): Received<JsonObject> => ({
  type: envelope.type,
  id: envelope.id,
  sender: envelope.sender,
  via: connection.identity?.id ?? envelope.sender,
  payload: envelope.payload,
  timestamp: envelope.timestamp,
  expectsReply: envelope.expectsReply === true,
  isBroadcast: envelope.ttl !== undefined && envelope.recipient === undefined,
  envelope
})

const describe = (connection: Connection) => ({
  id: connection.identity?.id,
  address: connection.remote,
  direction: connection.direction
})

/** A refusal by a typed failure is an answer like any other. */
const isExpected = (cause: Cause.Cause<Refused>): boolean =>
  Option.getOrUndefined(Cause.failureOption(cause))?._tag === "Failed"

const nothing = (): void => {}

const relays = (connection: Connection): boolean => connection.identity?.relay === true

/** The longest body that the other end takes, bytes. */
const longest = (connection: Connection): number => connection.identity?.maxMessageBytes ?? Frame.defaultLimit

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Router, never, NetworkConfig | LocalNode | ConnectionPool | NetworkStats> =
  Layer.scoped(Router, make)
