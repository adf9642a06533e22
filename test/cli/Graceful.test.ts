import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as Graceful from "../../src/cli/Graceful.js"

describe("Graceful", () => {
  it.effect("tells the program of its interruption and waits for its end", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const program = (interrupted: Effect.Effect<void>) =>
        Effect.gen(function* () {
          yield* interrupted
          log.push("told")
          // A time limit holds here, as it would not in a finalizer.
          yield* Effect.timeoutOption(Effect.never, "2 seconds")
          log.push("ended")
        })
      const fiber = yield* Effect.fork(Graceful.run(program))
      yield* Effect.yieldNow()
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(log, ["told"])
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.join(interrupting)))
      assert.deepStrictEqual(log, ["told", "ended"])
    })
  )

  it.effect("gives the program's own value or failure", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Graceful.run(() => Effect.succeed(1)), 1)
      assert.strictEqual(yield* Effect.flip(Graceful.run(() => Effect.fail("no"))), "no")
    })
  )
})
