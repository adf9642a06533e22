import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as SyncRef from "../../src/internal/SyncRef.js"

describe("a state for callbacks and fibers", () => {
  it.effect("is a Ref like any other: what one side writes, the other reads", () =>
    Effect.gen(function* () {
      const state = SyncRef.make(1)
      assert.strictEqual(yield* state.ref, 1)
      state.update((n) => n + 1)
      assert.strictEqual(yield* Ref.get(state.ref), 2)
      yield* Ref.update(state.ref, (n) => n * 10)
      assert.strictEqual(state.get(), 20)
      assert.strictEqual(yield* Ref.getAndSet(state.ref, 5), 20)
      assert.strictEqual(yield* Ref.modify(state.ref, (n) => ["was " + n, n + 1]), "was 5")
      assert.strictEqual(
        state.modify((n) => [n, 0]),
        6
      )
      assert.strictEqual(yield* Ref.updateAndGet(state.ref, (n) => n - 1), -1)
    })
  )

  it.effect("stays as it was where a change throws", () =>
    Effect.gen(function* () {
      const state = SyncRef.make("before")
      assert.throws(() =>
        state.update(() => {
          throw new Error("no")
        })
      )
      yield* Effect.exit(Ref.update(state.ref, () => JSON.parse("{")))
      assert.strictEqual(state.get(), "before")
    })
  )
})
