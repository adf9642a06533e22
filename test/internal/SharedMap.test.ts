import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { SharedMap } from "../../src/internal/SharedMap.js"

describe("a map for callbacks and fibers", () => {
  it.effect("is a Ref like any other: what one side writes, the other reads", () =>
    Effect.gen(function* () {
      const map = new SharedMap<string, number>()
      map.set("a", 1)
      assert.deepStrictEqual([...(yield* map)], [["a", 1]])
      yield* Ref.update(map, (before) => new Map([...before, ["b", 2]]))
      assert.strictEqual(map.unsafeGet().get("b"), 2)
      map.set("a", undefined)
      assert.deepStrictEqual([...(yield* Ref.get(map))], [["b", 2]])
      assert.strictEqual(yield* Ref.modify(map, (before) => [before.size, before]), 1)
      assert.deepStrictEqual([...(yield* Ref.getAndSet(map, new Map()))], [["b", 2]])
      assert.strictEqual(map.unsafeGet().size, 0)
    })
  )

  it.effect("does not change under a fiber that has it, nor where the fiber changes what it gave", () =>
    Effect.gen(function* () {
      const map = new SharedMap<string, number>()
      map.set("a", 1)
      const before = yield* map
      map.set("b", 2)
      map.set("a", 3)
      assert.deepStrictEqual([...before], [["a", 1]])
      const given = new Map([["c", 4]])
      yield* Ref.set(map, given)
      given.set("d", 5)
      assert.deepStrictEqual([...map.unsafeGet()], [["c", 4]])
      const kept = yield* Ref.modify(map, (now) => [now, now])
      map.set("e", 6)
      assert.deepStrictEqual([...kept], [["c", 4]])
    })
  )

  it("is not copied for callbacks", () => {
    const map = new SharedMap<string, number>()
    const now = map.unsafeGet()
    map.set("a", 1)
    assert.strictEqual(map.unsafeGet(), now)
    assert.strictEqual(now.get("a"), 1)
  })
})
