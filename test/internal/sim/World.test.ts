import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { type Halt, World } from "../../../src/internal/sim/World.js"

const makeWorld = (options: { readonly seed?: number; readonly limit?: number } = {}): World =>
  new World({ seed: options.seed ?? 1, limit: options.limit ?? Infinity, traceLines: 0 })

const drive = (world: World, isOver: () => boolean = () => false): Promise<Halt | undefined> =>
  new Promise((resolve, reject) => {
    world.drive(isOver, resolve, reject)
  })

const draws = (seed: number): ReadonlyArray<number> => {
  const world = makeWorld({ seed })
  return Array.from({ length: 5 }, () => world.chance())
}

describe("World", () => {
  it("lets happen what is to happen at its time, in order, and then is stuck", () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.nat(50), { maxLength: 20 }), async (delays) => {
        const world = makeWorld()
        const seen: Array<readonly [number, number]> = []
        for (const [index, delay] of delays.entries()) world.after(delay, () => seen.push([world.now, index]))
        assert.strictEqual(world.pending, delays.length)
        assert.strictEqual(await drive(world), "Stuck")
        const wanted = delays.map((delay, index) => [delay, index] as const)
        assert.deepStrictEqual(
          seen,
          [...wanted].sort(([one], [other]) => one - other)
        )
      }),
      { numRuns: 20 }
    ))

  it("does not let time go on while there is anything to do, microtasks and what they bring included", async () => {
    const world = makeWorld()
    const seen: Array<string> = []
    const say = (what: string) => () => void seen.push(`${world.now} ${what}`)
    world.after(5, () => {
      world.soon(() => {
        say("task")()
        void Promise.resolve().then(() => world.soon(say("task of a promise")))
        world.after(0, say("at once"))
      })
    })
    world.after(6, say("later"))
    await drive(world)
    assert.deepStrictEqual(seen, ["5 task", "5 task of a promise", "5 at once", "6 later"])
  })

  it("ends when it is over, with what is left to happen undone", async () => {
    const world = makeWorld()
    world.after(10, () => {})
    world.after(20, () => assert.fail("this is after the end"))
    assert.isUndefined(await drive(world, () => world.now === 10))
    assert.strictEqual(world.pending, 1)
  })

  it("stops at its limit", async () => {
    const world = makeWorld({ limit: 100 })
    const again = (): void => void world.after(30, again)
    again()
    assert.strictEqual(await drive(world), "OutOfTime")
    assert.strictEqual(world.now, 90)
  })

  it("notices loops in which no time passes, of tasks as of things to happen, alone or in turn", async () => {
    const tasks = makeWorld()
    const task = (): void => tasks.soon(task)
    task()
    const events = makeWorld()
    const event = (): void => void events.after(0, event)
    event()
    const both = makeWorld()
    const inTurn = (): void => both.soon(() => both.after(0, inTurn))
    inTurn()
    assert.deepStrictEqual(await Promise.all([tasks, events, both].map((world) => drive(world))), [
      "Restless",
      "Restless",
      "Restless"
    ])
  })

  it("waits for what comes in many rounds of the event loop, as long as something does", async () => {
    const world = makeWorld()
    let rounds = 0
    const round = (): void => {
      rounds++
      if (rounds < 3_000) setImmediate(() => world.soon(() => setImmediate(round)))
    }
    round()
    assert.strictEqual(await drive(world), "Stuck")
    assert.strictEqual(rounds, 3_000)
  })

  it("shows each instant that is over to those who watch, the last before it is stuck too", async () => {
    const world = makeWorld()
    const looked: Array<number> = []
    world.watchers.add(() => {
      looked.push(world.now)
      return world.now === 7 ? "seven" : undefined
    })
    for (const at of [3, 3, 5, 7]) world.after(at, () => {})
    assert.strictEqual(await drive(world), "Violated")
    assert.strictEqual(world.violation, "seven")
    assert.deepStrictEqual(looked, [0, 3, 5, 7])
  })

  it("passes on what is thrown in it", async () => {
    const fault = new Error("thrown")
    const throwing = (): never => {
      throw fault
    }
    const [task, event, watcher] = [makeWorld(), makeWorld(), makeWorld()]
    task.soon(throwing)
    event.after(1, throwing)
    watcher.watchers.add(throwing)
    for (const world of [task, event, watcher]) {
      assert.strictEqual(await drive(world).catch((error: unknown) => error), fault)
    }
  })

  it("goes on for the time of a reprieve, and nobody looks on", async () => {
    const world = makeWorld({ limit: 5 })
    const again = (): void => void world.after(1, again)
    again()
    assert.strictEqual(await drive(world), "OutOfTime")
    world.watchers.add(() => "wrong")
    world.reprieve(10)
    assert.strictEqual(await drive(world), "OutOfTime")
    assert.strictEqual(world.now, 15)
  })

  it("draws the same numbers from the same seed", () => {
    assert.deepStrictEqual(draws(3), draws(3))
    assert.notDeepEqual(draws(3), draws(4))
    assert.isTrue(draws(5).every((number) => number >= 0 && number < 1))
  })
})
