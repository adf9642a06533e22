/**
 * The properties of docs/GUARANTEES.md under random plans of faults. `npm run simulate -- --plans 20000` plays as many as
 * one likes; a plan that fails is printed, shrunk, with the seed and path that play it again.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import type { FaultPlan } from "../../../src/testing/FaultPlan.js"
import { kinds } from "../../../src/testing/FaultPlan.js"
import type { Profile } from "./Profile.js"
import { checkPlans } from "./Scenario.js"

/** Plans of each profile, and the seed that they are drawn from. */
const runs = 80
const seed = 1

/** Plays them, and fails where a promise is broken. */
export const holds = (profile: Profile) =>
  Effect.gen(function* () {
    const played = new Set<string>()
    let plans = 0
    const tally = { handled: 0, lost: 0, calls: 0 }
    const onPlan = ({ steps }: FaultPlan): void => {
      plans++
      for (const { fault } of steps) played.add(fault._tag)
    }
    yield* checkPlans(profile, { runs, seed, onPlan }, tally)
    assert.strictEqual(plans, runs)
    // Each kind of fault has had its turn; a swizzle shows as clogs.
    assert.sameMembers(
      [...played],
      kinds.filter((kind) => kind !== "Swizzle")
    )
    assert.isAbove(tally.handled, 20 * runs)
  }).pipe(Logger.withMinimumLogLevel(LogLevel.None))

/** Milliseconds that a profile may take: as much as a slow machine needs. */
export const timeLimit = 600_000
