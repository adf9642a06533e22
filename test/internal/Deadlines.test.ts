import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import * as fc from "fast-check"
import * as Deadlines from "../../src/internal/Deadlines.js"

type Step =
  | { readonly _tag: "after"; readonly millis: number }
  | { readonly _tag: "cancel"; readonly which: number }
  | { readonly _tag: "adjust"; readonly millis: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      _tag: fc.constant("after" as const),
      millis: fc.oneof(
        fc.integer({ min: -5, max: 120 }),
        fc.integer({ min: 0, max: 5_000 }),
        fc.double({ min: 0, max: 50, noNaN: true })
      )
    })
  },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("cancel" as const), which: fc.nat(60) }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("adjust" as const), millis: fc.nat(150) }) }
)

interface Modelled {
  readonly name: number
  readonly deadline: number
  readonly due: number
}

/** Every entry in one list, looked through at every step. */
class Model {
  private now = 0
  private names = 0
  private pending: Array<Modelled> = []
  readonly fired: Array<{ readonly name: number; readonly at: number }> = []

  after(millis: number): number {
    const deadline = this.now + Math.max(0, millis)
    this.pending.push({
      name: this.names,
      deadline,
      due: deadline === this.now ? this.now : Math.ceil(deadline / 10) * 10
    })
    return this.names++
  }

  cancel(name: number): void {
    this.pending = this.pending.filter((entry) => entry.name !== name)
  }

  adjust(millis: number): void {
    this.now += millis
    const due = this.pending.filter((entry) => entry.due <= this.now)
    this.pending = this.pending.filter((entry) => entry.due > this.now)
    due.sort((a, b) => a.due - b.due || a.deadline - b.deadline || a.name - b.name)
    for (const { name, due: at } of due) this.fired.push({ name, at })
  }

  get size(): number {
    return this.pending.length
  }
}

/** Counts what the timer asks of a clock, and how much of it is under way. */
const countingClock = (clock: Clock.Clock) => {
  const counts = { started: 0, active: 0, longest: 0 }
  const counting: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    currentTimeMillis: clock.currentTimeMillis,
    currentTimeNanos: clock.currentTimeNanos,
    unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis(),
    unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
    sleep: (duration) =>
      Effect.suspend(() => {
        counts.started++
        counts.active++
        counts.longest = Math.max(counts.longest, Duration.toMillis(duration))
        return Effect.ensuring(
          clock.sleep(duration),
          Effect.sync(() => {
            counts.active--
          })
        )
      })
  }
  return { counting, counts }
}

const settle = TestClock.adjust(0)

describe("Deadlines", () => {
  it("fires what a naive model fires, when and in the order that it does", { timeout: 60_000 }, () =>
    fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: "max" }), (steps) =>
        Effect.gen(function* () {
          const deadlines = yield* Deadlines.make
          const model = new Model()
          const cancels: Array<Deadlines.Cancel> = []
          const fired: Array<{ readonly name: number; readonly at: number }> = []
          const adjust = (millis: number) =>
            Effect.gen(function* () {
              yield* TestClock.adjust(millis)
              model.adjust(millis)
              assert.deepStrictEqual(fired, model.fired)
              assert.strictEqual(deadlines.size, model.size)
            })
          for (const current of steps) {
            if (current._tag === "after") {
              const name = model.after(current.millis)
              cancels.push(deadlines.after(current.millis, () => fired.push({ name, at: deadlines.now() })))
            } else if (current._tag === "cancel") {
              model.cancel(current.which)
              cancels[current.which]?.()
            } else yield* adjust(current.millis)
            assert.strictEqual(deadlines.size, model.size)
          }
          yield* adjust(100)
          yield* adjust(6_000)
          assert.strictEqual(deadlines.size, 0)
        }).pipe(Effect.scoped, Effect.provide(TestContext.TestContext), Effect.runPromise)
      ),
      { numRuns: 25 }
    )
  )

  it("fires all that came due meanwhile in order, whatever came and went before", { timeout: 60_000 }, () =>
    fc.assert(
      fc.asyncProperty(
        fc
          .uniqueArray(fc.integer({ min: 1, max: 2_000 }), { minLength: 1, maxLength: 200, size: "max" })
          .chain((tens) => fc.record({ tens: fc.constant(tens), cancelled: fc.shuffledSubarray(tens) })),
        ({ cancelled, tens }) =>
          Effect.gen(function* () {
            const { counting } = countingClock(yield* Effect.clock)
            let behind = 0n
            const busy: Clock.Clock = {
              ...counting,
              unsafeCurrentTimeNanos: () => counting.unsafeCurrentTimeNanos() + behind
            }
            const deadlines = yield* Effect.withClock(Deadlines.make, busy)
            const fired: Array<number> = []
            const cancels = new Map(tens.map((ten) => [ten, deadlines.after(ten * 10, () => fired.push(ten))]))
            for (const ten of cancelled) cancels.get(ten)?.()
            assert.strictEqual(deadlines.size, tens.length - cancelled.length)
            deadlines.after(1, () => {})
            yield* settle
            behind = 20_000_000_000n
            yield* TestClock.adjust(10)
            const gone = new Set(cancelled)
            assert.deepStrictEqual(
              fired,
              tens.filter((ten) => !gone.has(ten)).toSorted((a, b) => a - b)
            )
          }).pipe(Effect.scoped, Effect.provide(TestContext.TestContext), Effect.runPromise)
      ),
      { numRuns: 40 }
    )
  )

  it.scoped("rounds up to its granularity, and fires no sooner", () =>
    Effect.gen(function* () {
      const deadlines = yield* Deadlines.make
      const fired: Array<number> = []
      yield* TestClock.adjust(3)
      deadlines.after(Deadlines.granularityMillis, () => fired.push(deadlines.now()))
      yield* TestClock.adjust(16)
      assert.deepStrictEqual(fired, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(fired, [20])
    })
  )

  it.scoped("is woken by an entry earlier than the one it sleeps for, again and again", () =>
    Effect.gen(function* () {
      const deadlines = yield* Deadlines.make
      const fired: Array<string> = []
      for (const seconds of [60, 30, 10, 5]) {
        deadlines.after(seconds * 1000, () => fired.push(`${seconds} s at ${deadlines.now()}`))
        yield* settle
      }
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(fired, ["5 s at 5000", "10 s at 10000", "30 s at 30000", "60 s at 60000"])
    })
  )

  it.scoped("fires what is due at once without the clock moving, and never from within the call", () =>
    Effect.gen(function* () {
      const deadlines = yield* Deadlines.make
      const fired: Array<string> = []
      const done = yield* Deferred.make<void>()
      for (const millis of [0, -1, Number.NaN]) deadlines.after(millis, () => fired.push(String(millis)))
      deadlines.after(0, () => Deferred.unsafeDone(done, Effect.void))
      assert.deepStrictEqual(fired, [])
      assert.strictEqual(deadlines.size, 4)
      yield* Deferred.await(done)
      assert.deepStrictEqual(fired, ["0", "-1", "NaN"])
    })
  )

  it.scoped("lets an entry that fires add another, which waits for its own turn", () =>
    Effect.gen(function* () {
      const deadlines = yield* Deadlines.make
      const fired: Array<string> = []
      const again = (left: number) => {
        fired.push(`again ${left}`)
        if (left > 0) deadlines.after(0, () => again(left - 1))
      }
      deadlines.after(10, () => again(2))
      deadlines.after(10, () => fired.push("other"))
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(fired, ["again 2", "other", "again 1", "again 0"])
    })
  )

  it.scoped("takes back an entry once, also from within one that fires with it", () =>
    Effect.gen(function* () {
      const deadlines = yield* Deadlines.make
      const fired: Array<string> = []
      const first = deadlines.after(10, () => {
        fired.push("first")
        first()
        second()
        later()
      })
      const second = deadlines.after(10, () => fired.push("second"))
      const later = deadlines.after(20, () => fired.push("later"))
      deadlines.after(20, () => fired.push("last"))
      yield* TestClock.adjust(10)
      assert.strictEqual(deadlines.size, 1)
      first()
      second()
      second()
      assert.strictEqual(deadlines.size, 1)
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(fired, ["first", "last"])
    })
  )

  it.scoped("takes back an entry of a bucket that came due together with an earlier one", () =>
    Effect.gen(function* () {
      const clock = yield* Effect.clock
      let behind = 0n
      // A machine that was busy for a second: the sleep ends late, and both buckets are due.
      const busy: Clock.Clock = {
        ...countingClock(clock).counting,
        unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos() + behind
      }
      const deadlines = yield* Effect.withClock(Deadlines.make, busy)
      const fired: Array<string> = []
      deadlines.after(10, () => {
        fired.push("first")
        cancel()
      })
      const cancel = deadlines.after(20, () => fired.push("second"))
      deadlines.after(30, () => fired.push("third"))
      yield* settle
      behind = 1_000_000_000n
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(fired, ["first", "third"])
      assert.strictEqual(deadlines.size, 0)
    })
  )

  it.scoped("logs what an entry throws, and goes on with the others", () =>
    Effect.gen(function* () {
      const logged: Array<string> = []
      const logger = Logger.make(({ cause, logLevel }) => logged.push(`${logLevel.label} ${Cause.pretty(cause)}`))
      const deadlines = yield* Deadlines.make.pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
      const fired: Array<string> = []
      deadlines.after(10, () => {
        throw new Error("thrown by an entry")
      })
      deadlines.after(10, () => fired.push("with it"))
      deadlines.after(20, () => fired.push("after it"))
      yield* TestClock.adjust(20)
      assert.deepStrictEqual(fired, ["with it", "after it"])
      assert.strictEqual(logged.length, 1)
      assert.match(logged[0] ?? "", /^ERROR [^]*thrown by an entry/)
    })
  )

  it.scoped("sets no timer while nothing is pending, and one whatever is", () =>
    Effect.gen(function* () {
      const { counting, counts } = countingClock(yield* Effect.clock)
      const deadlines = yield* Effect.withClock(Deadlines.make, counting)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(counts.started, 0)
      deadlines.after(Infinity, () => {})
      assert.strictEqual(deadlines.size, 0)
      for (let index = 0; index < 10_000; index++) deadlines.after(10_000 - (index % 200), () => {})
      yield* settle
      assert.strictEqual(counts.active, 1)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(deadlines.size, 0)
      assert.strictEqual(counts.active, 0)
    })
  )

  it.scoped("is not woken by entries that come and go, but once", () =>
    Effect.gen(function* () {
      const { counting, counts } = countingClock(yield* Effect.clock)
      const deadlines = yield* Effect.withClock(Deadlines.make, counting)
      for (let index = 0; index < 200; index++) {
        const cancel = deadlines.after(10_000, () => {})
        for (let turn = 0; turn < 10; turn++) yield* Effect.yieldNow()
        cancel()
      }
      assert.strictEqual(counts.started, 1)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(counts.started, 1)
      assert.strictEqual(counts.active, 0)
    })
  )

  it.scoped("waits longer than a timer of the machine can", () =>
    Effect.gen(function* () {
      const { counting, counts } = countingClock(yield* Effect.clock)
      const deadlines = yield* Effect.withClock(Deadlines.make, counting)
      const fired: Array<number> = []
      const month = Duration.toMillis("31 days")
      deadlines.after(month, () => fired.push(deadlines.now()))
      yield* TestClock.adjust("30 days")
      assert.deepStrictEqual(fired, [])
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual(fired, [month])
      assert.isBelow(counts.longest, 2 ** 31)
    })
  )

  it.effect("fires nothing after its Scope has closed, and leaves no timer, though made where nothing interrupts", () =>
    Effect.gen(function* () {
      const { counting, counts } = countingClock(yield* Effect.clock)
      const scope = yield* Scope.make()
      const deadlines = yield* Deadlines.make.pipe(
        Effect.withClock(counting),
        Scope.extend(scope),
        Effect.uninterruptible
      )
      const fired: Array<string> = []
      const cancel = deadlines.after(1_000, () => fired.push("before"))
      yield* settle
      deadlines.after(500, () => fired.push("before, earlier"))
      yield* settle
      assert.strictEqual(counts.active, 1)
      yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.strictEqual(counts.active, 0)
      assert.strictEqual(deadlines.size, 0)
      cancel()
      deadlines.after(0, () => fired.push("after"))()
      deadlines.after(10, () => fired.push("after"))
      assert.strictEqual(deadlines.size, 0)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(fired, [])
    })
  )

  it.scoped("tells both times of the clock", () =>
    Effect.gen(function* () {
      const clock = yield* Effect.clock
      const stepped: Clock.Clock = {
        ...countingClock(clock).counting,
        unsafeCurrentTimeMillis: () => 1_700_000_000_000
      }
      const deadlines = yield* Effect.withClock(Deadlines.make, stepped)
      yield* TestClock.adjust(250)
      assert.strictEqual(deadlines.now(), 250)
      assert.strictEqual(deadlines.wallNow(), 1_700_000_000_000)
    })
  )

  it.scopedLive("fires in order and not early by the live clock", () =>
    Effect.gen(function* () {
      const deadlines = yield* Deadlines.make
      const done = yield* Deferred.make<void>()
      const started = deadlines.now()
      const fired: Array<{ readonly millis: number; readonly waited: number }> = []
      for (const millis of [21, 3.5, 12, 0, 7]) {
        deadlines.after(millis, () => {
          fired.push({ millis, waited: deadlines.now() - started })
          if (fired.length === 5) Deferred.unsafeDone(done, Effect.void)
        })
      }
      yield* Deferred.await(done)
      assert.deepStrictEqual(
        fired.map(({ millis }) => millis),
        [0, 3.5, 7, 12, 21]
      )
      for (const { millis, waited } of fired) assert.isAtLeast(waited, millis)
    })
  )
})
