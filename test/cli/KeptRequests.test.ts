import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as KeptRequests from "../../src/cli/KeptRequests.js"

const make = () => KeptRequests.make(Duration.seconds(10))

/** Begins to keep a request, and waits until it is shown. */
const keep = (kept: KeptRequests.KeptRequests, from: string, id: string) =>
  Effect.gen(function* () {
    const shown = yield* Deferred.make<void>()
    const show = Effect.asVoid(Deferred.succeed(shown, undefined))
    const fiber = yield* Effect.fork(Effect.exit(kept.keep(from, id, show)))
    yield* Deferred.await(shown)
    return Fiber.join(fiber)
  })

describe("KeptRequests", () => {
  it.effect("tells requests of different nodes with one id apart", () =>
    Effect.gen(function* () {
      const kept = make()
      const first = yield* keep(kept, "node-b", "m-1")
      const second = yield* keep(kept, "node-c", "m-1")
      yield* kept.answer("node-c", "m-1", Effect.succeed({ of: "c" }))
      yield* kept.answer("node-b", "m-1", Effect.fail("no"))
      assert.deepStrictEqual(yield* second, Exit.succeed({ of: "c" }))
      assert.deepStrictEqual(yield* first, Exit.fail("no"))
    })
  )

  it.effect("takes an answer that comes while the request is still being shown", () =>
    Effect.gen(function* () {
      const kept = make()
      const show = Effect.zipRight(Effect.sleep("1 minute"), Effect.void)
      const fiber = yield* Effect.fork(kept.keep("node-b", "m-1", show))
      yield* TestClock.adjust("1 second")
      yield* kept.answer("node-b", "m-1", Effect.succeed({}))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.join(fiber), {})
    })
  )

  it.effect("counts the time for an answer from when the request was shown", () =>
    Effect.gen(function* () {
      const kept = make()
      const fiber = yield* Effect.fork(Effect.exit(kept.keep("node-b", "m-1", Effect.sleep("1 minute"))))
      yield* TestClock.adjust("69 seconds")
      assert.strictEqual(kept.size(), 1)
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(fiber)))
      assert.strictEqual(kept.size(), 0)
    })
  )

  it.effect("does not show a second request with a name that waits, and leaves the first as it is", () =>
    Effect.gen(function* () {
      const kept = make()
      const first = yield* keep(kept, "node-b", "m-1")
      const second = yield* Effect.flip(kept.keep("node-b", "m-1", Effect.die("shown")))
      assert.deepInclude(second, { _tag: "RequestIdInUse" })
      yield* kept.answer("node-b", "m-1", Effect.succeed({}))
      assert.deepStrictEqual(yield* first, Exit.succeed({}))
    })
  )

  it.effect("forgets a request once it is answered, failed or interrupted", () =>
    Effect.gen(function* () {
      const kept = make()
      const first = yield* keep(kept, "node-b", "m-1")
      yield* kept.answer("node-b", "m-1", Effect.succeed({}))
      const again = yield* keep(kept, "node-b", "m-1")
      yield* first
      yield* kept.answer("node-b", "m-1", Effect.succeed({ again: true }))
      assert.deepStrictEqual(yield* again, Exit.succeed({ again: true }))
      const interrupted = yield* Effect.fork(kept.keep("node-b", "m-2", Effect.void))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(interrupted)
      assert.strictEqual(kept.size(), 0)
      const unknown = yield* Effect.flip(kept.answer("node-b", "m-2", Effect.succeed({})))
      assert.include(unknown.message, "no request m-2 of node-b")
    })
  )

  it.effect("refuses all that wait and all that come once it is closed", () =>
    Effect.gen(function* () {
      const kept = make()
      const waiting = yield* keep(kept, "node-b", "m-1")
      yield* kept.close
      const stops = Exit.fail({ _tag: "ShuttingDown", message: "the node stops" })
      assert.deepStrictEqual(yield* waiting, stops)
      assert.deepStrictEqual(yield* Effect.exit(kept.keep("node-b", "m-2", Effect.die("shown"))), stops)
    })
  )
})
