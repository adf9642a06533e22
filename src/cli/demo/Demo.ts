/**
 * The demonstration: runs its steps one after the other, tells of each as it is done, and gives a verdict.
 *
 * @since 0.1.0
 */
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { NodeProcess } from "./NodeProcess.js"
import type { Row } from "./Report.js"
import * as Report from "./Report.js"
import type { Nodes, Step } from "./Steps.js"
import * as Steps from "./Steps.js"

/**
 * Not all went as it should; what did not has been shown.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotAsPlanned extends Data.TaggedError("NotAsPlanned") {}

/** The whole must end within a minute. */
const allowance = "55 seconds"

interface Outcome {
  readonly row: Row
  /** The node to look at, where the step failed because of one. */
  readonly culprit: Option.Option<string>
}

const carryOut = (step: Step): Effect.Effect<Outcome, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { plan, what } = step
    const result = yield* Effect.either(step.run)
    const row = Either.match(result, {
      onLeft: ({ message }) => ({ what, plan, measured: message, ok: false }),
      onRight: ({ measured, ok = true }) => ({ what, plan, measured, ok })
    })
    yield* Console.log(`${row.ok ? "✓" : "✗"} ${what}: ${row.measured}`)
    const culprit = Option.flatMap(Either.getLeft(result), (error) =>
      "node" in error ? Option.some(error.node) : Option.none()
    )
    return { row, culprit }
  })

const showLog = (node: NodeProcess): Effect.Effect<void> =>
  Console.log(["", `The last lines of ${node.id}'s log:`, ...node.log().map((line) => `  ${line}`)].join("\n"))

/**
 * Runs the steps, shows the table, and fails with `NotAsPlanned` unless every row is OK. Scope: ends all processes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = (options: {
  readonly ids: ReadonlyArray<string>
  /** Starts a node that knows the one at `bootstrap` only. */
  readonly launch: (id: string, bootstrap: Option.Option<string>) => Effect.Effect<NodeProcess, never, Scope.Scope>
  /** The id that a node has in the network. */
  readonly nodeIdOf: Nodes["nodeIdOf"]
  /** A bare node, to come for a while. */
  readonly guest: Nodes["guest"]
  readonly colours: boolean
}): Effect.Effect<void, NotAsPlanned, Scope.Scope> =>
  Effect.gen(function* () {
    const started: Array<NodeProcess> = []
    const all = new Map<string, NodeProcess>()
    const launch = (id: string) =>
      Effect.gen(function* () {
        const first = Option.fromNullable(all.get(options.ids[0] ?? ""))
        const bootstrap = yield* Effect.transposeMapOption(first, ({ listening }) => listening)
        const node = yield* options.launch(id, Option.map(bootstrap, String))
        started.push(node)
        return node
      })
    const nodes: Nodes = { ...options, all, launch }

    const outcomes: Array<Outcome> = []
    const steps = Steps.all(nodes)
    yield* Effect.forEach(steps, (step) => Effect.map(carryOut(step), (outcome) => outcomes.push(outcome)), {
      discard: true
    }).pipe(Effect.timeoutOption(allowance))
    const missing = steps
      .slice(outcomes.length)
      .map(({ plan, what }): Row => ({ what, plan, measured: "the time was up", ok: false }))
    const rows = [...outcomes.map(({ row }) => row), ...missing]

    yield* Console.log(["", ...Report.render(rows, options.colours)].join("\n"))
    const culprits = new Set(outcomes.flatMap(({ culprit }) => Option.toArray(culprit)))
    yield* Effect.forEach(
      started.filter(({ id }) => culprits.has(id)),
      showLog,
      { discard: true }
    )
    if (!Report.isOk(rows)) return yield* new NotAsPlanned()
  })
