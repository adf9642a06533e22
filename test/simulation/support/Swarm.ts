/**
 * A large network from its start to the loss of a share of its nodes: how long each step takes, in simulated time and in
 * real time, and what of it does not hold.
 */
import { performance } from "node:perf_hooks"
import { memoryUsage, cpuUsage } from "node:process"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { ConnectionPool, Handler, MessageType } from "synapse-p2p"
import { SimulatedNetwork } from "synapse-p2p/testing"

export interface Options {
  readonly nodes: number
  /** `targetPeers` of each. */
  readonly target: number
  readonly maxPeers: number
  readonly seed: number
  /** The share that is switched off at once. */
  readonly lost: number
  /** Messages sent to all, before and after. */
  readonly broadcasts: number
}

export const defaults: Options = { nodes: 1000, target: 8, maxPeers: 256, seed: 1, lost: 0.3, broadcasts: 3 }

/** Simulated time within which each step has to be done, milliseconds. */
const patience = 300_000
const lookEvery = 250
const discoveryInterval = 10_000
const broadcastTtl = 8
/** Nodes that the others know from the beginning, and how many of them each knows. */
const wellKnown = 10
const known = 3

/** The graph of live connections, both ends of which stand. */
export interface Graph {
  readonly components: number
  /** Nodes with fewer connections than the target. */
  readonly below: number
  /** Connections to nodes that are off. */
  readonly stale: number
  readonly least: number
  readonly mean: number
  readonly most: number
}

export interface Spread {
  readonly reached: number
  readonly of: number
  /** Milliseconds until so many had it. */
  readonly half: number
  readonly most: number
  readonly all: number
  /** How many got it first over so many links, from 1 on. */
  readonly hops: ReadonlyArray<number>
  readonly duplicates: number
}

export interface Phase {
  readonly name: string
  readonly simulated: number
  readonly wall: number
  readonly cpu: number
}

export interface Report {
  readonly phases: ReadonlyArray<Phase>
  /** Milliseconds until all were in one component, and until each had its target. */
  readonly joined: number
  readonly settled: number
  readonly whole: Graph
  readonly before: ReadonlyArray<Spread>
  readonly noticed: number
  readonly rejoined: number
  readonly healed: number
  readonly rest: Graph
  readonly after: ReadonlyArray<Spread>
  readonly memory: { readonly heap: number; readonly rss: number; readonly external: number }
  readonly trace: string
  /** What does not hold, in words. */
  readonly broken: ReadonlyArray<string>
}

const News = MessageType.make("NEWS", Schema.Struct({ text: Schema.String }))

type Node = SimulatedNetwork.SimulatedNode

const peersOf = (node: Node): Iterable<string> => {
  const parts = node.parts()
  return parts === undefined ? [] : Context.get(parts, ConnectionPool.ConnectionPool).unsafeLive().keys()
}

/** The connections of those that run, as seen now. */
export const look = (nodes: ReadonlyArray<Node>, target: number): Graph => {
  const running = nodes.filter((node) => node.isRunning())
  const indexOf = new Map(running.map(({ id }, index) => [id, index]))
  const above = running.map((_, index) => index)
  const top = (index: number): number => {
    let at = index
    for (let next = above[at] ?? at; next !== at; next = above[at] ?? at) {
      above[at] = above[next] ?? next
      at = next
    }
    return at
  }
  const degrees: Array<number> = []
  let stale = 0
  let components = running.length
  for (const [index, node] of running.entries()) {
    let degree = 0
    for (const peer of peersOf(node)) {
      const other = indexOf.get(peer)
      if (other === undefined) {
        stale++
        continue
      }
      degree++
      const [one, two] = [top(index), top(other)]
      if (one === two) continue
      above[one] = two
      components--
    }
    degrees.push(degree)
  }
  return {
    components,
    below: degrees.filter((degree) => degree < target).length,
    stale,
    least: degrees.reduce((a, b) => Math.min(a, b), Infinity),
    mean: degrees.reduce((a, b) => a + b, 0) / Math.max(1, degrees.length),
    most: degrees.reduce((a, b) => Math.max(a, b), 0)
  }
}

/** What is held once nothing is left to be collected, bytes. */
const held = (): Report["memory"] => {
  setFlagsFromString("--expose-gc")
  const collect: unknown = runInNewContext("gc")
  if (typeof collect === "function") collect()
  const { external, heapUsed, rss } = memoryUsage()
  return { heap: heapUsed, rss, external }
}

const swarm = (options: Options) =>
  Effect.gen(function* () {
    const simulated = yield* SimulatedNetwork.SimulatedNetwork
    const { broadcasts, lost, maxPeers, nodes: count, target } = options
    const phases: Array<Phase> = []
    const broken: Array<string> = []

    const phase = <A, E, R>(name: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.suspend(() => {
        const at = simulated.unsafeElapsed()
        const wall = performance.now()
        const cpu = cpuUsage()
        return Effect.tap(effect, () =>
          Effect.sync(() => {
            const used = cpuUsage(cpu)
            phases.push({
              name,
              simulated: simulated.unsafeElapsed() - at,
              wall: performance.now() - wall,
              cpu: (used.user + used.system) / 1000
            })
          })
        )
      })

    const demand = (isSo: boolean, otherwise: string): void => {
      if (!isSo) broken.push(otherwise)
    }

    /** Milliseconds until each of the conditions has come true; `Infinity` for one that did not. */
    const until = (conditions: ReadonlyArray<(graph: Graph) => boolean>): Effect.Effect<ReadonlyArray<number>> =>
      Effect.gen(function* () {
        const since = simulated.unsafeElapsed()
        const times = conditions.map(() => Infinity)
        for (let passed = 0; passed < patience && times.includes(Infinity);) {
          yield* Effect.sleep(lookEvery)
          passed = simulated.unsafeElapsed() - since
          const graph = look(nodes, target)
          for (const [index, holds] of conditions.entries()) {
            if (times[index] === Infinity && holds(graph)) times[index] = passed
          }
        }
        return times
      })

    // --- Nodes ---

    const scope = yield* Scope.make(ExecutionStrategy.parallel)
    const arrivals: Array<{ readonly at: number; readonly hop: number }> = []
    const handlers = [
      Handler.make(News, ({ envelope }) =>
        Effect.sync(() => {
          arrivals.push({ at: simulated.unsafeElapsed(), hop: broadcastTtl - (envelope.ttl ?? 0) + 1 })
        })
      )
    ]
    const names = Array.from({ length: count }, (_, index) => `n${index + 1}`)
    const nodes: Array<Node> = []

    const empty = held()
    const [joined = Infinity, settled = Infinity] = yield* phase(
      "start and converge",
      Effect.gen(function* () {
        for (const name of names) {
          const entrances = names.slice(0, wellKnown).filter((other) => other !== name)
          const bootstrap = [...(yield* Random.shuffle(entrances))].slice(0, known).map((host) => `${host}:9470`)
          nodes.push(
            yield* simulated
              .node({
                nodeId: name,
                bootstrap,
                targetPeers: target,
                maxPeers,
                broadcastTtl,
                discoveryInterval,
                handlers
              })
              .pipe(Scope.extend(scope))
          )
        }
        return yield* until([({ components }) => components === 1, ({ below }) => below === 0])
      })
    )
    const whole = look(nodes, target)
    demand(joined < Infinity, `${whole.components} components after ${patience} ms`)
    demand(settled < Infinity, `${whole.below} nodes have not found ${target} peers after ${patience} ms`)

    // --- To all ---

    const countDuplicates = Effect.gen(function* () {
      let sum = 0
      for (const node of nodes) {
        if (node.isRunning()) sum += (yield* Effect.orDie(node.network.status)).counts["duplicates"] ?? 0
      }
      return sum
    })

    const spread = Effect.gen(function* () {
      const running = nodes.filter((node) => node.isRunning())
      const of = running.length - 1
      const origin = running[yield* Random.nextIntBetween(0, running.length)]
      const duplicates = yield* countDuplicates
      arrivals.length = 0
      const since = simulated.unsafeElapsed()
      if (origin !== undefined) yield* Effect.orDie(origin.network.broadcast(News, { text: "all of you" }))
      // What is late, or comes a second time, has come by then.
      yield* Effect.sleep("500 millis")
      const times = arrivals.map(({ at }) => at - since).sort((a, b) => a - b)
      const when = (share: number): number => times[Math.ceil(of * share) - 1] ?? Infinity
      const hops: Array<number> = []
      for (const { hop } of arrivals) {
        while (hops.length < hop) hops.push(0)
        hops[hop - 1] = (hops[hop - 1] ?? 0) + 1
      }
      const reached = arrivals.length
      const result: Spread = {
        reached,
        of,
        half: when(0.5),
        most: when(0.99),
        all: when(1),
        hops,
        duplicates: (yield* countDuplicates) - duplicates
      }
      demand(reached === of, `a message to all reached ${reached} of ${of}`)
      return result
    })
    const spreads = Effect.forEach(Array.from({ length: broadcasts }), () => spread)

    const before = yield* phase("broadcast", spreads)
    const full = held()

    // --- Off ---

    const [noticed = Infinity, rejoined = Infinity, healed = Infinity] = yield* phase(
      "lose and heal",
      Effect.gen(function* () {
        const gone = [...(yield* Random.shuffle(names))].slice(0, Math.round(count * lost))
        for (const host of gone) yield* simulated.begin({ _tag: "PowerOff", host, keepState: true })
        return yield* until([
          ({ stale }) => stale === 0,
          ({ components, stale }) => components === 1 && stale === 0,
          ({ below, components, stale }) => below === 0 && components === 1 && stale === 0
        ])
      })
    )
    const rest = look(nodes, target)
    demand(noticed < Infinity, `${rest.stale} connections to nodes that are off still stand`)
    demand(rejoined < Infinity, `${rest.components} components after ${patience} ms`)
    demand(healed < Infinity, `${rest.below} nodes have not found ${target} peers again after ${patience} ms`)
    const after = yield* phase("broadcast again", spreads)

    yield* phase("stop", Scope.close(scope, Exit.void))
    const left = yield* simulated.leftovers
    demand(
      left.links + left.listeners + left.sleeps + left.fibers === 0,
      `left behind: ${left.links} links, ${left.listeners} listeners, ${left.sleeps} sleeps, ${left.fibers} fibers`
    )
    const { hash } = yield* simulated.trace
    return {
      phases,
      joined,
      settled,
      whole,
      before,
      noticed,
      rejoined,
      healed,
      rest,
      after,
      memory: {
        heap: full.heap - empty.heap,
        rss: full.rss - empty.rss,
        external: full.external - empty.external
      },
      trace: hash,
      broken
    } satisfies Report
  })

/** Links of 5 to 40 ms. */
export const run = (options: Options): Effect.Effect<Report, SimulatedNetwork.SimulationHalted> =>
  Effect.orDie(swarm(options)).pipe(
    SimulatedNetwork.run({ seed: options.seed, latency: "5 millis", jitter: "35 millis", limit: "1 hour" })
  )

export const roundsOf = (millis: number): number => millis / discoveryInterval
