import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import { SimulatedProcess } from "../../../src/internal/sim/SimulatedProcess.js"
import { World } from "../../../src/internal/sim/World.js"

const makeWorld = (): World => new World({ seed: 1, limit: Infinity, traceLines: 0 })

/** Runs the world until nothing is left to happen. */
const settle = (world: World): Promise<unknown> =>
  new Promise((resolve, reject) => {
    world.drive(() => false, resolve, reject)
  })

const start = <A, E>(process: SimulatedProcess, effect: Effect.Effect<A, E>) =>
  process.fork(Runtime.defaultRuntime, effect)

const log = (world: World) => {
  const lines: Array<string> = []
  return { lines, say: (what: string) => Effect.sync(() => void lines.push(`${world.now} ${what}`)) }
}

const drawn = async (name: string): Promise<number> => {
  const world = makeWorld()
  const fiber = start(new SimulatedProcess(world, name), Random.nextIntBetween(0, 1_000_000_000))
  await settle(world)
  return Effect.runPromise(Fiber.join(fiber))
}

describe("SimulatedProcess", () => {
  it("runs by the time of its world, forked fibers and time limits included", async () => {
    const world = makeWorld()
    const { lines, say } = log(world)
    start(
      new SimulatedProcess(world, "one"),
      Effect.gen(function* () {
        const began = yield* Clock.currentTimeNanos
        const fiber = yield* Effect.fork(Effect.delay(say("forked"), "2 hours"))
        yield* Effect.sleep("1 hour")
        yield* say("hour")
        yield* Effect.timeoutOption(Effect.never, "10 millis")
        yield* say("gave up")
        yield* Fiber.join(fiber)
        const ended = yield* Clock.currentTimeNanos
        yield* say(`after ${ended - began} ns`)
      })
    )
    await settle(world)
    assert.deepStrictEqual(lines, [
      "3600000 hour",
      "3600010 gave up",
      "7200000 forked",
      "7200000 after 7200000000000 ns"
    ])
  })

  it("has randomness of its own, the same for the same seed and name", async () => {
    assert.strictEqual(await drawn("one"), await drawn("one"))
    assert.notStrictEqual(await drawn("one"), await drawn("other"))
  })

  it("stopped, does late what fell due in between, in order, before what comes in the instant it goes on", async () => {
    const world = makeWorld()
    const lines: Array<string> = []
    const process = new SimulatedProcess(world, "one")
    for (const delay of [10, 20, 30]) {
      world.after(delay, () => process.deliver(() => lines.push(`${world.now} due at ${delay}`)))
    }
    let goOn: (() => void) | undefined
    world.after(5, () => {
      goOn = process.pause()
    })
    world.after(50, () => {
      // Both in one round: it goes on, and something new comes.
      world.soon(() => goOn?.())
      process.deliver(() => lines.push(`${world.now} new`))
    })
    await settle(world)
    assert.deepStrictEqual(lines, ["50 due at 10", "50 due at 20", "50 due at 30", "50 new"])
  })

  it("stopped twice goes on when both are over, and stays so however often that is said", async () => {
    const world = makeWorld()
    const { lines, say } = log(world)
    const process = new SimulatedProcess(world, "one")
    start(process, say("ran"))
    const [first, second] = [process.pause(), process.pause()]
    world.after(10, first)
    world.after(11, first)
    world.after(20, second)
    await settle(world)
    assert.deepStrictEqual(lines, ["20 ran"])
  })

  it("released goes on whatever stopped it, and can be stopped again when those are over", async () => {
    const world = makeWorld()
    const { lines, say } = log(world)
    const process = new SimulatedProcess(world, "one")
    const early = process.pause()
    start(process, say("ran"))
    world.after(10, () => process.release())
    world.after(20, early)
    world.after(30, () => {
      process.pause()
      start(process, say("never"))
    })
    await settle(world)
    assert.deepStrictEqual(lines, ["10 ran"])
  })

  it("stopped anew while it goes on keeps the rest for later", async () => {
    const world = makeWorld()
    const lines: Array<string> = []
    const process = new SimulatedProcess(world, "one")
    const goOn = process.pause()
    let second: (() => void) | undefined
    process.deliver(() => {
      lines.push(`${world.now} one`)
      second = process.pause()
    })
    process.deliver(() => lines.push(`${world.now} two`))
    process.deliver(() => lines.push(`${world.now} three`))
    world.after(10, goOn)
    world.after(20, () => second?.())
    await settle(world)
    assert.deepStrictEqual(lines, ["10 one", "20 two", "20 three"])
  })

  it("killed runs nothing more: no sleep, no finalizer, nothing that was held", async () => {
    const world = makeWorld()
    const { lines, say } = log(world)
    const process = new SimulatedProcess(world, "one")
    start(process, Effect.ensuring(Effect.delay(say("slept"), 10), say("finalizer")))
    world.after(1, () => void process.pause())
    world.after(2, () => start(process, say("held")))
    world.after(3, () => process.kill())
    world.after(4, () => process.release())
    world.after(5, () => start(process, say("after its end")))
    await settle(world)
    assert.deepStrictEqual(lines, [])
    assert.isTrue(process.isKilled)
  })

  it("counts sleeps under way, each once, also where one is interrupted in the instant it is over", async () => {
    const world = makeWorld()
    const process = new SimulatedProcess(world, "one")
    const counts: Array<number> = []
    const count = (): void => void counts.push(process.sleeping)
    const fiber = start(process, Effect.sleep(10))
    start(process, Effect.sleep(20))
    world.after(5, count)
    world.after(10, () => fiber.unsafeInterruptAsFork(fiber.id()))
    world.after(15, count)
    world.after(16, () => void process.pause())
    world.after(21, count)
    world.after(22, () => process.release())
    await settle(world)
    count()
    assert.deepStrictEqual(counts, [2, 1, 1, 0])
  })

  it("counts its fibers that have not ended", async () => {
    const world = makeWorld()
    const process = new SimulatedProcess(world, "one")
    start(
      process,
      Effect.zipRight(Effect.forkDaemon(Effect.sleep(10)), Effect.forkDaemon(Effect.fork(Effect.sleep(20))))
    )
    const counts: Array<number> = []
    for (const at of [5, 15]) world.after(at, () => void counts.push(process.fibers.count))
    await settle(world)
    // The fiber that forked the second sleep took it along when it ended.
    assert.deepStrictEqual(counts, [1, 0])
  })

  it("has a wall clock that can be wrong, which its timers do not go by", async () => {
    const world = makeWorld()
    const wall = { error: 0 }
    const process = new SimulatedProcess(world, "one", wall)
    world.after(5, () => {
      wall.error = -3_600_000
    })
    const fiber = start(
      process,
      Effect.all([
        Clock.currentTimeMillis,
        Effect.zipRight(Effect.sleep(10), Clock.currentTimeMillis),
        Clock.currentTimeNanos
      ])
    )
    await settle(world)
    const [before, after, nanos] = await Effect.runPromise(Fiber.join(fiber))
    assert.strictEqual(after - before, 10 - 3_600_000)
    assert.strictEqual(nanos, 10_000_000n)
  })

  it("runs what another one asks for, which waits while it is stopped and is told when it is killed", async () => {
    const world = makeWorld()
    const { lines, say } = log(world)
    const [asked, asking] = [new SimulatedProcess(world, "asked"), new SimulatedProcess(world, "asking")]
    const ask = (what: string) => asked.run(Effect.as(Effect.sleep(10), what), asking, Effect.succeed("killed"))
    const report = (what: string) => Effect.flatMap(ask(what), say)
    start(asking, report("first"))
    world.after(20, () => void start(asking, report("second")))
    world.after(25, () => {
      const goOn = asked.pause()
      world.after(25, goOn)
    })
    world.after(60, () => void start(asking, report("third")))
    world.after(65, () => asked.kill())
    world.after(70, () => void start(asking, report("fourth")))
    await settle(world)
    assert.deepStrictEqual(lines, ["10 first", "50 second", "65 killed", "70 killed"])
  })

  it("passes on failures, and the interruption of who asked, who does not wait for it", async () => {
    const world = makeWorld()
    const { lines, say } = log(world)
    const [asked, asking] = [new SimulatedProcess(world, "asked"), new SimulatedProcess(world, "asking")]
    const run = <A, E>(effect: Effect.Effect<A, E>) => asked.run(effect, asking, Effect.die("killed"))
    const failing = start(asking, run(Effect.fail("no" as const)))
    start(
      asking,
      run(Effect.onInterrupt(Effect.never, () => Effect.delay(say("cleaned up"), 5))).pipe(
        Effect.timeoutOption(10),
        Effect.zipRight(say("gave up"))
      )
    )
    await settle(world)
    assert.deepStrictEqual(await Effect.runPromise(Fiber.await(failing)), Exit.fail("no" as const))
    assert.deepStrictEqual(lines, ["10 gave up", "15 cleaned up"])
  })
})
