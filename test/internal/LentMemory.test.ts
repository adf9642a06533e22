import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { giveBack, lend } from "../../src/internal/LentMemory.js"

const isSameMemory = (one: Uint8Array, other: Uint8Array): boolean => one.buffer === other.buffer

describe("LentMemory", () => {
  it("lends what was given back, for a length that needs as much", () => {
    const first = lend(65_700)
    assert.strictEqual(first.length, 65_700)
    giveBack(first)
    const second = lend(66_000)
    assert.isTrue(isSameMemory(first, second))
    assert.strictEqual(second.length, 66_000)
    assert.isFalse(isSameMemory(second, lend(65_700)), "it is lent again")
  })

  it("takes each back once, and nothing that it has not lent", () => {
    const lent = lend(40_000)
    giveBack(lent)
    giveBack(lent)
    const [one, other] = [lend(40_000), lend(40_000)]
    assert.isTrue(isSameMemory(lent, one))
    assert.isFalse(isSameMemory(one, other))
    const foreign = new Uint8Array(40_960)
    giveBack(foreign)
    assert.isFalse(isSameMemory(foreign, lend(40_960)))
  })

  it("lends neither short nor very long arrays: those are as others", () => {
    for (const bytes of [0, 1, 16_383, 81_921, 1_000_000]) {
      const array = lend(bytes)
      assert.strictEqual(array.length, bytes)
      giveBack(array)
      assert.isFalse(bytes > 0 && isSameMemory(array, lend(bytes)))
    }
  })

  it("keeps a megabyte at most", () => {
    const all = Array.from({ length: 40 }, () => lend(80_000))
    for (const array of all) giveBack(array)
    const memories = new Set(all.map(({ buffer }) => buffer))
    const again = Array.from({ length: 40 }, () => lend(80_000)).filter(({ buffer }) => memories.has(buffer))
    assert.isAtLeast(again.length, 1)
    assert.isAtMost(again.length * 81_920, 1_048_576)
  })

  it("never lends the same memory to two, and wastes less than 8 KiB of each", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 10_000, max: 90_000 }), fc.boolean()), { maxLength: 60 }),
        (steps) => {
          const out = new Set<Uint8Array>()
          for (const [bytes, isReturned] of steps) {
            const array = lend(bytes)
            assert.strictEqual(array.length, bytes)
            assert.isBelow(array.buffer.byteLength - bytes, 8192)
            for (const other of out) assert.isFalse(isSameMemory(array, other))
            out.add(array)
            const [oldest] = out
            if (!isReturned || oldest === undefined) continue
            out.delete(oldest)
            giveBack(oldest)
          }
        }
      )
    )
  })
})
