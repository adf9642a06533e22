import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { OrderedQueue } from "../../src/internal/OrderedQueue.js"

type Step =
  | { readonly _tag: "push"; readonly times: number }
  | { readonly _tag: "shift"; readonly times: number }
  | { readonly _tag: "drain" }
  | { readonly _tag: "clear" }

const times = fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 90 }))

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ _tag: fc.constant("push" as const), times }) },
  { weight: 8, arbitrary: fc.record({ _tag: fc.constant("shift" as const), times }) },
  { weight: 1, arbitrary: fc.constant({ _tag: "drain" as const }) },
  { weight: 1, arbitrary: fc.constant({ _tag: "clear" as const }) }
)

describe("OrderedQueue", () => {
  it("holds what a plain array holds, whatever is put in and taken out", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
        const queue = new OrderedQueue<number>()
        let model: Array<number> = []
        let next = 0
        for (const current of steps) {
          if (current._tag === "push") {
            for (let time = 0; time < current.times; time++) {
              queue.push(next)
              model.push(next++)
            }
          } else if (current._tag === "shift") {
            for (let time = 0; time < current.times; time++) assert.strictEqual(queue.shift(), model.shift())
          } else if (current._tag === "drain") {
            assert.deepStrictEqual(queue.drain(), model)
            model = []
          } else {
            queue.clear()
            model = []
          }
          assert.strictEqual(queue.length, model.length)
          assert.strictEqual(queue.peek(), model[0])
          assert.deepStrictEqual([...queue], model)
        }
      }),
      { numRuns: 300 }
    )
  })

  it("gives undefined and no items when empty", () => {
    const queue = new OrderedQueue<string>()
    assert.strictEqual(queue.length, 0)
    assert.isUndefined(queue.peek())
    assert.isUndefined(queue.shift())
    assert.deepStrictEqual(queue.drain(), [])
    assert.strictEqual(queue.length, 0)
  })

  it("gives a drained array away: what is pushed later does not appear in it", () => {
    const queue = new OrderedQueue<number>()
    queue.push(1)
    const drained = queue.drain()
    queue.push(2)
    drained.push(3)
    assert.deepStrictEqual(drained, [1, 3])
    assert.deepStrictEqual([...queue], [2])
  })

  it("keeps the order of a hundred thousand items while more come in", () => {
    const queue = new OrderedQueue<number>()
    for (let item = 0; item < 100_000; item++) queue.push(item)
    const outOfOrder: Array<number | undefined> = []
    for (let item = 0; item < 100_000; item++) {
      const taken = queue.shift()
      if (taken !== item) outOfOrder.push(taken)
      if (item % 2 === 0) queue.push(100_000 + item / 2)
    }
    assert.deepStrictEqual(outOfOrder, [])
    assert.strictEqual(queue.length, 50_000)
    assert.strictEqual(queue.peek(), 100_000)
  })
})
