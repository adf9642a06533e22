import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { TimeShare } from "../../src/internal/TimeShare.js"

describe("TimeShare", () => {
  it("lets what was saved up go at once, and then its share", () => {
    const time = new TimeShare(0.25, 10, 0)
    assert.strictEqual(time.wait(0), 0)
    time.spend(10, 10)
    assert.strictEqual(time.wait(10), 0, "all that was saved up, as no more than 10 ms are held")
    time.spend(4, 14)
    assert.strictEqual(time.wait(14), 12)
    assert.strictEqual(time.wait(26), 0)
  })

  it("does not make up for long what held up everything", () => {
    const time = new TimeShare(0.5, 10, 0)
    time.spend(10_000, 10_000)
    assert.isAtMost(time.wait(10_000), 20)
  })

  it("spends its share of any time, what was saved up, and one piece more, at most", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.05, max: 1, noNaN: true }),
        fc.array(fc.tuple(fc.double({ min: 0.1, max: 5, noNaN: true }), fc.nat(30)), { maxLength: 100 }),
        (share, pieces) => {
          const time = new TimeShare(share, 10, 0)
          let now = 0
          let spent = 0
          for (const [took, idle] of pieces) {
            now += idle + time.wait(now + idle)
            assert.isAtMost(spent, 10 + 5 + now * share + 1e-6)
            now += took
            spent += took
            time.spend(took, now)
          }
        }
      )
    )
  })
})
