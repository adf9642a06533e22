import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Samples } from "../../src/internal/Samples.js"

const millis = fc.double({ min: 0, max: 1e6, noNaN: true })

describe("Samples", () => {
  it("has no statistics before the first sample", () => {
    const samples = new Samples()
    assert.strictEqual(samples.count, 0)
    assert.isUndefined(samples.last)
    assert.isUndefined(samples.mean)
    assert.isUndefined(samples.quantile(0.5))
  })

  it("gives the statistics of the last samples, as a naive model does after each one", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.array(millis, { minLength: 1, maxLength: 120, size: "max" }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (window, added, p) => {
          const samples = new Samples(window)
          for (const [index, sample] of added.entries()) {
            samples.add(sample)
            const model = added.slice(Math.max(0, index + 1 - window), index + 1)
            assert.strictEqual(samples.count, model.length)
            assert.strictEqual(samples.last, sample)
            assert.closeTo(samples.mean ?? -1, model.reduce((sum, one) => sum + one, 0) / model.length, 1e-6)
            const smallest = model
              .toSorted((a, b) => a - b)
              .find((one) => model.filter((other) => other <= one).length >= p * model.length)
            assert.strictEqual(samples.quantile(p), smallest)
          }
        }
      )
    )
  })

  it("keeps 128 samples", () => {
    const samples = new Samples()
    for (let sample = 1; sample <= 1_000; sample++) samples.add(sample)
    assert.strictEqual(samples.count, 128)
    assert.strictEqual(samples.last, 1_000)
    assert.strictEqual(samples.mean, (873 + 1_000) / 2)
    assert.strictEqual(samples.quantile(0), 873)
    assert.strictEqual(samples.quantile(0.5), 936)
    assert.strictEqual(samples.quantile(0.99), 999)
    assert.strictEqual(samples.quantile(1), 1_000)
  })

  it("takes a share out of bounds for the nearest one within", () => {
    const samples = new Samples()
    samples.add(2)
    samples.add(1)
    assert.strictEqual(samples.quantile(-1), 1)
    assert.strictEqual(samples.quantile(2), 2)
  })
})
