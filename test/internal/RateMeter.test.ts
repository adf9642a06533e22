import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { RateMeter } from "../../src/internal/RateMeter.js"

describe("RateMeter", () => {
  it("gives 0 while there are fewer than two samples", () => {
    const meter = new RateMeter()
    assert.strictEqual(meter.perSecond, 0)
    meter.sample(1_000, 500)
    assert.strictEqual(meter.perSecond, 0)
    meter.sample(1_000, 900)
    assert.strictEqual(meter.perSecond, 0)
  })

  it("counts from the first sample, whatever the total was then", () => {
    const meter = new RateMeter()
    meter.sample(5_000, 1_000_000)
    meter.sample(7_000, 1_000_100)
    assert.strictEqual(meter.perSecond, 50)
  })

  it("gives the rate of a total that grows evenly, however irregular the samples", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 100_000 }),
        fc.array(fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 30_000 })), {
          minLength: 1,
          maxLength: 200,
          size: "max"
        }),
        (perSecond, gaps) => {
          const meter = new RateMeter()
          let now = 0
          meter.sample(now, 7)
          for (const gap of gaps) {
            now += gap
            meter.sample(now, 7 + (now / 1000) * perSecond)
            assert.closeTo(meter.perSecond, perSecond, 1e-3 + perSecond * 1e-6)
          }
        }
      )
    )
  })

  it("gives the growth within the window exactly where the samples are at least a second apart", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ gap: fc.integer({ min: 1_000, max: 15_000 }), growth: fc.nat(1_000) }), {
          minLength: 1,
          maxLength: 60,
          size: "max"
        }),
        (steps) => {
          const meter = new RateMeter()
          const points = [{ at: 0, total: 0 }]
          meter.sample(0, 0)
          let now = 0
          let total = 0
          for (const { gap, growth } of steps) {
            now += gap
            total += growth
            points.push({ at: now, total })
            meter.sample(now, total)
            const start = Math.max(0, now - 10_000)
            const next = points.findIndex(({ at }) => at > start)
            const after = points[next] ?? { at: 0, total: 0 }
            const before = points[next - 1] ?? { at: 0, total: 0 }
            const atStart = before.total + ((start - before.at) / (after.at - before.at)) * (after.total - before.total)
            assert.closeTo(meter.perSecond, ((total - atStart) / (now - start)) * 1000, 1e-6)
          }
        }
      )
    )
  })

  it("forgets a burst when the window has passed over it", () => {
    const meter = new RateMeter()
    meter.sample(0, 0)
    meter.sample(1_000, 10_000)
    assert.strictEqual(meter.perSecond, 10_000)
    for (let second = 2; second <= 10; second++) meter.sample(second * 1_000, 10_000)
    assert.strictEqual(meter.perSecond, 1_000)
    meter.sample(11_000, 10_000)
    assert.strictEqual(meter.perSecond, 0)
  })

  it("sees a burst among a thousand samples a second to within a tenth of the window", () => {
    const meter = new RateMeter()
    for (let now = 0; now <= 26_001; now++) meter.sample(now, now <= 15_000 ? 0 : 100)
    assert.strictEqual(meter.perSecond, 0)
    for (let now = 26_002; now <= 40_000; now++) meter.sample(now, 100 + Math.max(0, now - 35_000))
    assert.closeTo(meter.perSecond, 500, 1)
  })

  it("begins anew when the total shrinks, and ignores a sample from the past", () => {
    const meter = new RateMeter()
    meter.sample(0, 1_000)
    meter.sample(1_000, 2_000)
    meter.sample(2_000, 10)
    assert.strictEqual(meter.perSecond, 0)
    meter.sample(1_500, 99)
    meter.sample(3_000, 30)
    assert.strictEqual(meter.perSecond, 20)
  })

  it("takes a window of another length", () => {
    const meter = new RateMeter(1_000)
    for (let now = 0; now <= 5_000; now += 500) meter.sample(now, now < 4_500 ? 0 : 10)
    assert.strictEqual(meter.perSecond, 10)
  })
})
