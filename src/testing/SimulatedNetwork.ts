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
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { seededCut } from "../internal/seededCut.js"
import type { SimulatedHost } from "../internal/sim/SimulatedHost.js"
import { SimulatedProcess } from "../internal/sim/SimulatedProcess.js"
import { Terrain } from "../internal/sim/Terrain.js"
import { World } from "../internal/sim/World.js"
import type { ConnectionPool } from "../ConnectionPool.js"
import type { LocalNode } from "../LocalNode.js"
import * as NetworkConfig from "../NetworkConfig.js"
import { type ConfigInvalid, type HandlerExists, type ListenFailed, NetworkNotRunning } from "../NetworkError.js"
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
   * with `NetworkNotRunning` when it is killed. Handlers given to `node` stand again after a restart; those registered
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
    /** Starts a node on the host of its name. Scope: stops it, with grace. */
    readonly node: <R = never>(
      options: NodeOptions<R>
    ) => Effect.Effect<
      SimulatedNode,
      ListenFailed | HandlerExists | ConfigInvalid,
      Exclude<R, Scope.Scope> | Scope.Scope
    >
    /** The transport of what runs on a host now, for nodes composed by hand. */
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

/** What is to be started on a host, and what runs there. */
interface Place {
  running: Running | undefined
  readonly start: Effect.Effect<void>
  readonly network: P2PNetwork.P2PNetwork["Type"]
}

const unbuilt = {} as P2PNetwork.P2PNetwork["Type"]

const killed = Effect.failSync(() => new NetworkNotRunning())

/** Members that are read in the caller's process; all others are Effects, or functions that give Effects. */
const streams: ReadonlySet<string> = new Set<keyof P2PNetwork.P2PNetwork["Type"]>(["events", "messages", "nodeId"])

/** The network of whichever process runs now, each call made in that process. */
const facade = (
  current: () => Running | undefined,
  last: () => P2PNetwork.P2PNetwork["Type"],
  caller: SimulatedProcess
): P2PNetwork.P2PNetwork["Type"] => {
  type Call = (...given: ReadonlyArray<unknown>) => Effect.Effect<unknown, unknown, unknown>
  const inProcess = (name: keyof P2PNetwork.P2PNetwork["Type"], given: ReadonlyArray<unknown> | undefined) =>
    Effect.suspend(() => {
      const running = current()
      if (running === undefined) return killed
      const member = Context.get(running.context, P2PNetwork.P2PNetwork)[name] as unknown
      const effect = given === undefined ? (member as ReturnType<Call>) : (member as Call)(...given)
      return running.process.run(effect, caller, killed)
    })
  return new Proxy({} as P2PNetwork.P2PNetwork["Type"], {
    get: (_, name: keyof P2PNetwork.P2PNetwork["Type"]) => {
      const member: unknown = last()[name]
      if (streams.has(name)) return member
      return typeof member === "function"
        ? (...given: ReadonlyArray<unknown>) => inProcess(name, given)
        : inProcess(name, undefined)
    }
  })
}

// --- The network ---

const orDefault = (given: Duration.DurationInput | undefined, millis: number): number =>
  given === undefined ? millis : Duration.toMillis(Duration.decode(given))

const isBetween =
  ([one, other]: readonly [string, string]) =>
  (from: string, to: string): boolean =>
    (from === one && to === other) || (from === other && to === one)

const make = (options: Options, world: World, caller: SimulatedProcess): SimulatedNetwork["Type"] => {
  const seed = options.seed ?? 1
  const terrain = new Terrain(
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
  const places = new Map<string, Place>()
  const disks = new Map<string, PeerStore.PeerStore["Type"]["remembered"]>()

  const note = (line: string): void => world.trace.note(world.now, line)

  /** The store of the process that runs on a host now. */
  const storeOf = (host: SimulatedHost): PeerStore.PeerStore["Type"] => {
    const { process } = host
    return {
      remembered: disks.get(host.name) ?? [],
      keep: (peers) =>
        Effect.sync(() => {
          if (!process.isKilled) disks.set(host.name, peers)
          return true
        })
    }
  }

  const transportOf = (host: SimulatedHost): Transport["Type"] =>
    options.transport?.(host.name, host.transport()) ?? host.transport()

  const layerOf = <R>(host: SimulatedHost, given: NodeOptions<R>) => {
    const { autoStart = true, handlers = [], onBuilt: _, ...settings } = given
    const config = Layer.effect(
      NetworkConfig.NetworkConfig,
      Either.map(NetworkConfig.make({ ...settings, host: settings.host ?? host.name }), (loaded) => loaded.settings)
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
      let starts = 0
      let last: P2PNetwork.P2PNetwork["Type"] = unbuilt

      const build = Effect.suspend(() => {
        const { process } = host
        const scope = Effect.runSync(Scope.make())
        const run = ++starts
        note(`start ${given.nodeId}`)
        return process
          .run(
            Effect.tap(Layer.buildWithScope(layerOf(host, given), scope), (built) =>
              Scope.extend(onBuilt(Context.get(built, P2PNetwork.P2PNetwork), run), scope)
            ).pipe(Effect.provide(context)),
            caller,
            Effect.succeed(undefined)
          )
          .pipe(
            Effect.map((built) => {
              // Killed while it started.
              if (built === undefined) return
              place.running = { process, scope, context: built }
              last = Context.get(built, P2PNetwork.P2PNetwork)
            }),
            Effect.onError(() => (process.isKilled ? Effect.void : Scope.close(scope, Exit.void)))
          )
      })
      const current = (): Running | undefined =>
        place.running === undefined || place.running.process.isKilled ? undefined : place.running
      const network = facade(current, () => last, caller)
      const place: Place = { running: undefined, start: Effect.asVoid(Effect.orDie(build)), network }
      places.set(given.nodeId, place)
      yield* Effect.acquireRelease(build, () =>
        Effect.suspend(() => {
          const { running } = place
          place.running = undefined
          places.delete(given.nodeId)
          if (running === undefined || running.process.isKilled) return Effect.void
          running.process.release()
          return running.process.run(Scope.close(running.scope, Exit.void), caller, Effect.void)
        })
      )
      return {
        id: given.nodeId,
        network,
        starts: () => starts,
        isRunning: () => current() !== undefined,
        parts: () => current()?.context
      }
    })

  // --- Faults ---

  const restart = (name: string, keepState: boolean): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (!keepState) disks.delete(name)
      const host = terrain.host(name)
      if (!host.isUpAgain()) return Effect.void
      host.boot()
      return places.get(name)?.start ?? Effect.void
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
        terrain.host(fault.host).kill()
        return restart(fault.host, fault.keepState)
      case "PowerOff":
        terrain.host(fault.host).powerOff()
        return restart(fault.host, fault.keepState)
      case "Pause":
        return Effect.sync(terrain.host(fault.host).process.pause())
      case "ClockStep": {
        const { process } = terrain.host(fault.host)
        process.clockError += fault.millis
        return Effect.sync(() => {
          process.clockError -= fault.millis
        })
      }
    }
  }

  /** A node takes its time to leave: that goes on by itself. */
  const leave = (name: string): Effect.Effect<Effect.Effect<void>> =>
    Effect.suspend(() => {
      const network = places.get(name)?.network
      return network === undefined
        ? Effect.succeed(Effect.void)
        : Effect.as(Effect.forkDaemon(network.stop), Effect.ignore(network.start))
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

/**
 * Runs a program in a network of its own, by its clock, its scheduler and its randomness: `Effect.sleep` in it is
 * simulated time. Fails with what the program fails with, and with `SimulationHalted` where it comes to no end. What waits
 * for the real world (a file, a timer of the system) is not waited for while anything simulated is to happen.
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
        const caller = new SimulatedProcess(world, "the program")
        const service = make(options, world, caller)
        const fiber = caller.fork(
          runtime,
          Effect.scoped(Effect.provideService(program, SimulatedNetwork, service)) as Effect.Effect<
            A,
            E,
            Exclude<R, SimulatedNetwork | Scope.Scope>
          >
        )
        let exit: Exit.Exit<A, E> | undefined
        fiber.addObserver((ended) => {
          exit = ended
        })
        world.drive(
          () => exit !== undefined,
          (halt) => {
            if (halt === undefined) return resume(exit ?? Effect.interrupt)
            const { lines } = world.trace
            resume(
              Effect.fail(
                new SimulationHalted({
                  reason: halt,
                  seed,
                  atMillis: world.now,
                  lines,
                  ...(world.violation === undefined ? {} : { detail: world.violation })
                })
              )
            )
          }
        )
        return Effect.async<void>((over) => {
          fiber.addObserver(() => over(Effect.void))
          fiber.unsafeInterruptAsFork(fiber.id())
        })
      })
    )
