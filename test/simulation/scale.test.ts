import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { defaults, run } from "./support/Swarm.js"

describe("A network of more nodes than each can know", () => {
  it("comes together, reaches all, and heals when a third of it is gone at once", { timeout: 60_000 }, () =>
    Effect.gen(function* () {
      const report = yield* run({ ...defaults, nodes: 120, target: 6, lost: 1 / 3, broadcasts: 2 })
      assert.deepStrictEqual(report.broken, [])
      assert.isBelow(report.joined, 10_000, "one component within a round of discovery")
      assert.isBelow(report.settled, 20_000, "each has its peers within two")
      // heartbeatTimeout, one sweep, and a look of this test.
      assert.isBelow(report.noticed, 16_500)
      assert.isBelow(report.healed, 60_000)
      assert.isAtLeast(report.rest.least, 6)
      for (const [spreads, { mean }] of [
        [report.before, report.whole],
        [report.after, report.rest]
      ] as const) {
        assert.lengthOf(spreads, 2)
        for (const { all, duplicates, hops, of, reached } of spreads) {
          assert.strictEqual(reached, of)
          assert.isBelow(all, 1_000)
          assert.isAtMost(hops.length, 9)
          // Over each link it comes at most once from either side, and one of these was the first.
          assert.isAtMost(duplicates / reached, mean)
        }
      }
    }).pipe(Effect.runPromise)
  )
})
