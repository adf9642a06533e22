import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as Turns from "../../src/cli/Turns.js"

describe("Turns", () => {
  it.effect("runs those with one key in the order in which they asked, others beside them", () =>
    Effect.gen(function* () {
      const turns = Turns.make(Duration.minutes(1))
      const done: Array<string> = []
      const work = (key: string, name: string, seconds: number) =>
        turns.next(key)(
          Effect.zipRight(
            Effect.sleep(`${seconds} seconds`),
            Effect.sync(() => done.push(name))
          )
        )
      // Asked for in this order, run in another.
      const effects = [work("a", "a1", 3), work("a", "a2", 1), work("b", "b1", 1)]
      yield* Effect.forkAll(effects.toReversed())
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(done, ["b1"])
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(done, ["b1", "a1", "a2"])
    })
  )

  it.effect("goes on after one that failed or was interrupted, and keeps nothing", () =>
    Effect.gen(function* () {
      const turns = Turns.make(Duration.minutes(1))
      const failing = turns.next("a")(Effect.fail("no"))
      const hanging = turns.next("a")(Effect.never)
      const last = turns.next("a")(Effect.succeed(1))
      assert.strictEqual(yield* Effect.flip(failing), "no")
      const fiber = yield* Effect.fork(hanging)
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* last, 1)
      assert.strictEqual(turns.size(), 0)
    })
  )

  it.effect("gives a turn up when the ones before take too long, and keeps the order of the rest", () =>
    Effect.gen(function* () {
      const turns = Turns.make(Duration.seconds(5))
      const first = yield* Effect.fork(turns.next("a")(Effect.sleep("6 seconds")))
      const second = yield* Effect.fork(Effect.flip(turns.next("a")(Effect.die("run"))))
      yield* TestClock.adjust("4 seconds")
      const third = yield* Effect.fork(turns.next("a")(Effect.succeed(3)))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(second), { _tag: "TurnTimeout" })
      assert.isNull(third.unsafePoll())
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(first)
      assert.strictEqual(yield* Fiber.join(third), 3)
      assert.strictEqual(turns.size(), 0)
    })
  )
})
