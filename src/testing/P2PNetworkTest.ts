/**
 * A layer for the tests of an application: one real node, the application's `P2PNetwork`, in a network that the test
 * plays. Peers come, talk, answer, hang and go as the test says; what the application sends is kept; what it does next
 * can be made to fail. No sockets, and no time passes unless the test moves its clock.
 *
 * The peers are real nodes too, on one network in memory, which do nothing by themselves: so validation, order, limits
 * and failures are the real ones. To know when a message has been handled the peers send a mark after it, a request
 * that the application does not see; `status` counts it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { Gates } from "../internal/testing/Gates.js"
import { stopNow } from "../internal/testing/Hurry.js"
import { Marks } from "../internal/testing/Marks.js"
import { ObservedNetwork } from "../internal/testing/ObservedNetwork.js"
import { ScriptedPeer } from "../internal/testing/ScriptedPeer.js"
import type { Given } from "../internal/testing/SentMessages.js"
import type { JsonObject } from "../Message.js"
import * as MessageType from "../MessageType.js"
import type * as NetworkConfig from "../NetworkConfig.js"
import type {
  BatchFailed,
  ConfigInvalid,
  ConnectError,
  HandlerExists,
  ListenFailed,
  MessageTooLarge,
  NetworkNotRunning,
  PayloadInvalid,
  RequestError,
  SendError
} from "../NetworkError.js"
import type { NodeId } from "../NodeId.js"
import { P2PNetwork } from "../P2PNetwork.js"
import type { BroadcastReceipt } from "../Peer.js"
import type { ExpectationFailed, Patience, Wanted } from "./Expect.js"
import * as MemoryTransport from "./MemoryTransport.js"
import * as P2PNetworkMemory from "./P2PNetworkMemory.js"

// --- What was sent ---

/**
 * Something that the application sent. A `message` or a `request` went `to` one peer; a `broadcast` to those that it
 * was handed to, which may be none.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sent<out A> {
  readonly kind: "message" | "request" | "broadcast"
  readonly type: string
  readonly payload: A
  readonly to: ReadonlyArray<NodeId>
}

/**
 * `to`: only what went to that peer, broadcasts included.
 *
 * @since 0.1.0
 * @category models
 */
export interface SentFilter {
  readonly to?: string | undefined
}

/**
 * What can be made to fail, and with which errors.
 *
 * @since 0.1.0
 * @category models
 */
export interface Failures {
  readonly start: ListenFailed
  readonly connect: ConnectError
  readonly sendMessage: SendError
  readonly sendMessages: BatchFailed
  readonly request: RequestError
  readonly broadcast: PayloadInvalid | MessageTooLarge | NetworkNotRunning
}

// --- Peers ---

/**
 * Settings of a peer: `tags`, `agent`, `maxMessageBytes` and the like. It listens at its id.
 *
 * @since 0.1.0
 * @category models
 */
export type PeerOptions = Omit<NetworkConfig.Input, "nodeId" | "host" | "bootstrap">

/**
 * `await`: `handled` (the default) waits until the application's handler has ended, and its readers of `messages` have
 * taken the message (or wait for something else by then: they get 1,000 turns of the scheduler); `nothing` returns once
 * the peer has handed the message to its connection, for handlers that do not end by themselves. A frozen peer waits
 * for nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeliverOptions {
  readonly await?: "handled" | "nothing"
}

/**
 * A peer that the test plays.
 *
 * @since 0.1.0
 * @category models
 */
export interface TestPeer {
  readonly id: NodeId
  /** Where the application can connect to it. */
  readonly address: string
  /** Its node of the moment, for what is not here. Dies while the peer is gone. */
  readonly node: Effect.Effect<P2PNetwork["Type"]>
  /**
   * Dials the application's node; returns when that shows it as connected and readers of `events` have been told. A
   * peer never dials by itself.
   */
  readonly connect: Effect.Effect<void, ConnectError>

  // What it says

  /**
   * Sends a message to the application: its id. Returns when it was handled, whatever came of that; see
   * {@link DeliverOptions}.
   */
  readonly send: <A, I>(
    type: MessageType.MessageType<A, I>,
    payload: A,
    options?: DeliverOptions
  ) => Effect.Effect<string, SendError>
  /** The same for any JSON object under the name of a type: one that does not fit its schema, or that nobody knows. */
  readonly sendJson: (
    type: string | { readonly name: string },
    payload: JsonObject,
    options?: DeliverOptions
  ) => Effect.Effect<string, SendError>
  /** The same as a message to the whole network. */
  readonly broadcast: <A, I>(
    type: MessageType.MessageType<A, I>,
    payload: A,
    options?: DeliverOptions
  ) => Effect.Effect<BroadcastReceipt, PayloadInvalid | MessageTooLarge | NetworkNotRunning>
  /** Asks the application: its answer, or its typed failure. */
  readonly request: <A, B, F, I>(
    type: MessageType.RequestType<A, B, F, I>,
    payload: A,
    options?: { readonly timeout?: Duration.DurationInput }
  ) => Effect.Effect<B, RequestError | F>

  // What it answers

  /**
   * What the peer does with messages of a type, from now on and in later sessions, in place of what it did before. For
   * a request the value is the answer, the failure the refusal, and `Effect.never` no answer at all; an answer that
   * does not fit is given with `MessageType.jsonRequest`. Without a script one-way messages are taken in silence, and
   * requests refused with `UnsupportedType`.
   */
  readonly handle: {
    <A, B, F, I, R>(
      type: MessageType.RequestType<A, B, F, I>,
      handler: (message: MessageType.Received<A>) => Effect.Effect<B, F, R>
    ): Effect.Effect<void, never, Exclude<R, Scope.Scope>>
    <A, I, E, R>(
      type: MessageType.MessageType<A, I>,
      handler: (message: MessageType.Received<A>) => Effect.Effect<unknown, E, R>
    ): Effect.Effect<void, never, Exclude<R, Scope.Scope>>
  }

  // What the application sent to it

  /** What the application sent to this peer so far, broadcasts included, in order. */
  readonly sent: P2PNetworkTest["Type"]["sent"]
  /** The next such message of a type that this was not given yet; waits for it as {@link P2PNetworkTest} does. */
  readonly nextSent: P2PNetworkTest["Type"]["nextSent"]

  // How it goes. Each returns when the application's node shows it, and readers of `events` have been told. A peer that
  // was stalled or frozen resumes first.

  /** Says goodbye and stops: `left`. Does nothing if it is gone. */
  readonly leave: Effect.Effect<void>
  /** Closes the connection with grace and stays where it is: `disconnected`. */
  readonly disconnect: Effect.Effect<void>
  /** Its process dies, and its machine says so: `dead`. */
  readonly vanish: Effect.Effect<void>
  /**
   * Its machine dies: nobody says anything, and the application's node takes it for connected until `heartbeatTimeout`,
   * when it is `dead`. Returns at once.
   */
  readonly vanishSilently: Effect.Effect<void>
  /**
   * The connection breaks, both nodes live: `dead`, until the application's node has dialed it again, or it {@link
   * connect}s.
   */
  readonly drop: Effect.Effect<void>
  /**
   * Starts again, with the same id and a new session, and connects. If it had not gone, its process died and the
   * application's node learns that from the new session.
   */
  readonly restart: Effect.Effect<void, ConnectError>
  /**
   * Reads no more, but lives: what is sent to it waits in the application's node. The first message is taken (it is
   * being written), then the queue fills up: with `outboundQueue: 1` the third one waits for `sendTimeout`. After
   * `slowConsumerTimeout` it is given up.
   */
  readonly stall: Effect.Effect<void>
  /** Neither reads nor says anything: `suspect` after half of `heartbeatTimeout`, then `dead`. */
  readonly freeze: Effect.Effect<void>
  /** Ends {@link stall} and {@link freeze}: what waited goes on its way. */
  readonly resume: Effect.Effect<void>
}

// --- The service ---

/**
 * The outside of the application's node, for the test to play.
 *
 * @since 0.1.0
 * @category tags
 */
export class P2PNetworkTest extends Context.Tag("synapse-p2p/testing/P2PNetworkTest")<
  P2PNetworkTest,
  {
    /**
     * A new peer comes and connects; returns when the application's node shows it as connected and readers of `events`
     * have been told. Dies where the settings are wrong or a peer of that id is there already. Peers stop with the
     * layer.
     */
    readonly join: (id: string, options?: PeerOptions) => Effect.Effect<TestPeer, ConnectError>
    /** A new peer that listens at `<id>:9470`, for the application to connect to. Dies as `join` does. */
    readonly listen: (id: string, options?: PeerOptions) => Effect.Effect<TestPeer>
    /**
     * What the application sent so far, in order, of that type or of every type: what was handed to a connection, and
     * each broadcast. A request is in it from when it waits for its answer. Answers of its handlers and messages that
     * it passes on are not in it.
     */
    readonly sent: {
      (filter?: SentFilter): Effect.Effect<ReadonlyArray<Sent<unknown>>>
      <A, I>(type: MessageType.MessageType<A, I>, filter?: SentFilter): Effect.Effect<ReadonlyArray<Sent<A>>>
    }
    /**
     * The next message of the type that this was not given yet; waits for it up to `within` (default 4 seconds) by the
     * Clock in use. The failure lists what was sent instead.
     */
    readonly nextSent: <A, I>(
      type: MessageType.MessageType<A, I>,
      options?: SentFilter & Patience
    ) => Effect.Effect<Sent<A>, ExpectationFailed>
    /** A message of the type was sent, with that payload: the first. Without `within` now, as `Expect` has it. */
    readonly expectSent: <A, I>(
      type: MessageType.MessageType<A, I>,
      payload?: Wanted<A>,
      options?: SentFilter & Patience
    ) => Effect.Effect<Sent<A>, ExpectationFailed>
    /** Nothing was sent, or nothing of that type, once what is under way has come to rest. */
    readonly expectNothingSent: {
      (filter?: SentFilter): Effect.Effect<void, ExpectationFailed>
      <A, I>(type: MessageType.MessageType<A, I>, filter?: SentFilter): Effect.Effect<void, ExpectationFailed>
    }
    /**
     * The next use of an operation by the application fails so, and has no other effect; with `times`, the next uses.
     * For a request that a peer refuses, script the peer.
     */
    readonly failNext: <Op extends keyof Failures>(
      operation: Op,
      error: Failures[Op],
      options?: { readonly times?: number }
    ) => Effect.Effect<void>
  }
>() {
  /**
   * The application's network and its outside, a new one each time it is built. `options` are those of the
   * application's node, which is called `app` where they do not say otherwise. Closing takes no time: handlers that are
   * not done are interrupted.
   */
  static readonly layer = <R = never>(
    options: P2PNetworkMemory.Options<R> = {}
  ): Layer.Layer<P2PNetwork | P2PNetworkTest, ListenFailed | HandlerExists | ConfigInvalid, Exclude<R, Scope.Scope>> =>
    Layer.scopedContext(make(options))
}

const nextWithin = Duration.seconds(4)

/** Scope: stops the node and its peers. */
const make = <R = never>(options: P2PNetworkMemory.Options<R> = {}) =>
  Effect.gen(function* () {
    const memory = MemoryTransport.makeNetwork()
    const gates = new Gates()
    const marks = new Marks()
    const inner = yield* P2PNetworkMemory.make<R>({
      nodeId: "app",
      ...options,
      handlers: [...(options.handlers ?? []), marks.handler]
    }).pipe(
      Effect.provideService(MemoryTransport.MemoryNetwork, {
        ...memory,
        transport: (host) => gates.through(memory.transport(host))
      })
    )
    const network = new ObservedNetwork(inner)
    const peers = new Map<string, ScriptedPeer>()

    yield* Effect.addFinalizer(() =>
      Effect.zipRight(
        Effect.forEach(peers.values(), (peer) => peer.end, { discard: true }),
        stopNow(inner)
      )
    )
    const outside = yield* ScriptedPeer.outside({ application: inner, gates, marks, memory, network })

    const listen = (id: string, peerOptions: PeerOptions = {}): Effect.Effect<TestPeer> =>
      Effect.gen(function* () {
        if (peers.get(id)?.isThere === true) {
          return yield* Effect.dieMessage(`the peer ${id} is there already: use what join or listen gave`)
        }
        const peer = new ScriptedPeer(outside, id, peerOptions)
        yield* peer.begin
        peers.set(id, peer)
        return testPeer(peer, network)
      })

    const control = P2PNetworkTest.of({
      listen,
      join: (id, peerOptions) => Effect.tap(listen(id, peerOptions), (peer) => peer.connect),
      ...looking(network, undefined),
      expectSent: (type, payload, { to, within } = {}) =>
        Effect.suspend(() => network.sent.expect(type, payload, { to }, within)),
      expectNothingSent: <A, I>(first?: MessageType.MessageType<A, I> | SentFilter, filter: SentFilter = {}) =>
        isType<A, I>(first) ? network.sent.expectNone(first, filter) : network.sent.expectNone(undefined, first ?? {}),
      failNext: (operation, error, { times = 1 } = {}) =>
        Effect.sync(() =>
          network.fail(
            operation,
            Array.from({ length: times }, () => error)
          )
        )
    })
    return Context.make(P2PNetwork, network.service).pipe(Context.add(P2PNetworkTest, control))
  })

const isType = <A, I>(
  first: MessageType.MessageType<A, I> | SentFilter | undefined
): first is MessageType.MessageType<A, I> => first !== undefined && "name" in first

/** Looking at what was sent, to one peer or to all. */
const looking = (
  { sent }: ObservedNetwork,
  peer: string | undefined
): Pick<P2PNetworkTest["Type"], "sent" | "nextSent"> => {
  const given: Given = new Set()
  return {
    sent: <A, I>(first?: MessageType.MessageType<A, I> | SentFilter, filter: SentFilter = {}) =>
      Effect.sync(() =>
        isType<A, I>(first) ? sent.of(first, { to: peer, ...filter }) : sent.of<A, I>(undefined, { to: peer, ...first })
      ),
    nextSent: (type, { to = peer, within = nextWithin } = {}) =>
      Effect.suspend(() => sent.next(given, type, { to }, within))
  }
}

const testPeer = (peer: ScriptedPeer, network: ObservedNetwork): TestPeer => ({
  id: peer.id,
  address: peer.address,
  node: peer.node,
  connect: peer.connect,
  send: peer.send,
  sendJson: (type, payload, options) =>
    peer.send(MessageType.json(typeof type === "string" ? type : type.name), payload, options),
  broadcast: peer.broadcast,
  request: peer.request,
  handle: peer.handle,
  ...looking(network, peer.id),
  leave: peer.leave,
  disconnect: peer.disconnect,
  vanish: peer.vanish,
  vanishSilently: peer.vanishSilently,
  drop: peer.drop,
  restart: peer.restart,
  stall: peer.hold({ toHost: true, fromHost: false }),
  freeze: peer.hold({ toHost: true, fromHost: true }),
  resume: peer.hold({ toHost: false, fromHost: false })
})
