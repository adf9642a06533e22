/**
 * Whole networks in virtual time: real nodes, with all of their parts, on simulated hosts with simulated links. Time is
 * this module's own Clock, which stands still while anything can run and then goes on to the next thing that is to
 * happen; so an hour takes as long as what happens in it. Every delay, cut and choice comes from one seed: the same seed
 * takes the same course, and its {@link SimulatedNetwork | trace} has the same hash.
 *
 * Links behave as TCP does between hosts: system buffers at both ends, bytes in order, a retransmission at growing
 * intervals of what was lost, FIN and RST that can be lost as well, dials that are repeated until they are answered.
 *
 * @example
 * ```ts
 * import { MessageType } from "synapse-p2p"
 * import { SimulatedNetwork } from "synapse-p2p/testing"
 * import { Effect, Schema } from "effect"
 *
 * const Chat = MessageType.make("CHAT", Schema.Struct({ text: Schema.String }))
 *
 * const test = Effect.gen(function* () {
 *   const simulated = yield* SimulatedNetwork.SimulatedNetwork
 *   const alice = yield* simulated.node({ nodeId: "alice" })
 *   const bob = yield* simulated.node({ nodeId: "bob", bootstrap: ["alice:9470"] })
 *   yield* bob.network.waitForPeers(1)
 *   const heal = yield* simulated.begin({ _tag: "Partition", groups: [["alice"]] })
 *   yield* Effect.sleep("1 hour")
 *   yield* heal
 *   yield* Effect.sleep("1 minute")
 *   yield* alice.network.broadcast(Chat, { text: "hello again" })
 * }).pipe(SimulatedNetwork.run({ seed: 42 }))
 * ```
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { seededCut } from "../internal/seededCut.js"
import type { SimulatedHost } from "../internal/sim/SimulatedHost.js"
import { SimulatedProcess } from "../internal/sim/SimulatedProcess.js"
import { Terrain } from "../internal/sim/Terrain.js"
import { type Halt, World } from "../internal/sim/World.js"
import { namedSettings } from "../internal/testing/namedSettings.js"
import type { ConnectionPool } from "../ConnectionPool.js"
import type { LocalNode } from "../LocalNode.js"
import * as NetworkConfig from "../NetworkConfig.js"
import { type ConfigInvalid, type HandlerExists, type ListenFailed, NetworkNotRunning } from "../NetworkError.js"
import type { NodeId } from "../NodeId.js"
import * as NodeIdentity from "../NodeIdentity.js"
import * as P2PNetwork from "../P2PNetwork.js"
import type { PeerBook } from "../PeerBook.js"
import * as PeerStore from "../PeerStore.js"
import type { Router } from "../Router.js"
import { Transport } from "../Transport.js"
import type { Fault } from "./Fault.js"
import * as Faults from "./Fault.js"
import type * as P2PNetworkMemory from "./P2PNetworkMemory.js"

// --- Models ---

/**
 * How a simulated network is made.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** All chance comes from it; default 1. */
  readonly seed?: number
  /** How long bytes travel from one host to another at least; default 1 millisecond. */
  readonly latency?: Duration.DurationInput
  /** And up to so much longer, each time anew; default 1 millisecond. */
  readonly jitter?: Duration.DurationInput
  /** Bytes a second that a link carries each way; default: any number. */
  readonly bandwidth?: number
  /** What each end's system takes before its process does, bytes; default 65,536. */
  readonly capacity?: number
  /** Hands bytes over in pieces of every size, single bytes among them; default false. */
  readonly cut?: boolean
  /** Simulated time after which the run fails with `SimulationHalted`; default 30 days. */
  readonly limit?: Duration.DurationInput
  /** Stands between each node and its transport: to look at what it sends, or to change it. */
  readonly transport?: (host: string, transport: Transport["Type"]) => Transport["Type"]
  /** So many of the last things that happened are kept in words; default 0. */
  readonly traceLines?: number
}

/**
 * A node on a host of its own, which has the node's name.
 *
 * @since 0.1.0
 * @category models
 */
export interface SimulatedNode {
  readonly id: string
  /**
   * The node that runs there now. What is called goes on in the node's process: it waits while that is stopped, and fails
   * with `NetworkNotRunning` when it is killed, whatever a member is typed to fail with. Streams are those of the process
   * that runs when they are begun to be read, and fall silent with it. Handlers given to `node` stand again after a restart; those registered
   * here end with the process.
   */
  readonly network: P2PNetwork.P2PNetwork["Type"]
  /** How often it has been started. */
  readonly starts: () => number
  readonly isRunning: () => boolean
  /** The parts of the node that runs now, to look inside. */
  readonly parts: () => Context.Context<ConnectionPool | PeerBook | LocalNode | Router> | undefined
}

/**
 * A node's settings and options, and what is done in its process each time it has been built: before it starts, with
 * `autoStart: false`. Scope: the node's.
 *
 * @since 0.1.0
 * @category models
 */
export interface NodeOptions<out R = never> extends P2PNetworkMemory.Options<R> {
  readonly nodeId: string
  readonly onBuilt?: (network: P2PNetwork.P2PNetwork["Type"], starts: number) => Effect.Effect<void, never, Scope.Scope>
}

/**
 * What a run has left behind where it should have left nothing; all numbers are 0 once all nodes have stopped.
 *
 * @since 0.1.0
 * @category models
 */
export interface Leftovers {
  readonly links: number
  readonly listeners: number
  /** Fibers of nodes that sleep. */
  readonly sleeps: number
  /** Fibers of nodes that have not ended. */
  readonly fibers: number
}

/**
 * A simulated network, and the hand that makes its faults.
 *
 * @since 0.1.0
 * @category tags
 */
export class SimulatedNetwork extends Context.Tag("synapse-p2p/testing/SimulatedNetwork")<
  SimulatedNetwork,
  {
    readonly seed: number
    /** Starts a node on the host of its name, one at a time. Scope: stops it, with grace. */
    readonly node: <R = never>(
      options: NodeOptions<R>
    ) => Effect.Effect<
      SimulatedNode,
      ListenFailed | HandlerExists | ConfigInvalid,
      Exclude<R, Scope.Scope> | Scope.Scope
    >
    /**
     * The transport of what runs on a host now, for nodes composed by hand. Once that is killed nothing of it ends: a dial
     * under way stays so.
     */
    readonly transport: (host: string) => Transport["Type"]
    /** Brings a fault about; the effect given ends it, and does nothing the second time. */
    readonly begin: (fault: Fault) => Effect.Effect<Effect.Effect<void>>
    /** A fault for so long: returns when it is over. */
    readonly during: (duration: Duration.DurationInput, fault: Fault) => Effect.Effect<void>
    /** Milliseconds since the beginning. */
    readonly elapsed: Effect.Effect<number>
    /** The same, for those who watch. */
    readonly unsafeElapsed: () => number
    /** What happened so far: the hash is the same for the same course. */
    readonly trace: Effect.Effect<{
      readonly hash: string
      readonly length: number
      readonly lines: ReadonlyArray<string>
    }>
    /** Adds a line to the trace: two runs that differ in it have different hashes. */
    readonly note: (line: string) => Effect.Effect<void>
    /**
     * Looks at each instant that is over, before time goes on; what it gives is what is wrong, and ends the run with
     * `SimulationHalted`. Scope: stops looking.
     */
    readonly watch: (look: () => string | undefined) => Effect.Effect<void, never, Scope.Scope>
    readonly leftovers: Effect.Effect<Leftovers>
  }
>() {}

const halts = {
  Stuck: "nothing is left to happen, and the program still waits for something (a real file or socket does not count)",
  OutOfTime: "the limit of simulated time was reached before the program had ended",
  Restless: "things go on happening without time passing: a loop without end",
  Violated: "what is watched was violated"
}

/**
 * The run came to no end of its own: `Stuck`, nothing is left to happen; `OutOfTime`, the `limit` was reached; `Restless`,
 * there is a loop in which no time passes; `Violated`, who watches objected, as `detail` says.
 *
 * @since 0.1.0
 * @category errors
 */
export class SimulationHalted extends Schema.TaggedError<SimulationHalted>("synapse-p2p/testing/SimulationHalted")(
  "SimulationHalted",
  {
    reason: Schema.Literal("Stuck", "OutOfTime", "Restless", "Violated"),
    detail: Schema.optional(Schema.String),
    seed: Schema.Number,
    atMillis: Schema.Number,
    lines: Schema.Array(Schema.String)
  }
) {
  override get message(): string {
    const last = this.lines.length === 0 ? "" : `\nThe last that happened:\n${this.lines.join("\n")}`
    const detail = this.detail === undefined ? "" : `: ${this.detail}`
    return `${halts[this.reason]}${detail}, ${this.atMillis} ms after the beginning (seed ${this.seed})${last}`
  }
}

// --- Nodes ---

interface Running {
  readonly process: SimulatedProcess
  readonly scope: Scope.CloseableScope
  readonly context: Context.Context<P2PNetwork.P2PNetwork | ConnectionPool | PeerBook | LocalNode | Router>
}

type Network = P2PNetwork.P2PNetwork["Type"]

/** What is to be started on a host, and what runs there. */
interface Place {
  running: Running | undefined
  readonly start: Effect.Effect<void>
  readonly network: Network
  /** Faults because of which it has left. */
  leaves: number
}

const killed = Effect.failSync(() => new NetworkNotRunning())

const networkOf = ({ context }: Running): Network => Context.get(context, P2PNetwork.P2PNetwork)

/** The network of whichever process runs now, each call made in that process; streams are read in the caller's. */
const facade = (id: string, running: () => Running | undefined, caller: SimulatedProcess): Network => {
  // That a process is killed is beyond what the members are typed to fail with.
  const call = <A, E, R>(use: (network: Network) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend((): Effect.Effect<A, E | NetworkNotRunning, R> => {
      const now = running()
      return now === undefined
        ? killed
        : now.process.run(
            Effect.suspend(() => use(networkOf(now))),
            caller,
            killed
          )
    }) as Effect.Effect<A, E, R>

  const read = <A>(use: (network: Network) => Stream.Stream<A>): Stream.Stream<A> =>
    Stream.suspend(() => {
      const now = running()
      return now === undefined ? Stream.empty : use(networkOf(now))
    })

  const handle = (...given: Parameters<Network["handle"]>) => call((network) => network.handle(...given))

  return {
    nodeId: id as NodeId,
    start: call((network) => network.start),
    stop: call((network) => network.stop),
    status: call((network) => network.status),
    access: call((network) => network.access),
    setAccess: (...given) => call((network) => network.setAccess(...given)),
    connect: (...given) => call((network) => network.connect(...given)),
    disconnect: (...given) => call((network) => network.disconnect(...given)),
    sendMessage: (...given) => call((network) => network.sendMessage(...given)),
    sendMessages: (...given) => call((network) => network.sendMessages(...given)),
    request: (...given) => call((network) => network.request(...given)),
    broadcast: (...given) => call((network) => network.broadcast(...given)),
    handle: handle as Network["handle"],
    handleOther: (...given) => call((network) => network.handleOther(...given)),
    peers: (...given) => call((network) => network.peers(...given)),
    peer: (...given) => call((network) => network.peer(...given)),
    waitForPeers: (...given) => call((network) => network.waitForPeers(...given)),
    messages: (type) => read((network) => network.messages(type)),
    events: read((network) => network.events)
  }
}

// --- The network ---

const orDefault = (given: Duration.DurationInput | undefined, millis: number): number =>
  given === undefined ? millis : Duration.toMillis(Duration.decode(given))

const isBetween =
  ([one, other]: readonly [string, string]) =>
  (from: string, to: string): boolean =>
    (from === one && to === other) || (from === other && to === one)

const makeTerrain = (options: Options, world: World): Terrain =>
  new Terrain(
    world,
    {
      latency: orDefault(options.latency, 1),
      jitter: orDefault(options.jitter, 1),
      bandwidth: options.bandwidth ?? Infinity
    },
    {
      capacity: Math.max(1, options.capacity ?? 65_536),
      cut: options.cut === true ? seededCut(world.random.integer(0x7fffffff)) : undefined
    }
  )

const make = (options: Options, world: World, terrain: Terrain, caller: SimulatedProcess): SimulatedNetwork["Type"] => {
  const seed = options.seed ?? 1
  const places = new Map<string, Place>()
  const disks = new Map<string, PeerStore.PeerStore["Type"]["remembered"]>()

  const note = (line: string): void => world.trace.note(world.now, line)

  const storeOf = ({ name }: SimulatedHost): PeerStore.PeerStore["Type"] => ({
    remembered: disks.get(name) ?? [],
    keep: (peers) =>
      Effect.sync(() => {
        disks.set(name, peers)
        return true
      })
  })

  const transportOf = (host: SimulatedHost): Transport["Type"] =>
    options.transport?.(host.name, host.transport()) ?? host.transport()

  const layerOf = <R>(host: SimulatedHost, given: NodeOptions<R>) => {
    const { autoStart = true, handlers = [], onBuilt: _, ...settings } = given
    const config = Layer.effect(
      NetworkConfig.NetworkConfig,
      namedSettings({ ...settings, host: settings.host ?? host.name })
    )
    const parts = PeerStore.layerKeeping.pipe(
      Layer.provide(Layer.succeed(PeerStore.PeerStore, storeOf(host))),
      Layer.provideMerge(P2PNetwork.layerParts)
    )
    return P2PNetwork.layerFromParts<R>({ autoStart, handlers }).pipe(
      Layer.provideMerge(parts),
      Layer.provide(Layer.merge(NodeIdentity.layer, Layer.succeed(Transport, transportOf(host)))),
      Layer.provide(config),
      Layer.fresh
    )
  }

  const node: SimulatedNetwork["Type"]["node"] = <R>(given: NodeOptions<R>) =>
    Effect.gen(function* () {
      const context = yield* Effect.context<Exclude<R, Scope.Scope>>()
      const host = terrain.host(given.nodeId)
      const { onBuilt = () => Effect.void } = given
      if (places.has(given.nodeId)) return yield* Effect.dieMessage(`there is a node ${given.nodeId} already`)
      let starts = 0

      const build = Effect.gen(function* () {
        const { process } = host
        const scope = yield* Scope.make()
        const run = ++starts
        note(`start ${given.nodeId}`)
        const building = Layer.buildWithScope(layerOf(host, given), scope).pipe(
          Effect.tap((built) => Scope.extend(onBuilt(Context.get(built, P2PNetwork.P2PNetwork), run), scope)),
          Effect.onError(() => Scope.close(scope, Exit.void)),
          Effect.provide(context)
        )
        const built = yield* process.run(building, caller, Effect.succeed(undefined))
        // Else it was killed while it started.
        if (built !== undefined) place.running = { process, scope, context: built }
      })
      const stop = Effect.suspend(() => {
        const running = current()
        place.running = undefined
        if (running === undefined) return Effect.void
        running.process.release()
        return running.process.run(Scope.close(running.scope, Exit.void), caller, Effect.void)
      })
      const current = (): Running | undefined => (place.running?.process.isKilled === false ? place.running : undefined)
      const place: Place = {
        running: undefined,
        // The node may have been given up while it started again.
        start: Effect.zipRight(
          Effect.orDie(build),
          Effect.suspend(() => (places.get(given.nodeId) === place ? Effect.void : stop))
        ),
        network: facade(given.nodeId, current, caller),
        leaves: 0
      }
      const forget = Effect.sync(() => places.delete(given.nodeId))
      places.set(given.nodeId, place)
      yield* Effect.acquireRelease(
        Effect.onError(build, () => forget),
        () => Effect.zipRight(forget, stop)
      )
      return {
        id: given.nodeId,
        network: place.network,
        starts: () => starts,
        isRunning: () => current() !== undefined,
        parts: () => current()?.context
      }
    })

  // --- Faults ---

  const restart = (name: string, keepState: boolean, up: () => boolean): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (!keepState) disks.delete(name)
      return up() ? (places.get(name)?.start ?? Effect.void) : Effect.void
    })

  /** Brings it about, and gives what ends it. */
  const bring = (fault: Exclude<Fault, { readonly _tag: "Leave" }>): Effect.Effect<void> => {
    switch (fault._tag) {
      case "Partition": {
        const groupOf = new Map(fault.groups.flatMap((group, index) => group.map((host) => [host, index] as const)))
        const stops = (from: string, to: string): boolean => groupOf.get(from) !== groupOf.get(to)
        return Effect.sync(terrain.obstruct({ stops, isLoss: true }))
      }
      case "Swallow":
        return Effect.sync(
          terrain.obstruct({ stops: (from, to) => from === fault.from && to === fault.to, isLoss: true })
        )
      case "Stall":
        return Effect.sync(terrain.obstruct({ stops: isBetween(fault.between), isLoss: false }))
      case "Clog":
        return Effect.sync(
          terrain.obstruct({
            host: fault.host,
            stops: (from, to) => from !== to && (from === fault.host || to === fault.host),
            isLoss: false
          })
        )
      case "Delay":
        return Effect.sync(terrain.slow(isBetween(fault.between), fault.millis))
      case "Reset": {
        const [one, other] = fault.between
        for (const link of terrain.host(one).links) if (link.peer.host.name === other) link.snap()
        return Effect.void
      }
      case "SlowReader": {
        const { rates } = terrain.host(fault.host)
        const slow = { rate: Math.max(1, fault.bytesPerSecond) }
        rates.add(slow)
        return Effect.sync(() => rates.delete(slow))
      }
      case "Crash":
        return restart(fault.host, fault.keepState, terrain.host(fault.host).kill())
      case "PowerOff":
        return restart(fault.host, fault.keepState, terrain.host(fault.host).powerOff())
      case "Pause":
        return Effect.sync(terrain.host(fault.host).process.pause())
      case "ClockStep": {
        const { wall } = terrain.host(fault.host)
        wall.error += fault.millis
        return Effect.sync(() => {
          wall.error -= fault.millis
        })
      }
    }
  }

  /** A node takes its time to leave: that goes on by itself. */
  const leave = (name: string): Effect.Effect<Effect.Effect<void>> =>
    Effect.suspend(() => {
      const place = places.get(name)
      if (place === undefined) return Effect.succeed(Effect.void)
      place.leaves++
      return Effect.as(
        Effect.forkDaemon(place.network.stop),
        Effect.suspend(() => (--place.leaves > 0 ? Effect.void : Effect.ignore(place.network.start)))
      )
    })

  const begin = (fault: Fault): Effect.Effect<Effect.Effect<void>> =>
    Effect.gen(function* () {
      note(Faults.describe(fault))
      const end = fault._tag === "Leave" ? yield* leave(fault.host) : bring(fault)
      let isOver = false
      return Effect.suspend(() => {
        if (isOver) return Effect.void
        isOver = true
        note(`over: ${Faults.describe(fault)}`)
        return end
      })
    })

  return {
    seed,
    node,
    transport: (host) => terrain.host(host).transport(),
    begin,
    during: (duration, fault) =>
      Effect.acquireUseRelease(
        begin(fault),
        () => Effect.sleep(duration),
        (end) => end
      ),
    elapsed: Effect.sync(() => world.now),
    unsafeElapsed: () => world.now,
    trace: Effect.sync(() => ({ hash: world.trace.hash, length: world.trace.length, lines: [...world.trace.lines] })),
    note: (line) => Effect.sync(() => note(line)),
    watch: (look) =>
      Effect.asVoid(
        Effect.acquireRelease(
          Effect.sync(() => world.watchers.add(look)),
          () => Effect.sync(() => world.watchers.delete(look))
        )
      ),
    leftovers: Effect.sync(() => {
      let links = 0
      let listeners = 0
      let sleeps = 0
      let fibers = 0
      for (const host of terrain.hosts.values()) {
        links += host.links.size
        listeners += host.listeners
        if (host.process.isKilled) continue
        sleeps += host.process.sleeping
        fibers += host.process.fibers.count
      }
      return { links, listeners, sleeps, fibers }
    })
  }
}

// --- Running ---

/** Simulated time that a program has to release what it holds when its run was halted. */
const millisToRelease = 60_000

/**
 * Runs a program in a network of its own, by its clock, its scheduler and its randomness: `Effect.sleep` in it is
 * simulated time. Fails with what the program fails with, and with `SimulationHalted` where it comes to no end: the nodes
 * are killed then, and the program has a simulated minute to release what it holds. What waits
 * for the real world (a file, a timer of the system) is not waited for while anything simulated is to happen.
 *
 * Interruption: releases what the program holds, in simulated time, and leaves nothing running.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run =
  (options: Options = {}) =>
  <A, E, R>(
    program: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | SimulationHalted, Exclude<R, SimulatedNetwork | Scope.Scope>> =>
    Effect.flatMap(Effect.runtime<Exclude<R, SimulatedNetwork | Scope.Scope>>(), (runtime) =>
      Effect.async<A, E | SimulationHalted>((resume) => {
        const seed = options.seed ?? 1
        const limit = orDefault(options.limit, Duration.toMillis("30 days"))
        const world = new World({ seed, limit, traceLines: options.traceLines ?? 0 })
        const terrain = makeTerrain(options, world)
        const caller = new SimulatedProcess(world, "the program")
        const service = make(options, world, terrain, caller)
        const fiber = caller.fork(
          runtime,
          Effect.scoped(Effect.provideService(program, SimulatedNetwork, service)) as Effect.Effect<
            A,
            E,
            Exclude<R, SimulatedNetwork | Scope.Scope>
          >
        )
        let exit: Exit.Exit<A, E> | undefined
        let whenOver: (() => void) | undefined
        fiber.addObserver((ended) => {
          exit = ended
        })
        const isOver = (): boolean => exit !== undefined
        const interrupt = (): void => fiber.unsafeInterruptAsFork(fiber.id())

        const end = (result: Effect.Effect<A, E | SimulationHalted>): void => {
          resume(result)
          whenOver?.()
        }
        /** What the program has acquired is released, as far as that comes to an end; the nodes have no say any more. */
        const abort = (result: Effect.Effect<never, SimulationHalted>): void => {
          interrupt()
          for (const { process } of terrain.hosts.values()) process.kill()
          world.reprieve(millisToRelease)
          world.drive(
            isOver,
            () => end(result),
            () => end(result)
          )
        }
        const halted = (reason: Halt): SimulationHalted => {
          const { lines } = world.trace
          const detail = world.violation === undefined ? {} : { detail: world.violation }
          return new SimulationHalted({ reason, seed, atMillis: world.now, lines, ...detail })
        }
        world.drive(
          isOver,
          (halt) => (halt === undefined ? end(exit ?? Effect.interrupt) : abort(Effect.fail(halted(halt)))),
          (defect) => abort(Effect.die(defect))
        )
        return Effect.async<void>((over) => {
          whenOver = () => over(Effect.void)
          interrupt()
        })
      })
    )
