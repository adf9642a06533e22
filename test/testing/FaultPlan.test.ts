import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as fc from "fast-check"
import * as Fault from "../../src/testing/Fault.js"
import * as FaultPlan from "../../src/testing/FaultPlan.js"
import { SimulatedNetwork } from "../../src/testing/SimulatedNetwork.js"
import { simulate } from "../utils/simulated.js"

const hosts = ["alice", "bob", "carol"]

/** A scenario with a bug: it does not bear that a certain host is stopped for more than ten seconds. */
const planted = (played: Array<FaultPlan.FaultPlan>) => (plan: FaultPlan.FaultPlan) =>
  Effect.gen(function* () {
    played.push(plan)
    yield* FaultPlan.play(plan)
    const isHit = plan.steps.some(
      ({ fault, lasts }) => fault._tag === "Pause" && fault.host === "bob" && lasts > 10_000
    )
    if (isHit) yield* Effect.fail("bob does not like that")
  })

const tags = (kinds?: ReadonlyArray<FaultPlan.Kind>) =>
  new Set(
    fc
      .sample(FaultPlan.arbitrary({ hosts, ...(kinds === undefined ? {} : { kinds }) }), { seed: 1, numRuns: 200 })
      .flatMap(({ steps }) => steps.map(({ fault }) => fault._tag as string))
  )

describe("FaultPlan", () => {
  it("draws plans that keep to what was asked for", () =>
    fc.assert(
      fc.property(
        FaultPlan.arbitrary({ hosts, within: "1 minute", longest: "20 seconds", maxFaults: 5 }),
        ({ seed, steps }) => {
          assert.isAbove(seed, 0)
          assert.isAtMost(steps.length, 5 * hosts.length)
          for (const { at, fault, lasts } of steps) {
            assert.isTrue(at >= 0 && at <= 60_000, `begins at ${at}`)
            assert.isTrue(lasts >= 1 && lasts <= 20_000, `lasts ${lasts}`)
            const named = Fault.hosts(fault)
            assert.isTrue(named.length > 0 && named.every((host) => hosts.includes(host)))
            assert.strictEqual(new Set(named).size, named.length)
          }
          const times = steps.map(({ at }) => at)
          assert.deepStrictEqual(
            times,
            [...times].sort((one, other) => one - other)
          )
        }
      ),
      { numRuns: 300 }
    ))

  it("draws all kinds, or those asked for alone", () => {
    assert.deepStrictEqual([...tags(["Swizzle"])], ["Clog"])
    assert.deepStrictEqual([...tags(["Pause", "Reset"])].sort(), ["Pause", "Reset"])
    assert.deepStrictEqual([...tags()].sort(), FaultPlan.kinds.filter((kind) => kind !== "Swizzle").toSorted())
  })

  it.effect("plays each fault at its time, for its time, and returns when all are over", () =>
    simulate(
      (simulated) =>
        Effect.gen(function* () {
          yield* FaultPlan.play({
            seed: 1,
            steps: [
              { at: 1_000, lasts: 5_000, fault: { _tag: "Pause", host: "alice" } },
              { at: 2_000, lasts: 1_000, fault: { _tag: "Clog", host: "bob" } }
            ]
          })
          assert.deepStrictEqual((yield* simulated.trace).lines, [
            "1000.000 alice is stopped",
            "2000.000 nothing moves to or from bob",
            "3000.000 over: nothing moves to or from bob",
            "6000.000 over: alice is stopped"
          ])
          assert.strictEqual(simulated.unsafeElapsed(), 6_000)
        }),
      { traceLines: 10 }
    )
  )

  it.effect("passes where every plan does, each on a network of its own with the seed of the plan", () =>
    Effect.gen(function* () {
      const seeds: Array<readonly [number, number]> = []
      const exits: Array<boolean> = []
      const onPlan = (_: FaultPlan.FaultPlan, exit: Exit.Exit<void, unknown>) => exits.push(Exit.isSuccess(exit))
      yield* FaultPlan.check({ hosts, runs: 10, onPlan }, (plan) =>
        Effect.map(SimulatedNetwork, ({ seed }) => void seeds.push([seed, plan.seed]))
      )
      assert.lengthOf(seeds, 10)
      assert.isTrue(seeds.every(([one, other]) => one === other))
      assert.strictEqual(new Set(seeds.map(([seed]) => seed)).size, 10)
      assert.deepStrictEqual(
        exits,
        Array.from({ length: 10 }, () => true)
      )
    })
  )

  it.effect("finds a bug, shrinks the plan to the one step that matters, and plays it again at once", () =>
    Effect.gen(function* () {
      const failed = yield* Effect.flip(FaultPlan.check({ hosts, runs: 500, seed: 3 }, planted([])))
      assert.match(failed.plan, /^network seed \d+\n +0\.000 s {2}bob is stopped, for 10\.001 s$/)
      assert.include(failed.message, "bob does not like that")
      assert.include(failed.message, `after ${failed.runs} plans, with this one:\n${failed.plan}`)
      assert.include(failed.message, `again: seed 3, path "${failed.path}"`)
      const played: Array<FaultPlan.FaultPlan> = []
      const again = yield* Effect.flip(
        FaultPlan.check({ hosts, runs: 500, seed: failed.seed, path: failed.path }, planted(played))
      )
      assert.deepInclude(again, { plan: failed.plan, path: failed.path, runs: 1 })
      assert.lengthOf(played, 1)
    })
  )

  it.effect("fails for what dies, and for what comes to no end", () =>
    Effect.gen(function* () {
      const died = yield* Effect.flip(FaultPlan.check({ hosts, runs: 1 }, () => Effect.die(new Error("a defect"))))
      assert.include(died.reason, "a defect")
      const stuck = yield* Effect.flip(FaultPlan.check({ hosts, runs: 1 }, () => Effect.never))
      assert.include(stuck.reason, "nothing is left to happen")
    })
  )

  it.live("ends when it is interrupted, and plays no more", () =>
    Effect.gen(function* () {
      let begun = 0
      const fiber = yield* Effect.fork(
        FaultPlan.check({ hosts, runs: 100_000 }, () =>
          Effect.zipRight(
            Effect.sync(() => begun++),
            Effect.sleep("1 second")
          )
        )
      )
      yield* Effect.sleep("50 millis")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      yield* Effect.sleep("20 millis")
      const until = begun
      yield* Effect.sleep("50 millis")
      assert.strictEqual(begun, until)
    })
  )
})
