/**
 * Plans of faults: what goes wrong when, and for how long. Drawn at random from one seed, played on a simulated network,
 * and, where a scenario fails, shrunk to a short plan that fails as well.
 *
 * @example
 * ```ts
 * import { FaultPlan, SimulatedNetwork } from "synapse-p2p/testing"
 * import { Effect } from "effect"
 *
 * const hosts = ["alice", "bob", "carol"]
 *
 * const heals = FaultPlan.check({ hosts, runs: 100 }, (plan) =>
 *   Effect.gen(function* () {
 *     const simulated = yield* SimulatedNetwork.SimulatedNetwork
 *     const nodes = yield* Effect.forEach(hosts, (nodeId) => simulated.node({ nodeId, bootstrap: ["alice:9470"] }))
 *     yield* FaultPlan.play(plan)
 *     yield* Effect.sleep("5 minutes")
 *     for (const { network } of nodes) yield* network.waitForPeers(2).pipe(Effect.timeout("1 second"))
 *   })
 * )
 * ```
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Faults from "./Fault.js"
import type { Fault } from "./Fault.js"
import * as SimulatedNetwork from "./SimulatedNetwork.js"

/**
 * A fault in a plan; times in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Step {
  /** When it begins, from the beginning of the plan. */
  readonly at: number
  readonly lasts: number
  readonly fault: Fault
}

/**
 * A plan: the seed of the network that it is for, and what goes wrong.
 *
 * @since 0.1.0
 * @category models
 */
export interface FaultPlan {
  readonly seed: number
  readonly steps: ReadonlyArray<Step>
}

/**
 * What plans are drawn from.
 *
 * @since 0.1.0
 * @category models
 */
export interface Draw {
  readonly hosts: ReadonlyArray<string>
  /** All faults begin within this time; default 1 minute. */
  readonly within?: Duration.DurationInput
  /** None lasts longer; default 20 seconds. */
  readonly longest?: Duration.DurationInput
  /** At most so many in a plan; default 8. A swizzle counts as one. */
  readonly maxFaults?: number
  /** Kinds that may occur; default all. `Swizzle`: some hosts are clogged one by one, and released in another order. */
  readonly kinds?: ReadonlyArray<Kind>
}

/**
 * The kinds of faults that are drawn.
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = Fault["_tag"] | "Swizzle"

/**
 * All kinds.
 *
 * @since 0.1.0
 * @category constructors
 */
export const kinds: ReadonlyArray<Kind> = [
  "Partition",
  "Swallow",
  "Stall",
  "Clog",
  "Delay",
  "Reset",
  "SlowReader",
  "Leave",
  "Crash",
  "PowerOff",
  "Pause",
  "ClockStep",
  "Swizzle"
]

const fc = FastCheck

const millisOf = (given: Duration.DurationInput | undefined, otherwise: number): number =>
  given === undefined ? otherwise : Math.max(1, Math.round(Duration.toMillis(given)))

/** Two different hosts. */
const pairOf = (hosts: ReadonlyArray<string>): FastCheck.Arbitrary<readonly [string, string]> =>
  fc
    .tuple(fc.nat(hosts.length - 1), fc.integer({ min: 1, max: hosts.length - 1 }))
    .map(([first, step]) => [hosts[first] ?? "", hosts[(first + step) % hosts.length] ?? ""] as const)

const someOf = (hosts: ReadonlyArray<string>): FastCheck.Arbitrary<ReadonlyArray<string>> =>
  fc.subarray([...hosts], { minLength: 1, maxLength: Math.max(1, hosts.length - 1) })

const faultOf = (kind: Fault["_tag"], hosts: ReadonlyArray<string>): FastCheck.Arbitrary<Fault> => {
  const host = fc.constantFrom(...hosts)
  const pair = pairOf(hosts)
  switch (kind) {
    case "Partition":
      return someOf(hosts).map((group) => ({ _tag: "Partition", groups: [group] }))
    case "Swallow":
      return pair.map(([from, to]) => ({ _tag: "Swallow", from, to }))
    case "Stall":
      return pair.map((between) => ({ _tag: "Stall", between }))
    case "Reset":
      return pair.map((between) => ({ _tag: "Reset", between }))
    case "Delay":
      return fc
        .tuple(pair, fc.integer({ min: 1, max: 500 }))
        .map(([between, millis]) => ({ _tag: "Delay", between, millis }))
    case "Clog":
    case "Leave":
    case "Pause":
      return host.map((name) => ({ _tag: kind, host: name }))
    case "SlowReader":
      return fc
        .tuple(host, fc.constantFrom(100, 1_000, 10_000, 100_000))
        .map(([name, bytesPerSecond]) => ({ _tag: "SlowReader", host: name, bytesPerSecond }))
    case "Crash":
    case "PowerOff":
      return fc.tuple(host, fc.boolean()).map(([name, keepState]) => ({ _tag: kind, host: name, keepState }))
    case "ClockStep":
      return fc
        .tuple(host, fc.integer({ min: -86_400_000, max: 86_400_000 }))
        .map(([name, millis]) => ({ _tag: "ClockStep", host: name, millis }))
  }
}

/** Some hosts, each clogged and released at its own time within the span: in the one order, and in another. */
const swizzleOf = (
  hosts: ReadonlyArray<string>,
  within: number,
  longest: number
): FastCheck.Arbitrary<ReadonlyArray<Step>> =>
  fc
    .tuple(
      someOf(hosts),
      fc.nat(within),
      fc.array(fc.nat(Math.floor(longest / 2)), { minLength: hosts.length, maxLength: hosts.length }),
      fc.array(fc.nat(Math.floor(longest / 2)), { minLength: hosts.length, maxLength: hosts.length })
    )
    .map(([chosen, at, begins, ends]) =>
      chosen.map((host, index) => {
        const begin = Math.min(within, at + (begins[index] ?? 0))
        const end = at + Math.floor(longest / 2) + (ends[index] ?? 0)
        return { at: begin, lasts: Math.max(1, end - begin), fault: { _tag: "Clog" as const, host } }
      })
    )

/**
 * Plans over some hosts (two at least). Shorter ones with fewer and simpler faults come first when one is shrunk.
 *
 * @since 0.1.0
 * @category constructors
 */
export const arbitrary = (draw: Draw): FastCheck.Arbitrary<FaultPlan> => {
  const within = millisOf(draw.within, 60_000)
  const longest = millisOf(draw.longest, 20_000)
  const stepsOf = (kind: Kind): FastCheck.Arbitrary<ReadonlyArray<Step>> =>
    kind === "Swizzle"
      ? swizzleOf(draw.hosts, within, longest)
      : fc
          .record({ at: fc.nat(within), lasts: fc.integer({ min: 1, max: longest }), fault: faultOf(kind, draw.hosts) })
          .map((step) => [step])
  return fc.record({
    seed: fc.integer({ min: 1, max: 0x7fffffff }).noShrink(),
    steps: fc
      .array(fc.oneof(...(draw.kinds ?? kinds).map(stepsOf)), { maxLength: draw.maxFaults ?? 8, size: "max" })
      .map((groups) => groups.flat().sort((one, other) => one.at - other.at))
  })
}

/**
 * A plan in words, a line for each step.
 *
 * @since 0.1.0
 * @category accessors
 */
export const describe = ({ seed, steps }: FaultPlan): string =>
  [
    `network seed ${seed}`,
    ...steps.map(
      ({ at, fault, lasts }) =>
        `${(at / 1000).toFixed(3).padStart(9)} s  ${Faults.describe(fault)}${fault._tag === "Reset" ? "" : `, for ${(lasts / 1000).toFixed(3)} s`}`
    )
  ].join("\n")

/**
 * Plays a plan; returns when its last fault is over and all nodes that were down are up again.
 *
 * @since 0.1.0
 * @category combinators
 */
export const play = ({ steps }: FaultPlan): Effect.Effect<void, never, SimulatedNetwork.SimulatedNetwork> =>
  Effect.flatMap(SimulatedNetwork.SimulatedNetwork, (simulated) =>
    Effect.forEach(steps, ({ at, fault, lasts }) => Effect.delay(simulated.during(lasts, fault), at), {
      concurrency: "unbounded",
      discard: true
    })
  )

/**
 * A scenario failed under a plan. `plan` is the shortest found that fails; with `seed` and `path` the same
 * {@link check} plays it at once, and no other.
 *
 * @since 0.1.0
 * @category errors
 */
export class PlanFailed extends Schema.TaggedError<PlanFailed>("synapse-p2p/testing/PlanFailed")("PlanFailed", {
  seed: Schema.Number,
  path: Schema.String,
  runs: Schema.Number,
  plan: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.reason}\n\nafter ${this.runs} plans, with this one:\n${this.plan}\n\nagain: seed ${this.seed}, path "${this.path}"`
  }
}

/**
 * How the network of a plan is made, but for its seed.
 *
 * @since 0.1.0
 * @category models
 */
export type NetworkOptions = Omit<SimulatedNetwork.Options, "seed">

/**
 * How plans are tried. `seed` and `path` as a failure names them.
 *
 * @since 0.1.0
 * @category models
 */
export interface CheckOptions extends Draw {
  readonly runs?: number
  readonly seed?: number
  /** The plan to begin with; where it fails it is not shrunk. */
  readonly path?: string
  /** How the network of each plan is made; its seed is the plan's. */
  readonly network?: NetworkOptions | ((plan: FaultPlan) => NetworkOptions)
  /** Told of each plan that was played, those of shrinking as well. */
  readonly onPlan?: (plan: FaultPlan, exit: Exit.Exit<void, unknown>) => void
}

/**
 * Runs a scenario under so many random plans (default 100), each on a network of its own in virtual time. Fails with
 * `PlanFailed`, the plan shrunk, at the first that fails or dies. The same seed draws the same plans; the default is 1.
 *
 * @since 0.1.0
 * @category constructors
 */
export const check = <E, R>(
  options: CheckOptions,
  scenario: (plan: FaultPlan) => Effect.Effect<void, E, R>
): Effect.Effect<void, PlanFailed, Exclude<R, SimulatedNetwork.SimulatedNetwork | Scope.Scope>> =>
  Effect.flatMap(Effect.runtime<Exclude<R, SimulatedNetwork.SimulatedNetwork | Scope.Scope>>(), (runtime) => {
    const seed = options.seed ?? 1
    const playAll = async (signal: AbortSignal) => {
      const property = fc.asyncProperty(arbitrary(options), async (plan) => {
        // Ends the check: nobody wants to hear of the rest.
        if (signal.aborted) throw new fc.PreconditionFailure(true)
        const network = typeof options.network === "function" ? options.network(plan) : options.network
        const run = SimulatedNetwork.run({ ...network, seed: plan.seed })
        const exit = await Runtime.runPromiseExit(runtime)(run(scenario(plan)), { signal })
        if (signal.aborted) return
        options.onPlan?.(plan, exit)
        if (Exit.isFailure(exit)) throw new Error(Cause.pretty(exit.cause))
      })
      return fc.check(property, {
        seed,
        numRuns: options.runs ?? 100,
        // The plan of a path has been shrunk already.
        ...(options.path === undefined ? {} : { path: options.path, endOnFailure: true })
      })
    }
    return Effect.flatMap(Effect.promise(playAll), (details) => {
      const [plan] = details.counterexample ?? []
      if (!details.failed || plan === undefined) return Effect.void
      const { errorInstance } = details
      return Effect.fail(
        new PlanFailed({
          seed,
          path: details.counterexamplePath ?? "",
          runs: details.numRuns,
          plan: describe(plan),
          reason: errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
        })
      )
    })
  })
