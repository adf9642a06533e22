/**
 * The network as an application sees it: one service that starts and stops a node, connects it, and sends and receives
 * typed messages.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ConnectionPool from "./ConnectionPool.js"
import * as Discovery from "./Discovery.js"
import * as Heartbeat from "./Heartbeat.js"
import * as Access from "./internal/Access.js"
import { Samples } from "./internal/Samples.js"
import * as LocalNode from "./LocalNode.js"
import type { JsonObject } from "./Message.js"
import type { MessageType, Received, RequestType } from "./MessageType.js"
import { NetworkConfig } from "./NetworkConfig.js"
import { AddressInvalid, ConfigInvalid, IdentityMismatch, NetworkNotRunning } from "./NetworkError.js"
import type {
  BatchFailed,
  ConnectError,
  HandlerExists,
  ListenFailed,
  MessageTooLarge,
  PayloadInvalid,
  RequestError,
  SendError
} from "./NetworkError.js"
import { annotatePeer, logPeer } from "./NetworkLogger.js"
import * as NetworkStats from "./NetworkStats.js"
import * as NodeId from "./NodeId.js"
import type { NodeIdentity } from "./NodeIdentity.js"
import type { AccessLists, BroadcastReceipt, NetworkEvent, NetworkStatus, Peer, PeerStatus } from "./Peer.js"
import * as PeerAddress from "./PeerAddress.js"
import * as PeerBook from "./PeerBook.js"
import * as Policy from "./Policy.js"
import * as Handler from "./Handler.js"
import * as Router from "./Router.js"
import type { Transport } from "./Transport.js"

/**
 * The network service. Sending is at most once; see docs/GUARANTEES.md for what is promised.
 *
 * @since 0.1.0
 * @category tags
 */
export class P2PNetwork extends Context.Tag("synapse-p2p/P2PNetwork")<
  P2PNetwork,
  {
    readonly nodeId: NodeId.NodeId
    /** Listens, dials the bootstrap peers, and keeps going. Idempotent; works again after `stop`, as a new session. */
    readonly start: Effect.Effect<void, ListenFailed>
    /** Sends what is queued, says goodbye and closes every connection, within `shutdownGrace`. Idempotent. */
    readonly stop: Effect.Effect<void>
    /**
     * A connected peer at that address (`host:port`); an existing connection is reused. Transient failures are tried
     * again with back-off for `retryFor` (default 10 seconds). With `id`, only that node will do.
     */
    readonly connect: (
      address: PeerAddress.PeerAddress | string,
      options?: { readonly id?: string; readonly retryFor?: Duration.DurationInput }
    ) => Effect.Effect<Peer, ConnectError>
    /** Closes with grace. The peer is not dialed again until `connect`, or until it dials us. Nothing if not connected. */
    readonly disconnect: (peer: string) => Effect.Effect<void>
    /** The lists of who may be connected, as they are now. */
    readonly access: Effect.Effect<AccessLists>
    /**
     * Changes the lists of who may be connected, those that are given, at once and until the layer closes; the settings
     * keep what they are. Live connections of peers that the lists do not let in any more are closed. Fails with
     * `ConfigInvalid` where one is not a node id, or not one that a key can have and nodes have keys; nothing is changed
     * then.
     */
    readonly setAccess: (lists: {
      readonly allow?: ReadonlyArray<string>
      readonly deny?: ReadonlyArray<string>
    }) => Effect.Effect<void, ConfigInvalid>
    /**
     * Succeeds with the message's id when it is handed to the connection; waits while the queue is full, up to
     * `sendTimeout`, and now and then for what was written before to be told of, so that who sends without end leaves the
     * event loop its turns; a millisecond at most where the peer has not read what is on its way. Delivery is in order and at
     * most once. With `relay`, to a peer that is not connected it goes over others, and success means that one of them at least
     * has been handed it.
     */
    readonly sendMessage: <A, I>(
      peer: string,
      type: MessageType<A, I>,
      payload: A,
      options?: Router.SendOptions
    ) => Effect.Effect<string, SendError>
    /** Many messages of one type at once, in order: their ids. When it fails it says how many were taken. */
    readonly sendMessages: <A, I>(
      peer: string,
      type: MessageType<A, I>,
      payloads: Iterable<A>
    ) => Effect.Effect<ReadonlyArray<string>, BatchFailed>
    /**
     * Asks a peer and waits for the answer, up to `timeout` (default `requestTimeout`). With `relay`, one that is not
     * connected is asked over others.
     */
    readonly request: <A, B, F, I>(
      peer: string,
      type: RequestType<A, B, F, I>,
      payload: A,
      options?: { readonly timeout?: Duration.DurationInput; readonly relay?: boolean }
    ) => Effect.Effect<B, RequestError | F>
    /** Sends to the whole network. One slow peer delays the others by `sendTimeout` at most, once. */
    readonly broadcast: <A, I>(
      type: MessageType<A, I>,
      payload: A
    ) => Effect.Effect<BroadcastReceipt, PayloadInvalid | MessageTooLarge | NetworkNotRunning>
    /**
     * Handles messages of a type, until the scope closes. One-way messages of a peer come one after the other, in order;
     * requests start in order and run side by side. A failing handler is logged and counted. For a request type, the
     * handler's value is the answer and its typed failure the refusal.
     */
    readonly handle: {
      <A, B, F, I, R>(
        type: RequestType<A, B, F, I>,
        handler: (message: Received<A>) => Effect.Effect<B, F, R>
      ): Effect.Effect<void, HandlerExists, R | Scope.Scope>
      <A, I, E, R>(
        type: MessageType<A, I>,
        handler: (message: Received<A>) => Effect.Effect<unknown, E, R>
      ): Effect.Effect<void, HandlerExists, R | Scope.Scope>
    }
    /**
     * Handles every application type that has no handler of its own: for gateways. A request is answered with the
     * handler's value, or refused with its failure; the value for a one-way message is not used.
     */
    readonly handleOther: <R>(
      handler: (message: Received<JsonObject>) => Effect.Effect<JsonObject, unknown, R>
    ) => Effect.Effect<void, HandlerExists, R | Scope.Scope>
    /**
     * One-way messages of a type as they come. May be taken many times; counts as listening for that type while it
     * runs. A stream that is not read holds up the peers that send: back-pressure.
     */
    readonly messages: <A, I>(type: MessageType<A, I>) => Stream.Stream<Received<A>>
    /** The nodes this one has shaken hands with; with `status` or `tags`, those to which all of it applies. */
    readonly peers: (filter?: {
      readonly status?: PeerStatus | ReadonlyArray<PeerStatus>
      readonly tags?: Readonly<Record<string, string>>
    }) => Effect.Effect<ReadonlyArray<Peer>>
    readonly peer: (id: string) => Effect.Effect<Option.Option<Peer>>
    /** What happens from now on. A reader that is too slow misses the oldest of the last 4,096. */
    readonly events: Stream.Stream<NetworkEvent>
    /** Waits until `n` peers are connected: those. */
    readonly waitForPeers: (n: number) => Effect.Effect<ReadonlyArray<Peer>>
    readonly status: Effect.Effect<NetworkStatus>
  }
>() {}

/**
 * `handlers` stand before the node listens or dials, so no message is missed at the start. `autoStart`: default true.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<out R = never> {
  readonly handlers?: ReadonlyArray<Handler.Handler<R>>
  readonly autoStart?: boolean
}

/** Events that a slow reader may be behind. */
const eventCapacity = 4096

const connectFor = Duration.seconds(10)

/** Why the last connection of a peer ended. */
type PoolError = Extract<ConnectionPool.PoolEvent, { readonly _tag: "Ended" }>["error"]

const shown = (error: { readonly _tag: string; readonly message: string }) => ({
  _tag: error._tag,
  message: error.message
})

/**
 * Scope: stops the node, with grace.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R = never>(options: Options<R> = {}) =>
  Effect.gen(function* () {
    const config = yield* NetworkConfig
    const node = yield* LocalNode.LocalNode
    const hasKey = node.credentials !== undefined
    const book = yield* PeerBook.PeerBook
    const pool = yield* ConnectionPool.ConnectionPool
    const stats = yield* NetworkStats.NetworkStats
    const heartbeat = yield* Heartbeat.Heartbeat
    const discovery = yield* Discovery.Discovery
    const router = yield* Router.Router
    const { deadlines } = node
    /** Made for the first who listens: it holds places for all the events it may keep. */
    let listened: PubSub.PubSub<NetworkEvent> | undefined
    const exclusive = yield* Effect.makeSemaphore(1)
    const whenConnected = new Set<() => void>()
    const whenStopped = new Set<() => void>()

    /** What runs between start and stop: the listener with the heartbeat, and the search for peers. */
    let running: { readonly service: Scope.CloseableScope; readonly search: Scope.CloseableScope } | undefined
    let address: PeerAddress.PeerAddress | undefined
    let startedAt: number | undefined
    let sessions = 0

    // --- What happened ---

    const publish = (event: NetworkEvent): Effect.Effect<void> =>
      Effect.suspend(() => (listened === undefined ? Effect.void : Effect.asVoid(PubSub.publish(listened, event))))

    const events = Stream.suspend(() =>
      Stream.fromPubSub((listened ??= Effect.runSync(PubSub.sliding<NetworkEvent>(eventCapacity))))
    )

    const lost = (peer: NodeId.NodeId, ids: ReadonlyArray<string>): Effect.Effect<void> =>
      ids.length === 0 ? Effect.void : publish({ _tag: "MessagesLost", peer, ids })

    const onOpened = (peer: Peer): Effect.Effect<void> =>
      Effect.suspend(() => {
        for (const tell of whenConnected) tell()
        return Effect.zipRight(
          logPeer(LogLevel.Info, peer, () => "peer connected"),
          publish({ _tag: "PeerConnected", peer })
        )
      })

    const onEnded = (peer: Peer, error: PoolError, unsent: ReadonlyArray<string>): Effect.Effect<void> =>
      Effect.suspend(() => {
        router.peerGone(peer.id, unsent)
        discovery.poke()
        const told = ended(peer, error)
        return unsent.length === 0 ? told : Effect.zipRight(lost(peer.id, unsent), told)
      })

    const ended = (peer: Peer, error: PoolError): Effect.Effect<void> => {
      switch (peer.status) {
        case "left":
          return Effect.zipRight(
            logPeer(LogLevel.Info, peer, () => "peer left"),
            publish({ _tag: "PeerLeft", peer })
          )
        case "dead":
          return Effect.zipRight(
            logPeer(LogLevel.Warning, peer, () => `peer is dead: ${error.message}`),
            publish({ _tag: "PeerDead", peer, error: shown(error) })
          )
        default:
          return Effect.zipRight(
            logPeer(LogLevel.Info, peer, () => `peer ${peer.status}: ${error.message}`),
            publish({ _tag: "PeerDisconnected", peer, error: shown(error) })
          )
      }
    }

    const onEvent = (event: ConnectionPool.PoolEvent): Effect.Effect<void> => {
      switch (event._tag) {
        case "Opened":
          return onOpened(event.peer)
        case "Ended":
          return onEnded(event.peer, event.error, event.unsent)
        case "Restarted":
          return Effect.suspend(() => {
            router.peerGone(event.peer.id, event.unsent)
            return lost(event.peer.id, event.unsent)
          })
        case "Lost":
          return lost(event.peer, event.unsent)
        case "Suspect":
          return Effect.zipRight(
            logPeer(LogLevel.Warning, event.peer, () => "peer is silent"),
            publish({ _tag: "PeerSuspect", peer: event.peer })
          )
        case "Recovered":
          return Effect.zipRight(
            logPeer(LogLevel.Info, event.peer, () => "peer is heard again"),
            publish({ _tag: "PeerRecovered", peer: event.peer })
          )
        case "HandshakeFailed":
          return Effect.zipRight(
            logPeer(LogLevel.Info, { ...event, id: event.error.peer }, () => `no connection: ${event.error.message}`),
            publish({ ...event, error: shown(event.error) })
          )
        case "DialFailed":
          return Effect.zipRight(
            logDialFailure(event),
            publish({
              _tag: "DialFailed",
              address: event.address,
              error: shown(event.error),
              attempts: event.attempts,
              ...(event.retryIn === undefined ? {} : { retryInMs: event.retryIn })
            })
          )
        case "Conflict":
          return Effect.zipRight(
            Effect.logError(`two nodes call themselves ${event.id}: give each a node id of its own`).pipe(
              annotatePeer({ id: event.id, address: event.address, direction: "inbound" })
            ),
            publish({ _tag: "IdConflict", id: event.id, address: event.address })
          )
      }
    }

    // In the same turn, so that the first question goes out with the HELLO that was answered.
    pool.onOpened(discovery.met)

    const handleEvents = Effect.flatMap(Queue.takeAll(pool.events), (batch) =>
      Effect.forEach(batch, onEvent, { discard: true })
    )

    /** Waits for the next event, for half of what it costs to wait in its queue. */
    let wake: (() => void) | undefined
    pool.onReported(() => wake?.())
    const untilReported = Effect.async<void>((resume) => {
      wake = () => {
        wake = undefined
        resume(Effect.void)
      }
      if (Option.exists(pool.events.unsafeSize(), (size) => size > 0)) wake()
    })

    yield* Queue.poll(pool.events).pipe(
      Effect.flatMap(Option.match({ onNone: () => untilReported, onSome: onEvent })),
      Effect.catchAllCause((cause) => Effect.logError("an event of the network was not handled", cause)),
      Effect.forever,
      Effect.annotateLogs({ module: "P2PNetwork" }),
      Effect.interruptible,
      Effect.forkScoped
    )

    // --- Start and stop ---

    const start: Effect.Effect<void, ListenFailed> = Effect.gen(function* () {
      if (running !== undefined) return
      if (sessions++ > 0) yield* node.renewSession
      const service = yield* Scope.make()
      const search = yield* Scope.make()
      address = yield* pool.listen.pipe(
        Scope.extend(service),
        Effect.onError(() => Scope.close(service, Exit.void))
      )
      yield* heartbeat.run.pipe(Effect.interruptible, Effect.forkIn(service))
      yield* discovery.run.pipe(Effect.interruptible, Effect.forkIn(search))
      running = { service, search }
      startedAt = deadlines.now()
      yield* Effect.logInfo(`node ${node.id} listens at ${address}`)
      yield* publish({ _tag: "Listening", address })
    }).pipe(Effect.uninterruptible, exclusive.withPermits(1))

    const stop: Effect.Effect<void> = Effect.gen(function* () {
      if (running === undefined) return
      const { search, service } = running
      running = undefined
      for (const tell of whenStopped) tell()
      address = undefined
      startedAt = undefined
      yield* Scope.close(search, Exit.void)
      const begun = deadlines.now()
      yield* pool.shutdown
      const left = Duration.toMillis(config.shutdownGrace) - (deadlines.now() - begun)
      yield* router.idle.pipe(Effect.interruptible, Effect.timeoutOption(Duration.millis(Math.max(0, left))))
      yield* Scope.close(service, Exit.void)
      yield* handleEvents
      yield* Effect.logInfo(`node ${node.id} has stopped`)
      yield* publish({ _tag: "Stopped" })
    }).pipe(Effect.uninterruptible, exclusive.withPermits(1))

    /** Fails when the node stops: whoever waits to try again need not. */
    const untilStopped: Effect.Effect<never, NetworkNotRunning> = Effect.async((resume) => {
      const tell = (): void => resume(Effect.fail(new NetworkNotRunning()))
      whenStopped.add(tell)
      return Effect.sync(() => whenStopped.delete(tell))
    })

    const whileRunning = <A, E, R2>(effect: Effect.Effect<A, E, R2>): Effect.Effect<A, E | NetworkNotRunning, R2> =>
      Effect.suspend((): Effect.Effect<A, E | NetworkNotRunning, R2> =>
        running === undefined ? Effect.fail(new NetworkNotRunning()) : effect
      )

    const notRunning = (): NetworkNotRunning | undefined =>
      running === undefined ? new NetworkNotRunning() : undefined

    // --- Peers ---

    const liveAt = (target: PeerAddress.PeerAddress): NodeId.NodeId | undefined => {
      const id = PeerBook.nodeAt(book.get(), target)
      return id !== undefined && pool.unsafeLive().has(id) ? id : undefined
    }

    const connectOnce = (
      target: PeerAddress.PeerAddress,
      expect: NodeId.NodeId | undefined
    ): Effect.Effect<Peer, ConnectError> =>
      Effect.suspend((): Effect.Effect<NodeId.NodeId | undefined, ConnectError> => {
        const existing = liveAt(target)
        if (existing !== undefined) {
          return expect === undefined || expect === existing
            ? Effect.succeed(existing)
            : Effect.fail(new IdentityMismatch({ address: target, expected: expect, actual: existing }))
        }
        return Effect.map(
          pool.dial(target, { isOnce: true, ...(expect === undefined ? {} : { expect }) }),
          (connection) => connection.identity?.id
        )
      }).pipe(
        Effect.flatMap((id): Effect.Effect<Peer, ConnectError> => {
          if (id !== undefined) book.update((state) => PeerBook.requested(state, id))
          const peer = id === undefined ? undefined : pool.peer(id)
          return peer === undefined ? Effect.fail(new NetworkNotRunning()) : Effect.succeed(peer)
        })
      )

    /** What comes after a first attempt, which most often succeeds and is spared the fibers of a race and of retrying. */
    const tryAgain = (
      target: PeerAddress.PeerAddress,
      expect: NodeId.NodeId | undefined,
      retryFor: Duration.DurationInput,
      first: ConnectError
    ): Effect.Effect<Peer, ConnectError> =>
      whileRunning(
        Effect.suspend(() => {
          let failed: ConnectError | undefined = first
          const attempt = Effect.suspend(() => {
            const error = failed
            failed = undefined
            return error === undefined ? connectOnce(target, expect) : Effect.fail(error)
          })
          return attempt.pipe(Effect.retry(Policy.retrySchedule(config, retryFor)), Effect.raceFirst(untilStopped))
        })
      )

    const connectedPeers = (): ReadonlyArray<Peer> =>
      pool.peers().filter(({ status }) => status === "connected" || status === "suspect")

    const status = Effect.sync((): NetworkStatus => {
      const now = deadlines.now()
      const totals = pool.totals()
      stats.publish(now, totals, pool.unsafeLive().size)
      const byStatus = { connected: 0, suspect: 0, disconnected: 0, dead: 0, left: 0, banned: 0 }
      for (const peer of HashMap.values(book.get().peers)) byStatus[peer.status]++
      let outbound = 0
      let outboundBytes = 0
      const trips = new Samples(Infinity)
      for (const connection of pool.opened()) {
        outbound += connection.outbox.queued
        outboundBytes += connection.outbox.queuedBytes
        for (const trip of connection.roundTrips.values) trips.add(trip)
      }
      const inbound = router.waiting()
      const dialing = [...HashMap.values(book.get().addresses)].filter(
        (record) => record.nextAt !== Infinity && (record.id === undefined || !pool.unsafeLive().has(record.id))
      )
      return {
        nodeId: node.id,
        running: running !== undefined,
        ...(address === undefined ? {} : { address }),
        advertised: pool.advertised(),
        network: config.network,
        uptimeMs: startedAt === undefined ? 0 : now - startedAt,
        peers: byStatus,
        connections: pool.counts(),
        dialing: dialing.map((record) => dialed(record, now)),
        messages: { in: totals.messagesIn, out: totals.messagesOut },
        bytes: { in: totals.bytesIn, out: totals.bytesOut },
        rates: {
          messages: { in: stats.rate("messagesIn"), out: stats.rate("messagesOut") },
          bytes: { in: stats.rate("bytesIn"), out: stats.rate("bytesOut") }
        },
        queued: {
          outbound,
          outboundBytes,
          inbound: inbound.messages,
          inboundBytes: inbound.bytes,
          requests: router.openRequests()
        },
        counts: stats.counts,
        errors: stats.errors,
        ...(trips.count === 0
          ? {}
          : {
              roundTrip: {
                p50Ms: trips.quantile(0.5) ?? 0,
                p90Ms: trips.quantile(0.9) ?? 0,
                p99Ms: trips.quantile(0.99) ?? 0
              }
            })
      }
    })

    const register = <R2>(handler: Handler.Handler<R2>): Effect.Effect<void, HandlerExists, R2 | Scope.Scope> =>
      Effect.flatMap(Effect.context<R2>(), (context) => router.handle(handler, context))

    // One implementation for both kinds of type: the handler's shape follows from the type's.
    const handle: P2PNetwork["Type"]["handle"] = <A, I, E, R2>(
      type: MessageType<A, I>,
      run: (message: Received<A>) => Effect.Effect<unknown, E, R2>
    ) => register(Handler.make(type, run))

    const network = P2PNetwork.of({
      nodeId: node.id,
      start,
      stop,
      connect: (given, { id, retryFor = connectFor } = {}) =>
        whileRunning(
          Effect.suspend((): Effect.Effect<Peer, ConnectError> => {
            const target = parseAddress(given)
            if (Either.isLeft(target)) return Effect.fail(target.left)
            if (id !== undefined && !NodeId.is(id)) {
              const detail = `"${id}" is not a node id: 1 to 128 of A-Z a-z 0-9 . _ : -`
              return Effect.fail(new AddressInvalid({ detail }))
            }
            return Effect.catchAll(connectOnce(target.right, id), (error) =>
              tryAgain(target.right, id, retryFor, error)
            )
          })
        ),
      disconnect: (peer) => (NodeId.is(peer) ? pool.disconnect(peer) : Effect.void),
      access: Effect.sync(pool.access),
      setAccess: (lists) =>
        Effect.map(
          Effect.all({ allow: listed("allow", lists.allow, hasKey), deny: listed("deny", lists.deny, hasKey) }),
          ({ allow, deny }) => pool.setAccess({ ...(allow && { allow }), ...(deny && { deny }) })
        ),
      // The router asks whether the network runs, which spares an Effect around each message.
      sendMessage: (peer, type, payload, sendOptions) =>
        router.sendMessage(peer, type, payload, sendOptions, notRunning),
      sendMessages: (peer, type, payloads) => router.sendMessages(peer, type, payloads, notRunning),
      request: (peer, type, payload, requestOptions) =>
        router.request(
          peer,
          type,
          payload,
          requestOptions && {
            relay: requestOptions.relay,
            timeout: requestOptions.timeout === undefined ? undefined : Duration.decode(requestOptions.timeout)
          },
          notRunning
        ),
      broadcast: (type, payload) => whileRunning(router.broadcast(type, payload)),
      handle,
      handleOther: (run) => register(Handler.other(run)),
      messages: router.messages,
      peers: (filter = {}) => Effect.sync(() => pool.peers().filter((peer) => matches(peer, filter))),
      peer: (id) => Effect.sync(() => (NodeId.is(id) ? Option.fromNullable(pool.peer(id)) : Option.none())),
      events,
      waitForPeers: (n) =>
        Effect.async((resume) => {
          const check = (): void => {
            // Each connected peer is live: as long as these are too few, as after most events, nobody need be shown.
            if (pool.unsafeLive().size < n) return
            const peers = connectedPeers()
            if (peers.length < n) return
            whenConnected.delete(check)
            resume(Effect.succeed(peers))
          }
          whenConnected.add(check)
          check()
          return Effect.sync(() => whenConnected.delete(check))
        }),
      status
    })

    for (const handler of options.handlers ?? []) yield* register(handler)
    // Handlers outlive the connections, so that what comes in while the node stops is still handled.
    yield* Effect.addFinalizer(() => stop)
    if (options.autoStart !== false) yield* start
    return network
  })

const logDialFailure = (event: Extract<ConnectionPool.PoolEvent, { readonly _tag: "DialFailed" }>) => {
  // The first failure is worth a line, the next ones are more of the same; an attempt that is not made again is somebody's
  // own, who is told.
  const isNews = event.attempts === 1 && event.retryIn !== undefined
  return logPeer(
    isNews ? LogLevel.Info : LogLevel.Debug,
    { address: event.address, direction: "outbound" },
    () =>
      `dialing failed: ${event.error.message}${
        event.retryIn === undefined ? "" : `; next attempt in ${Math.round(event.retryIn)} ms`
      }`
  )
}

const dialed = (
  { address, attempts, error, nextAt }: PeerBook.AddressRecord,
  now: number
): NetworkStatus["dialing"][number] => ({
  address,
  attempts,
  ...(error === undefined ? {} : { error }),
  nextAttemptInMs: Math.max(0, nextAt - now)
})

const parseAddress = (
  given: PeerAddress.PeerAddress | string
): Either.Either<PeerAddress.PeerAddress, AddressInvalid> =>
  typeof given === "string"
    ? Either.mapLeft(PeerAddress.parse(given), (detail) => new AddressInvalid({ detail }))
    : Either.right(given)

const listed = (
  key: string,
  ids: ReadonlyArray<string> | undefined,
  areOfKeys: boolean
): Either.Either<ReadonlyArray<NodeId.NodeId> | undefined, ConfigInvalid> => {
  const wrong = ids?.find((id) => !NodeId.is(id) || (areOfKeys && !Access.isOfKey(id)))
  const expected = areOfKeys ? Access.idsOfKeys : "node ids"
  return wrong === undefined
    ? Either.right(ids?.filter(NodeId.is))
    : Either.left(new ConfigInvalid({ issues: [{ key, value: JSON.stringify(wrong), expected }] }))
}

const matches = (
  peer: Peer,
  filter: {
    readonly status?: PeerStatus | ReadonlyArray<PeerStatus>
    readonly tags?: Readonly<Record<string, string>>
  }
): boolean =>
  (filter.status === undefined || [filter.status].flat().includes(peer.status)) &&
  Object.entries(filter.tags ?? {}).every(
    ([name, value]) => Object.hasOwn(peer.tags, name) && peer.tags[name] === value
  )

/**
 * The network over parts that stand already: for replacing one of them.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromParts = <R = never>(options: Options<R> = {}) => Layer.scoped(P2PNetwork, make(options))

const stateOfNode = Layer.mergeAll(PeerBook.layer, NetworkStats.layer, LocalNode.layer)

const connections = ConnectionPool.layer.pipe(Layer.provideMerge(stateOfNode))

/**
 * The parts a network is made of, as they are by default.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerParts: Layer.Layer<
  | PeerBook.PeerBook
  | NetworkStats.NetworkStats
  | LocalNode.LocalNode
  | ConnectionPool.ConnectionPool
  | Heartbeat.Heartbeat
  | Discovery.Discovery
  | Router.Router,
  never,
  NetworkConfig | NodeIdentity | Transport
> = Layer.mergeAll(Heartbeat.layer, Discovery.layer, Router.layer).pipe(Layer.provideMerge(connections))

/**
 * The network over any transport. Each build is a node of its own. With `autoStart` (the default) it listens and looks
 * for peers when built, and fails with `ListenFailed`; it stops with grace when its scope closes.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(
  options: Options<R> = {}
): Layer.Layer<
  P2PNetwork,
  ListenFailed | HandlerExists,
  NetworkConfig | NodeIdentity | Transport | Exclude<R, Scope.Scope>
> => Layer.fresh(layerFromParts(options).pipe(Layer.provide(layerParts)))
