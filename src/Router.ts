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
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Connection } from "./Connection.js"
import { ConnectionPool } from "./ConnectionPool.js"
import type * as Frame from "./Frame.js"
import { type Handler, refusalOf, type Refused } from "./Handler.js"
import * as Answers from "./internal/Answers.js"
import * as Deliveries from "./internal/Delivery.js"
import type { Outgoing } from "./internal/Outbox.js"
import * as Requests from "./internal/Requests.js"
import { nextHops, Routes } from "./internal/Routes.js"
import { SeenMemory } from "./internal/SeenMemory.js"
import * as Sending from "./internal/Sending.js"
import { plain } from "./internal/Utf8.js"
import { LocalNode, type Routing } from "./LocalNode.js"
import type { Envelope, JsonObject } from "./Message.js"
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
 * Sending, asking, broadcasting, and the handlers of what comes in.
 *
 * @since 0.1.0
 * @category tags
 */
export class Router extends Context.Tag("synapse-p2p/Router")<
  Router,
  {
    /** With `relay`, over other nodes to one that is not connected. `check` is asked before whether it may be sent. */
    readonly sendMessage: <A, I>(
      peer: string,
      type: MessageType<A, I>,
      payload: A,
      options?: SendOptions,
      check?: () => NetworkError.SendError | undefined
    ) => Effect.Effect<string, NetworkError.SendError>
    /** Many of one type, in order: their ids. `check` is asked before each whether it may still be sent. */
    readonly sendMessages: <A, I>(
      peer: string,
      type: MessageType<A, I>,
      payloads: Iterable<A>,
      check?: () => NetworkError.SendError | undefined
    ) => Effect.Effect<ReadonlyArray<string>, NetworkError.BatchFailed>
    readonly request: <A, B, F, I>(
      peer: string,
      type: RequestType<A, B, F, I>,
      payload: A,
      options?: RequestOptions,
      check?: () => NetworkError.RequestError | undefined
    ) => Effect.Effect<B, NetworkError.RequestError | F>
    readonly broadcast: <A, I>(
      type: MessageType<A, I>,
      payload: A
    ) => Effect.Effect<BroadcastReceipt, NetworkError.PayloadInvalid | NetworkError.MessageTooLarge>
    /** `context`: what the handler needs. */
    readonly handle: {
      (handler: Handler<never>): Effect.Effect<void, NetworkError.HandlerExists, Scope.Scope>
      <R>(
        handler: Handler<R>,
        context: Context.Context<R>
      ): Effect.Effect<void, NetworkError.HandlerExists, Scope.Scope>
    }
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
  readonly relay?: boolean | undefined
}

/**
 * `timeout`: default `requestTimeout`.
 *
 * @since 0.1.0
 * @category models
 */
export interface RequestOptions extends SendOptions {
  readonly timeout?: Duration.Duration | undefined
}

/** Types of one link that are remembered as not fitting. */
const maxMisfits = 64

/** Messages that may wait for a reader of `messages`. */
const streamCapacity = 256

/** A handler, and the context of the fibers that run it. */
interface Registered {
  readonly handler: Handler<never>
  readonly context: Context.Context<never>
}

/** Those who read a type's messages as a stream. */
type Readers = Set<Mailbox.Mailbox<Envelope & { readonly via: NodeId }>>

/** Who listens for a type. */
interface Listening {
  readonly type: string
  readonly registered: Registered | undefined
  /** At least one. */
  readonly readers: Readers | undefined
}

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
  const requestTimeout = Duration.toMillis(config.requestTimeout)
  const seen = new SeenMemory({ maxAgeMillis: Duration.toMillis(config.seenMemory), maxIds: config.seenIds })
  const routes = new Routes()
  const base = yield* Effect.context<never>()
  const handlers = new Map<string | undefined, Registered>()
  const streams = new Map<string, Readers>()
  /** Types of which a message from that link did not fit: one line of log is enough. */
  const misfits = new WeakMap<Connection, Set<string>>()
  const sending = Sending.make(config, node)
  const requests = Requests.make(deadlines, sending)
  const answers = Answers.make({
    broadcastTtl: config.broadcastTtl,
    compose: node.compose,
    live: pool.unsafeLive,
    routes,
    sending,
    stats
  })

  // --- Sending ---

  /** Hands a message for a node that is not connected to those that may bring it there: to one of them at least. */
  const handTargeted = (envelope: Envelope, recipient: NodeId): Effect.Effect<string, Sending.HandError> => {
    const ways = waysTo(envelope)
    const [first] = ways
    const via = first?.identity?.id
    if (first === undefined || via === undefined) {
      return Effect.fail(new NetworkError.PeerNotConnected({ peer: recipient }))
    }
    const frame = node.encodeOwn(envelope)
    const taken = ways.filter((way) => isTaken(way, frame, envelope.id))
    return taken.length > 0 ? Effect.succeed(envelope.id) : sending.hand(first, via, envelope)
  }

  /** The links that a message goes on over, where it came from `via`, or is this node's own. */
  const hopsOf = (envelope: Envelope, via: NodeId | undefined): ReadonlyArray<Connection> =>
    nextHops(envelope, via, pool.unsafeLive(), Sending.relays, routes)

  const waysTo = (envelope: Envelope): ReadonlyArray<Connection> => hopsOf(envelope, undefined)

  const sendMessage = <A, I>(
    peer: string,
    type: MessageType<A, I>,
    payload: A,
    options?: SendOptions,
    check: () => NetworkError.SendError | undefined = mayAlways
  ): Effect.Effect<string, NetworkError.SendError> =>
    Effect.suspend((): Effect.Effect<string, NetworkError.SendError> => {
      const refusal = check()
      if (refusal !== undefined) return Effect.fail(refusal)
      const relay = options?.relay === true
      const connection = pool.unsafeLive().get(peer as NodeId)
      if (connection === undefined && !(relay && NodeIds.is(peer))) {
        return Effect.fail(new NetworkError.PeerNotConnected({ peer }))
      }
      const encoded = Sending.encodePayload(type, payload)
      if (Either.isLeft(encoded)) return Effect.fail(encoded.left)
      const recipient = peer as NodeId
      return connection === undefined
        ? handTargeted(node.compose(type.name, encoded.right, { recipient, ttl: config.broadcastTtl }), recipient)
        : sending.hand(connection, recipient, node.compose(type.name, encoded.right))
    })

  const sendMessages = <A, I>(
    peer: string,
    type: MessageType<A, I>,
    payloads: Iterable<A>,
    check: () => NetworkError.SendError | undefined = mayAlways
  ): Effect.Effect<ReadonlyArray<string>, NetworkError.BatchFailed> =>
    Effect.suspend(() => {
      const left = payloads[Symbol.iterator]()
      return sending.handAll(
        peer as NodeId,
        (): Either.Either<Sending.Composed, NetworkError.SendError> | undefined => {
          const next = left.next()
          if (next.done === true) return undefined
          const refusal = check()
          if (refusal !== undefined) return Either.left(refusal)
          const connection = pool.unsafeLive().get(peer as NodeId)
          if (connection === undefined) return Either.left(new NetworkError.PeerNotConnected({ peer }))
          const encoded = Sending.encodePayload(type, next.value)
          return Either.isLeft(encoded)
            ? Either.left(encoded.left)
            : Either.right({ connection, envelope: node.compose(type.name, encoded.right) })
        }
      )
    })

  const broadcast = <A, I>(
    type: MessageType<A, I>,
    payload: A
  ): Effect.Effect<BroadcastReceipt, NetworkError.PayloadInvalid | NetworkError.MessageTooLarge> =>
    Effect.suspend((): Effect.Effect<BroadcastReceipt, NetworkError.PayloadInvalid | NetworkError.MessageTooLarge> => {
      const encoded = Sending.encodePayload(type, payload)
      return Either.isLeft(encoded)
        ? Effect.fail(encoded.left)
        : sending.fanOut(node.compose(type.name, encoded.right, { ttl: config.broadcastTtl }), pool.unsafeLive())
    })

  // --- Requests ---

  const request = <A, B, F, I>(
    peer: string,
    type: RequestType<A, B, F, I>,
    payload: A,
    { relay, timeout }: RequestOptions = {},
    check: () => NetworkError.RequestError | undefined = mayAlways
  ): Effect.Effect<B, NetworkError.RequestError | F> =>
    Effect.uninterruptibleMask((restore): Effect.Effect<B, NetworkError.RequestError | F> => {
      const refusal = check()
      if (refusal !== undefined) return Effect.fail(refusal)
      const connection = pool.unsafeLive().get(peer as NodeId)
      const isRelayed = connection === undefined && relay === true && NodeIds.is(peer)
      const encoded = Sending.encodePayload(type, payload)
      if (Either.isLeft(encoded)) return Effect.fail(encoded.left)
      const recipient = peer as NodeId
      const envelope = node.compose(
        type.name,
        encoded.right,
        isRelayed ? { expectsReply: true, recipient, ttl: config.broadcastTtl } : asking
      )
      const ways = isRelayed ? waysTo(envelope) : undefined
      const first = ways === undefined ? connection : ways[0]
      if (first === undefined) return Effect.fail(new NetworkError.PeerNotConnected({ peer }))
      const frame = sending.encodeFor(first, envelope)
      if (Either.isLeft(frame)) return Effect.fail(frame.left)
      const others = ways?.filter((way) => way !== first && Sending.fits(way, frame.right))
      const millis = timeout === undefined ? requestTimeout : Duration.toMillis(timeout)
      return requests.ask(
        new Requests.Request(envelope.id, recipient, frame.right, first, others, millis),
        type,
        restore
      )
    })

  const onAnswer = (envelope: Envelope, answer: Requests.Answer): void => {
    if (!requests.answered(envelope.replyTo, envelope.sender, answer)) stats.count("repliesDropped")
  }

  // --- Receiving ---

  /** As it was asked for last: one message after the other is of the same type. */
  let listening: Listening | undefined
  const listeningFor = (type: string): Listening => {
    if (listening?.type === type) return listening
    listening = { type, registered: handlers.get(type) ?? handlers.get(undefined), readers: streams.get(type) }
    return listening
  }
  const listenersChanged = (): void => {
    listening = undefined
  }

  const deliver = (connection: Connection, envelope: Envelope, bytes: number, isBroadcast: boolean): void => {
    if (envelope.replyTo !== undefined) {
      return onAnswer(envelope, { _tag: "Reply", payload: envelope.payload })
    }
    const { readers, registered } = listeningFor(envelope.type)
    if (registered !== undefined || readers !== undefined) return delivery.push(connection, envelope, bytes)
    stats.count("unsupported")
    if (!isBroadcast) answers.error(connection, envelope, "UNSUPPORTED_TYPE", `type: nobody listens for it here`)
  }

  /**
   * Whether the link proves that the message is its sender's, who may leave the signature out. One that is there is checked
   * where others will be asked to believe it: to do so where it goes no further took most of the time of a broadcast.
   */
  const isProven = (envelope: Envelope, via: NodeId | undefined): boolean =>
    envelope.sender === via &&
    (envelope.signature === undefined || envelope.recipient === node.id || hopsOf(envelope, via).length === 0)

  /** Whether any link took it. */
  const pass = (connection: Connection, envelope: Envelope): boolean => {
    // The next node would hold it against this one.
    if (node.signatures !== undefined && envelope.signature === undefined) return false
    const hops = hopsOf(envelope, connection.identity?.id)
    if (hops.length === 0) return false
    const frame = node.encode({ ...envelope, ttl: (envelope.ttl ?? 1) - 1 })
    const message: Outgoing = hops.length > 1 ? { frame, id: undefined, isShared: true } : { frame, id: undefined }
    let isPassed = false
    for (const next of hops) {
      if (!Sending.fits(next, frame)) stats.count("tooLarge")
      else if (next.outbox.offer(message)) {
        isPassed = true
        stats.count("relayed")
      } else stats.count("relaySkipped")
    }
    return isPassed
  }

  /** When what is arriving came: looked up once for all that one read brings. */
  let arrivedAt: number | undefined

  pool.setReceiver({
    message: (connection, envelope, bytes, kind) => {
      if (kind === "Direct") return deliver(connection, envelope, bytes, false)
      const now = connection.isArriving ? (arrivedAt ??= deadlines.now()) : deadlines.now()
      const via = connection.identity?.id
      if (node.signatures !== undefined) {
        if (seen.has(envelope.sender, envelope.id, now)) return stats.count("duplicates")
        // Nothing of a message that is not its sender's is remembered: it must not stand in the way of one that is.
        const fault = isProven(envelope, via) ? undefined : node.signatures.fault(envelope)
        if (fault !== undefined) return pool.invalid(connection, fault, envelope)
      }
      if (!seen.add(envelope.sender, envelope.id, now)) return stats.count("duplicates")
      if (via !== undefined) routes.learn(envelope.sender, via)
      if (kind === "Broadcast") {
        pass(connection, envelope)
        return deliver(connection, envelope, bytes, true)
      }
      if (envelope.recipient !== node.id) {
        if (pass(connection, envelope) || kind === "RoutedError" || envelope.sender !== via) return
        stats.count("noRoute")
        return answers.error(connection, envelope, "NO_ROUTE", "recipient: no way to it is known")
      }
      if (kind === "Targeted") return deliver(connection, envelope, bytes, false)
      const error = Payloads.decodeError(envelope.payload)
      if (Either.isLeft(error)) return pool.invalid(connection, error.left, envelope)
      // A neighbour speaks for itself when it knows no way; for all else only who was asked.
      const isOfNeighbour = error.right.code === "NO_ROUTE" && envelope.sender === via
      if (isOfNeighbour && requests.noRoute(envelope.replyTo, connection, error.right)) return
      onAnswer(envelope, { _tag: "Error", error: error.right })
    },
    error: (connection, envelope, error) => {
      if (requests.isOpen(envelope.replyTo)) return onAnswer(envelope, { _tag: "Error", error })
      fork(
        Effect.logDebug(`the peer answers ${error.code}: ${plain(error.message, 256)}`).pipe(
          annotatePeer(describe(connection))
        )
      )
    },
    arrived: (connection) => {
      arrivedAt = undefined
      delivery.arrived(connection)
    },
    superseded: (loser, survivor, awaitEnd) => delivery.follow(loser, survivor, awaitEnd),
    closed: (connection) => delivery.closed(connection),
    isBusy: (id) => requests.open(id) > 0 || delivery.isServing(id)
  })

  // --- Handling ---

  const logFailure = (
    connection: Connection,
    type: string,
    cause: Cause.Cause<unknown>,
    failure: Refused | undefined
  ): Effect.Effect<void> => {
    stats.count(failure?._tag === "Undecodable" ? "undecodable" : "handlerFailures")
    const log =
      failure === undefined
        ? Effect.logError(`the handler of ${type} broke`, cause)
        : failure._tag === "Undecodable"
          ? logMisfit(connection, type, failure.detail)
          : Effect.logWarning(`the handler of ${type} failed${failure.detail === "" ? "" : `: ${failure.detail}`}`)
    return annotatePeer(describe(connection))(log)
  }

  /** The first of a type from a link is worth a warning; a peer must not fill the log. What does not fit is payload. */
  const logMisfit = (connection: Connection, type: string, detail: string): Effect.Effect<void> => {
    const known = misfits.get(connection) ?? new Set()
    misfits.set(connection, known)
    const isFirst = known.size < maxMisfits && !known.has(type)
    known.add(type)
    const said = Effect.logDebug(`a ${type} does not fit its schema: ${detail}`)
    return isFirst
      ? Effect.zipRight(Effect.logWarning(`a ${type} does not fit its schema; more are logged at debug`), said)
      : said
  }

  const offerToStreams = (readers: Readers, connection: Connection, envelope: Envelope): Effect.Effect<void> => {
    const message = { ...envelope, via: connection.identity?.id ?? envelope.sender }
    return Effect.forEach([...readers], (reader) => reader.offer(message), { discard: true })
  }

  const handleOneWay = (
    connection: Connection,
    envelope: Envelope,
    fiber: Deliveries.Handling
  ): Effect.Effect<unknown, unknown> => {
    const { readers, registered } = listeningFor(envelope.type)
    // Whoever listened when it came may be gone since.
    stats.count(registered === undefined && readers === undefined ? "unsupported" : "delivered")
    if (readers === undefined) return take(registered, connection, envelope, fiber)
    return Effect.zipRight(
      offerToStreams(readers, connection, envelope),
      Effect.suspend(() => take(registered, connection, envelope, fiber))
    )
  }

  const take = (
    registered: Registered | undefined,
    connection: Connection,
    envelope: Envelope,
    fiber: Deliveries.Handling
  ): Effect.Effect<unknown, unknown> =>
    registered === undefined
      ? Effect.void
      : inContext(registered, fiber, registered.handler.take(received(connection, envelope)))

  const oneWayFailed = (
    connection: Connection,
    { type }: Envelope,
    cause: Cause.Cause<unknown>
  ): Effect.Effect<void> => {
    const failure = Option.map(Cause.failureOption(cause), refusalOf)
    return logFailure(connection, type, cause, Option.getOrUndefined(failure))
  }

  const handleRequest = (
    connection: Connection,
    envelope: Envelope,
    fiber: Deliveries.Handling
  ): Effect.Effect<void> => {
    const { registered } = listeningFor(envelope.type)
    if (registered === undefined || !registered.handler.answers) {
      return Effect.sync(() => {
        stats.count("unsupported")
        answers.error(connection, envelope, "UNSUPPORTED_TYPE", "type: nobody answers it here")
      })
    }
    stats.count("delivered")
    const refused = (cause: Cause.Cause<Refused>): Effect.Effect<void> => {
      const refusal = Option.getOrUndefined(Cause.failureOption(cause))
      answers.refuse(connection, envelope, refusal)
      // A refusal by a typed failure is an answer like any other.
      return refusal?._tag === "Failed" ? Effect.void : logFailure(connection, envelope.type, cause, refusal)
    }
    const answered = (payload: JsonObject): Effect.Effect<void> => reply(connection, envelope, payload)
    // Whatever the handler does, also if it throws before it is an Effect.
    try {
      const { handler } = registered
      const message = received(connection, envelope)
      const done =
        handler.runThen === undefined
          ? Effect.matchCauseEffect(handler.run(message), { onFailure: refused, onSuccess: answered })
          : handler.runThen(message, { answered, refused })
      return inContext(registered, fiber, done)
    } catch (thrown) {
      return refused(Cause.die(thrown))
    }
  }

  const reply = (connection: Connection, about: Envelope, payload: JsonObject): Effect.Effect<void> => {
    const replied = answers.reply(connection, about, payload)
    return replied === undefined
      ? Effect.void
      : Effect.catchAll(replied, (error) =>
          Effect.logWarning(`the answer to a ${about.type} was not sent: ${error.message}`).pipe(
            annotatePeer(describe(connection))
          )
        )
  }

  const delivery = yield* Deliveries.make({
    concurrency: config.handlerConcurrency,
    contextOf: (envelope) => (envelope && listeningFor(envelope.type).registered)?.context ?? base,
    handle: handleOneWay,
    failed: oneWayFailed,
    handleRequest
  })
  const fork = Runtime.runFork(yield* Effect.runtime<never>())

  // --- Listening ---

  const handle = <R>(
    handler: Handler<R>,
    context?: Context.Context<R>
  ): Effect.Effect<void, NetworkError.HandlerExists, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        const { type } = handler
        if (handlers.has(type)) return Effect.fail(new NetworkError.HandlerExists({ type: type ?? "every other type" }))
        handlers.set(type, {
          // It runs in fibers that have its context.
          handler: handler as Handler<never>,
          context: context === undefined ? base : (Context.merge(base, context) as Context.Context<never>)
        })
        listenersChanged()
        return Effect.void
      }),
      () =>
        Effect.sync(() => {
          handlers.delete(handler.type)
          listenersChanged()
        })
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
            listenersChanged()
            return readers
          }),
          (readers) =>
            Effect.suspend(() => {
              readers.delete(mailbox)
              if (readers.size === 0) streams.delete(type.name)
              listenersChanged()
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
    sendMessages,
    request,
    broadcast,
    handle,
    messages,
    peerGone: (peer, unsent) => requests.gone(peer, pool.unsafeLive().get(peer), new Set(unsent)),
    openRequests: requests.open,
    waiting: delivery.waiting,
    idle: delivery.idle
  })
})

const mayAlways = (): undefined => undefined

const asking: Routing = { expectsReply: true }

const isTaken = (way: Connection, frame: Frame.Frame, id: string): boolean =>
  Sending.fits(way, frame) && way.outbox.offer({ frame, id })

/**
 * What a handler does, in its context. The fiber keeps that context: it runs nothing but handlers, of which most often the
 * next is the same, and giving a context back costs as much as all else done for a message.
 */
const inContext = <A, E>(
  { context }: Registered,
  fiber: Deliveries.Handling,
  handled: Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  fiber.currentContext === context ? handled : Effect.zipRight(FiberRef.set(FiberRef.currentContext, context), handled)

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

/**
 * The router over the connections of the pool. Closing its scope ends its handlers.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Router, never, NetworkConfig | LocalNode | ConnectionPool | NetworkStats> =
  Layer.scoped(Router, make)
