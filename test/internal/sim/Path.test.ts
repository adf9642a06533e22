import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { nextRetry, type Obstacle, Path, retransmitForMillis } from "../../../src/internal/sim/Path.js"
import { World } from "../../../src/internal/sim/World.js"

const always = (isLoss: boolean): Obstacle => ({ stops: () => true, isLoss })

const settle = (world: World): Promise<unknown> =>
  new Promise((resolve, reject) => {
    world.drive(() => false, resolve, reject)
  })

const makePath = (jitter = 0): { readonly world: World; readonly path: Path } => {
  const world = new World({ seed: 1, limit: Infinity, traceLines: 0 })
  return { world, path: new Path(world, "a", "b", { latency: 10, jitter, bandwidth: Infinity }) }
}

describe("nextRetry", () => {
  it("is 200 ms after what was lost, then twice as long after each, up to two minutes", () => {
    const times: Array<number> = []
    for (let at = 1; at <= 500_000; at = (times.at(-1) ?? 0) + 1) times.push(nextRetry(0, at))
    const gaps = times.map((at, index) => at - (times[index - 1] ?? 0))
    assert.deepStrictEqual(
      gaps.slice(0, 13),
      [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 102_400, 120_000, 120_000, 120_000]
    )
    assert.strictEqual(nextRetry(0, retransmitForMillis), retransmitForMillis)
  })

  it("is the first of these at a time or after it, whenever it is asked", () =>
    fc.assert(
      fc.property(fc.nat(10_000), fc.nat(1_000_000), fc.nat(1_000), (since, later, less) => {
        const at = nextRetry(since, since + later)
        assert.isAtLeast(at, since + later)
        assert.isAtMost(at - (since + later), Math.min(120_000, Math.max(200, later + 200)))
        // Asked in between, it is the same.
        assert.strictEqual(nextRetry(since, Math.min(at, since + later + less)), at)
      })
    ))
})

describe("Path", () => {
  it("takes its latency, up to its jitter more, and what is added", () => {
    const { path } = makePath(5)
    const times = Array.from({ length: 200 }, () => path.travelTime())
    assert.isTrue(times.every((time) => time >= 10 && time < 15))
    assert.isAbove(new Set(times).size, 100)
    path.delay = 100
    assert.isAtLeast(path.travelTime(), 110)
  })

  it("lets small things come, late where they are held, never where they are lost", async () => {
    const { path, world } = makePath()
    const came: Array<string> = []
    const send = (what: string): void => path.send(() => came.push(`${world.now} ${what}`))
    send("free")
    world.after(20, () => path.meet([always(false)]))
    world.after(21, () => send("held"))
    world.after(40, () => path.meet([always(false), always(true)]))
    world.after(41, () => send("lost"))
    world.after(60, () => path.meet([always(true)]))
    world.after(80, () => path.meet([]))
    await settle(world)
    assert.deepStrictEqual(came, ["10 free", "80 held"])
  })

  it("tells those who wait once nothing is left in its way, though they come to wait again", () => {
    const { path } = makePath()
    let told = 0
    const waiter = {
      released: (): void => {
        told++
        path.leave(waiter)
        path.wait(waiter)
      }
    }
    path.meet([always(true), always(false)])
    path.wait(waiter)
    path.meet([always(false)])
    assert.strictEqual(told, 0)
    path.meet([{ stops: () => false, isLoss: true }])
    assert.strictEqual(told, 1)
    path.meet([])
    assert.strictEqual(told, 1)
  })
})
