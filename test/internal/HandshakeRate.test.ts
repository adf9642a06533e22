import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { HandshakeRate, sourceOf } from "../../src/internal/HandshakeRate.js"

describe("HandshakeRate", () => {
  it("lets as many begin at once as it may, then one after the other, and says when", () => {
    const rate = new HandshakeRate(10, 3)
    assert.deepStrictEqual(
      [0, 0, 0].map((at) => rate.take("a", at)),
      [undefined, undefined, undefined]
    )
    assert.strictEqual(rate.take("a", 0), 100)
    assert.strictEqual(rate.take("a", 40), 60)
    assert.strictEqual(rate.take("b", 40), undefined, "another address has its own")
    assert.strictEqual(rate.take("a", 100), undefined)
    assert.strictEqual(rate.take("a", 100), 100)
  })

  it("never lets more begin than the burst and the rate, and refuses nothing below the rate", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 200 }),
        (perSecond, burst, gaps) => {
          const rate = new HandshakeRate(perSecond, burst)
          let now = 0
          let taken = 0
          for (const gap of gaps) {
            now += gap
            const wait = rate.take("a", now)
            if (wait === undefined) taken++
            else assert.isAtMost(wait, 1_000 / perSecond + 1e-6)
            assert.isAtMost(taken, burst + (now * perSecond) / 1_000 + 1e-6)
          }
          const slow = new HandshakeRate(perSecond, burst)
          for (let i = 0; i < 100; i++) assert.isUndefined(slow.take("a", (i * 1_000) / perSecond))
        }
      )
    )
  })

  it("remembers who has begun of late, and 4,096 at most", () => {
    const rate = new HandshakeRate(1, 1)
    for (let n = 0; n < 10_000; n++) rate.take(`host-${n}`, 0)
    assert.strictEqual(rate.size, 4_096)
    rate.take("late", 2_000)
    assert.strictEqual(rate.size, 1)
  })

  it("takes the addresses of one IPv6 network of 64 bits for one, however they are written", () => {
    const same = ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"]
    assert.deepStrictEqual([...new Set(same.map(sourceOf))], ["2001:db8:1:2"])
    assert.strictEqual(sourceOf("2001:db8::1"), "2001:db8:0:0")
    assert.strictEqual(sourceOf("::ffff:0:1"), "0:0:0:0")
    assert.notStrictEqual(sourceOf("2001:db8:1:3::1"), sourceOf("2001:db8:1:2::1"))
    assert.strictEqual(sourceOf("::ffff:10.0.0.1"), "10.0.0.1")
    assert.strictEqual(sourceOf("10.0.0.1"), "10.0.0.1")
  })
})
