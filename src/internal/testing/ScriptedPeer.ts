/**
 * A peer of the node under test: a real node that does nothing by itself, whose links can be cut and held up.
 *
 * @internal
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Context from "effect/Context"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Handler from "../../Handler.js"
import type { MessageType, Received, RequestType } from "../../MessageType.js"
import { DialRefused, NetworkNotRunning, type ConnectError } from "../../NetworkError.js"
import * as NodeId from "../../NodeId.js"
import { P2PNetwork } from "../../P2PNetwork.js"
import type { NetworkEvent } from "../../Peer.js"
import { MemoryNetwork } from "../../testing/MemoryTransport.js"
import * as P2PNetworkMemory from "../../testing/P2PNetworkMemory.js"
import type { DeliverOptions, PeerOptions, TestPeer } from "../../testing/P2PNetworkTest.js"
import type { Gates, Held } from "./Gates.js"
import { stopNow } from "./Hurry.js"
import type { Marks } from "./Marks.js"
import type { ObservedNetwork } from "./ObservedNetwork.js"
import { follow, Listeners } from "./Waiting.js"

type Network = P2PNetwork["Type"]

/** What the peers of one node share. */
export interface Outside {
  readonly application: Network
  readonly gates: Gates
  readonly marks: Marks
  readonly memory: MemoryNetwork["Type"]
  readonly network: ObservedNetwork
  /** What happened at the application's node. */
  readonly events: ReadonlyArray<NetworkEvent>
  readonly happened: Listeners
}

interface Script {
  readonly register: (node: Network) => Effect.Effect<void, never, Scope.Scope>
  /** Of the handler at the node of the moment. */
  readonly scope: Scope.CloseableScope
}

interface Session {
  readonly node: Network
  readonly scope: Scope.CloseableScope
}

/** One connection is all it wants, and what happens between the two is up to the other. */
const passive = {
  targetPeers: 1,
  discoveryInterval: "24 hours",
  healingInterval: "24 hours",
  heartbeatInterval: "12 hours",
  heartbeatTimeout: "24 hours",
  retryBase: "24 hours",
  retryMax: "24 hours"
} as const

/** One-way messages that nobody listens for are taken all the same. */
const taken: Handler.Handler<never> = {
  type: undefined,
  answers: false,
  run: () => Effect.succeed({}),
  take: () => Effect.void
}

const arrivals: ReadonlyArray<NetworkEvent["_tag"]> = ["PeerConnected"]
const departures: ReadonlyArray<NetworkEvent["_tag"]> = ["PeerLeft", "PeerDead", "PeerDisconnected"]

export class ScriptedPeer {
  readonly id: NodeId.NodeId
  readonly address: string
  private readonly outside: Outside
  private readonly options: PeerOptions
  private readonly scripts = new Map<string, Script>()
  private session: Session | undefined
  private mayDial = false
  private held: Held = { toHost: false, fromHost: false }

  constructor(outside: Outside, id: string, options: PeerOptions) {
    this.outside = outside
    this.id = NodeId.make(id)
    this.options = options
    this.address = `${id}:${options.port ?? 9470}`
  }

  /** Begins to note what happens at the application's node. */
  static readonly outside = (parts: Omit<Outside, "events" | "happened">): Effect.Effect<Outside, never, Scope.Scope> =>
    Effect.gen(function* () {
      const events: Array<NetworkEvent> = []
      const happened = new Listeners()
      yield* follow(parts.application.events, (event) => {
        events.push(event)
        happened.tell()
      })
      return { ...parts, events, happened }
    })

  get isThere(): boolean {
    return this.session !== undefined
  }

  readonly node: Effect.Effect<Network> = Effect.suspend(() =>
    this.session === undefined
      ? Effect.dieMessage(`the peer ${this.id} is gone: restart it first`)
      : Effect.succeed(this.session.node)
  )

  // --- Its life ---

  /** Its node, which listens and waits. */
  readonly begin: Effect.Effect<void> = Effect.suspend(
    () =>
      Effect.gen(this, function* () {
        const { memory } = this.outside
        const scope = yield* Scope.make()
        const transport: MemoryNetwork["Type"]["transport"] = (host) => {
          const inner = memory.transport(host)
          return {
            ...inner,
            dial: (address) => (this.mayDial ? inner.dial(address) : Effect.fail(new DialRefused({ address })))
          }
        }
        const layer = P2PNetworkMemory.layer({ ...passive, ...this.options, nodeId: this.id, handlers: [taken] })
        const context = yield* Layer.buildWithScope(
          Layer.provide(layer, Layer.succeed(MemoryNetwork, { ...memory, transport })),
          scope
        )
        const node = Context.get(context, P2PNetwork)
        this.session = { node, scope }
        for (const [name, { register }] of this.scripts) yield* this.put(name, register)
      })
    // Wherever a test calls it: handlers run with the flags of who builds the node, and must be interruptible.
  ).pipe(Effect.orDie, Effect.interruptible)

  readonly connect: Effect.Effect<void, ConnectError> = Effect.suspend(() =>
    Effect.gen(this, function* () {
      const { application } = this.outside
      const node = yield* this.node
      const { address } = yield* application.status
      if (address === undefined) return yield* new NetworkNotRunning()
      const wasConnected = yield* this.isConnected
      const from = this.outside.events.length
      this.mayDial = true
      yield* node
        .connect(address, { id: application.nodeId, retryFor: 0 })
        .pipe(Effect.ensuring(Effect.sync(() => (this.mayDial = false))))
      yield* this.allHandled
      if (!wasConnected) yield* this.hasHappened(arrivals, from)
    })
  )

  readonly leave: Effect.Effect<void> = Effect.suspend(() => this.ending((node) => stopNow(node), true))

  readonly disconnect: Effect.Effect<void> = Effect.suspend(() =>
    this.ending((node) => node.disconnect(this.outside.application.nodeId), false)
  )

  readonly vanish: Effect.Effect<void> = Effect.suspend(() => this.ending(() => this.cut, true))

  readonly drop: Effect.Effect<void> = Effect.suspend(() => this.ending(() => this.cut, false))

  readonly vanishSilently: Effect.Effect<void> = Effect.suspend(() =>
    Effect.sync(() => this.outside.gates.sever(this.id))
  ).pipe(Effect.zipRight(Effect.suspend(() => this.closeSession)))

  readonly restart: Effect.Effect<void, ConnectError> = Effect.suspend(() =>
    this.vanishSilently.pipe(
      Effect.zipRight(this.hold({ toHost: false, fromHost: false })),
      Effect.zipRight(this.begin),
      Effect.zipRight(this.connect)
    )
  )

  /** For good, in no time, and without waiting for anybody. */
  readonly end: Effect.Effect<void> = Effect.suspend(() => Effect.zipRight(this.cut, this.closeSession))

  readonly hold = (held: Held): Effect.Effect<void> =>
    Effect.sync(() => {
      this.held = held
      this.outside.gates.hold(this.id, held)
    })

  private readonly cut: Effect.Effect<void> = Effect.sync(() => this.outside.gates.cut(this.id))

  private readonly closeSession: Effect.Effect<void> = Effect.suspend(() => {
    const { session } = this
    if (session === undefined) return Effect.void
    this.session = undefined
    return Effect.zipRight(stopNow(session.node), Scope.close(session.scope, Exit.void))
  })

  /** Ends the connection and waits until that is known at the other end. */
  private ending(how: (node: Network) => Effect.Effect<void>, isOver: boolean): Effect.Effect<void> {
    return Effect.gen(this, function* () {
      const { session } = this
      if (session === undefined) return
      yield* this.hold({ toHost: false, fromHost: false })
      const wasConnected = yield* this.isConnected
      const from = this.outside.events.length
      yield* how(session.node)
      if (wasConnected) yield* this.hasHappened(departures, from)
      if (isOver) yield* this.closeSession
    })
  }

  private readonly isConnected: Effect.Effect<boolean> = Effect.suspend(() =>
    Effect.map(
      this.outside.application.peer(this.id),
      Option.exists(({ status }) => status === "connected" || status === "suspect")
    )
  )

  /** Waits for such an event about this peer, and for the readers of events. */
  private hasHappened(tags: ReadonlyArray<NetworkEvent["_tag"]>, from: number): Effect.Effect<void> {
    const { events, happened, network } = this.outside
    const find = (): NetworkEvent | undefined =>
      events.slice(from).find((event) => {
        if (event._tag === "Stopped") return true
        return (
          tags.includes(event._tag) && "peer" in event && typeof event.peer === "object" && event.peer.id === this.id
        )
      })
    return Effect.gen(function* () {
      const changed = yield* Effect.makeLatch(false)
      yield* happened.watch(() => changed.unsafeOpen())
      for (;;) {
        const event = find()
        if (event !== undefined) return yield* network.eventReaders.haveSeen(event)
        changed.unsafeClose()
        yield* changed.await
      }
    }).pipe(Effect.scoped)
  }

  // --- What it says ---

  readonly send = <A, I>(type: MessageType<A, I>, payload: A, options?: DeliverOptions) =>
    this.delivering(
      type.name,
      Effect.flatMap(this.node, (node) => node.sendMessage(this.application, type, payload)),
      (id) => id,
      options
    )

  readonly broadcast = <A, I>(type: MessageType<A, I>, payload: A, options?: DeliverOptions) =>
    this.delivering(
      type.name,
      Effect.flatMap(this.node, (node) => node.broadcast(type, payload)),
      ({ id }) => id,
      options
    )

  readonly request = <A, B, F, I>(
    type: RequestType<A, B, F, I>,
    payload: A,
    options?: { readonly timeout?: Duration.DurationInput }
  ) => Effect.flatMap(this.node, (node) => node.request(this.application, type, payload, options))

  private get application(): NodeId.NodeId {
    return this.outside.application.nodeId
  }

  private delivering<A, E>(
    type: string,
    delivery: Effect.Effect<A, E>,
    idOf: (delivered: A) => string,
    options: DeliverOptions = {}
  ): Effect.Effect<A, E> {
    if (options.await === "nothing") return delivery
    return Effect.tap(delivery, (delivered) =>
      Effect.zipRight(this.allHandled, this.outside.network.readersOf(type).haveSeen(idOf(delivered)))
    )
  }

  /** A node that hears nothing handles nothing. */
  private readonly allHandled: Effect.Effect<void> = Effect.suspend(() =>
    this.held.fromHost
      ? Effect.void
      : Effect.flatMap(this.node, (node) => this.outside.marks.handled(node, this.outside.application))
  )

  // --- What it answers ---

  // One implementation for both kinds of type, as the network has it.
  readonly handle: TestPeer["handle"] = <A, I, E, R>(
    type: MessageType<A, I>,
    handler: (message: Received<A>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, Exclude<R, Scope.Scope>> =>
    Effect.flatMap(Effect.context<Exclude<R, Scope.Scope>>(), (context) =>
      this.put(type.name, (node) =>
        node
          .handle(type, (message) =>
            Effect.mapInputContext(Effect.scoped(handler(message)), (own: Context.Context<never>) =>
              Context.merge(own, context)
            )
          )
          .pipe(Effect.orDie)
      )
    )

  private put(name: string, register: Script["register"]): Effect.Effect<void> {
    return Effect.gen(this, function* () {
      const before = this.scripts.get(name)
      if (before !== undefined) yield* Scope.close(before.scope, Exit.void)
      const scope = yield* Scope.make()
      this.scripts.set(name, { register, scope })
      if (this.session !== undefined) yield* Scope.extend(register(this.session.node), scope)
    })
  }
}
