import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { PassingMap } from "../../src/internal/PassingMap.js"

const step = fc.record({ sets: fc.boolean(), key: fc.nat(200), value: fc.nat() })

describe("PassingMap", () => {
  it("holds what a Map holds, whatever comes and goes", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 300, maxLength: 1500 }), (steps) => {
        const map = new PassingMap<number, number>()
        const model = new Map<number, number>()
        for (const { key, sets, value } of steps) {
          if (sets) {
            map.set(key, value)
            model.set(key, value)
          } else {
            map.delete(key)
            model.delete(key)
          }
          assert.strictEqual(map.size, model.size)
          assert.strictEqual(map.get(key), model.get(key))
        }
        assert.deepStrictEqual(map.values(), [...model.values()])
      }),
      { numRuns: 50 }
    )
  })

  it("may be changed while what it held is looked at", () => {
    const map = new PassingMap<number, number>()
    for (let key = 0; key < 500; key++) map.set(key, key)
    let seen = 0
    for (const key of map.values()) {
      map.delete(key)
      map.set(1000 + key, key)
      seen++
    }
    assert.strictEqual(seen, 500)
    assert.strictEqual(map.size, 500)
  })
})
