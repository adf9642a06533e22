import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { EventHeap } from "../../../src/internal/sim/EventHeap.js"

const drained = (heap: EventHeap): ReadonlyArray<number | undefined> => {
  const times: Array<number | undefined> = []
  for (let at = heap.nextAt(); at !== undefined; at = heap.nextAt()) {
    times.push(at)
    heap.take()?.()
  }
  return times
}

describe("EventHeap", () => {
  it("gives things by time, and those of one instant in the order in which they were added", () =>
    fc.assert(
      fc.property(fc.array(fc.nat(20)), (times) => {
        const heap = new EventHeap()
        const happened: Array<number> = []
        for (const [index, at] of times.entries()) heap.add(at, () => happened.push(index))
        assert.strictEqual(heap.size, times.length)
        assert.deepStrictEqual(
          drained(heap),
          [...times].sort((one, other) => one - other)
        )
        // The sort of arrays is stable.
        const byTime = [...times.keys()].sort((one, other) => (times[one] ?? 0) - (times[other] ?? 0))
        assert.deepStrictEqual(happened, byTime)
        assert.strictEqual(heap.size, 0)
      })
    ))

  it("passes over what is taken back, whenever that is, and counts what is left", () => {
    const command = fc.oneof(
      fc.record({ add: fc.nat(20) }),
      fc.record({ takeBack: fc.nat(30) }),
      fc.constant({ take: true as const })
    )
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        const heap = new EventHeap()
        const takeBacks: Array<() => void> = []
        const happened: Array<number> = []
        let model: Array<{ readonly at: number; readonly id: number }> = []
        const wanted: Array<number> = []
        for (const each of commands) {
          if ("add" in each) {
            const id = takeBacks.length
            takeBacks.push(heap.add(each.add, () => happened.push(id)))
            model = [...model, { at: each.add, id }].sort((one, other) => one.at - other.at || one.id - other.id)
          } else if ("takeBack" in each) {
            takeBacks[each.takeBack]?.()
            takeBacks[each.takeBack]?.()
            model = model.filter(({ id }) => id !== each.takeBack)
          } else {
            heap.take()?.()
            const [first] = model.splice(0, 1)
            if (first !== undefined) wanted.push(first.id)
          }
          assert.strictEqual(heap.size, model.length)
          assert.strictEqual(heap.nextAt(), model[0]?.at)
        }
        assert.deepStrictEqual(happened, wanted)
      })
    )
  })

  it("gives nothing where there is nothing", () => {
    const heap = new EventHeap()
    assert.isUndefined(heap.nextAt())
    assert.isUndefined(heap.take())
    assert.strictEqual(heap.size, 0)
  })
})
