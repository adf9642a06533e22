/**
 * Plays random plans of faults on simulated networks, as many as one likes:
 * `npm run simulate -- --plans 20000 --seed 1 [--profile mesh|tight|sparse] [--path P]`.
 */
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import type { FaultPlan } from "../../src/testing/FaultPlan.js"
import { profiles } from "./support/Profile.js"
import { checkPlans } from "./support/Scenario.js"

const options = {
  plans: Options.integer("plans").pipe(Options.withDefault(300)),
  seed: Options.integer("seed").pipe(Options.withDefault(1)),
  path: Options.optional(Options.text("path")),
  profile: Options.choice(
    "profile",
    profiles.map(({ name }) => name)
  ).pipe(Options.optional)
}

// What fails on purpose, a hundred times a plan, needs no trace of where.
Error.stackTraceLimit = 0

const simulate = Command.make("simulate", options, ({ path, plans, profile, seed }) =>
  Effect.gen(function* () {
    const chosen = profiles.filter(({ name }) => Option.getOrElse(profile, () => name) === name)
    for (const each of chosen) {
      const faults = new Map<string, number>()
      const tally = { handled: 0, lost: 0, calls: 0 }
      let played = 0
      const onPlan = ({ steps }: FaultPlan): void => {
        played++
        for (const { fault } of steps) faults.set(fault._tag, (faults.get(fault._tag) ?? 0) + 1)
      }
      const runs = Math.ceil(plans / chosen.length)
      yield* checkPlans(each, { runs, seed, onPlan, ...(Option.isSome(path) ? { path: path.value } : {}) }, tally)
      const byKind = [...faults].sort().map(([kind, count]) => `${kind} ${count}`)
      yield* Console.log(
        `${each.name}: ${played} plans held, seed ${seed}; ${tally.calls} calls, ${tally.handled} messages handled, ` +
          `${tally.lost} reported lost; faults: ${byKind.join(", ")}`
      )
    }
  })
)

Command.run(simulate, { name: "simulate", version: "1" })(process.argv).pipe(
  Effect.provide(NodeContext.layer),
  Logger.withMinimumLogLevel(LogLevel.None),
  NodeRuntime.runMain({ disableErrorReporting: false })
)
