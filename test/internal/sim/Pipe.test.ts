import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { type Obstacle, Path } from "../../../src/internal/sim/Path.js"
import { Pipe, type Segment } from "../../../src/internal/sim/Pipe.js"
import { World } from "../../../src/internal/sim/World.js"
import { seededCut } from "../../../src/internal/seededCut.js"

const settle = (world: World): Promise<unknown> =>
  new Promise((resolve, reject) => {
    world.drive(() => false, resolve, reject)
  })

interface Setting {
  readonly seed?: number
  readonly jitter?: number
  readonly bandwidth?: number
  readonly window?: number
}

/** A pipe whose other end reads all that comes at once, or, with `reads: false`, nothing. */
const makePipe = ({ bandwidth = Infinity, jitter = 0, seed = 1, window = 100 }: Setting = {}, reads = true) => {
  const world = new World({ seed, limit: Infinity, traceLines: 0 })
  const shape = { latency: 10, jitter, bandwidth }
  const [there, back] = [new Path(world, "a", "b", shape), new Path(world, "b", "a", shape)]
  const came: Array<readonly [number, Segment]> = []
  let brokenOff = 0
  const pipe: Pipe = new Pipe(world, there, back, window, {
    arrive: (segment) => {
      came.push([world.now, segment])
      if (reads && segment._tag === "Data") pipe.read(segment.bytes.length)
    },
    room: () => {},
    brokenOff: () => brokenOff++
  })
  const shown = () => came.map(([at, segment]) => `${at} ${segment._tag === "Data" ? segment.bytes[0] : segment._tag}`)
  return { world, there, back, pipe, came, shown, brokenOff: () => brokenOff }
}

const data = (first: number, length = 10): Segment => ({ _tag: "Data", bytes: new Uint8Array(length).fill(first) })

const loss: Obstacle = { stops: () => true, isLoss: true }
const stall: Obstacle = { stops: () => true, isLoss: false }

describe("Pipe", () => {
  it("brings bytes once and in order, cut anywhere, whatever comes in the way and goes again", () => {
    const obstacle = fc.record({
      at: fc.nat(3_000),
      lasts: fc.nat(3_000),
      isLoss: fc.boolean(),
      way: fc.constantFrom("there" as const, "back" as const)
    })
    return fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(3_000), fc.integer({ min: 1, max: 150 })), { minLength: 1, maxLength: 12 }),
        fc.array(obstacle, { maxLength: 6 }),
        fc.nat(1_000),
        fc.constantFrom(Infinity, 200),
        async (writes, obstacles, seed, bandwidth) => {
          const { came, pipe, world, ...ways } = makePipe({ seed, jitter: 40, bandwidth })
          const cut = seededCut(seed + 1)
          const active = { there: new Set<Obstacle>(), back: new Set<Obstacle>() }
          for (const { at, isLoss, lasts, way } of obstacles) {
            const one = { stops: () => true, isLoss }
            world.after(at, () => ways[way].meet(active[way].add(one)))
            world.after(at + lasts, () => {
              active[way].delete(one)
              ways[way].meet(active[way])
            })
          }
          let written = 0
          for (const [at, length] of writes) {
            world.after(at, () => {
              const bytes = Uint8Array.from({ length }, () => written++ % 251)
              for (let from = 0; from < length;) {
                const size = cut(length - from)
                pipe.push({ _tag: "Data", bytes: bytes.subarray(from, from + size) })
                from += size
              }
            })
          }
          world.after(3_001, () => pipe.push({ _tag: "End" }))
          await settle(world)
          const bytes = came.flatMap(([, segment]) => (segment._tag === "Data" ? [...segment.bytes] : []))
          assert.deepStrictEqual(
            bytes,
            Array.from({ length: written }, (_, index) => index % 251)
          )
          assert.deepStrictEqual(came.map(([, { _tag }]) => _tag === "End").lastIndexOf(true), came.length - 1)
          assert.strictEqual(came.filter(([, { _tag }]) => _tag === "End").length, 1)
          assert.isTrue(pipe.isEmpty)
          assert.strictEqual(pipe.buffered, 0)
        }
      ),
      {
        numRuns: 60,
        examples: [
          [
            [
              [0, 103],
              [93, 1]
            ],
            [],
            171,
            200
          ]
        ]
      }
    )
  })

  it("sends what was lost again at growing intervals, and what comes after it waits", async () => {
    const { pipe, shown, there, world } = makePipe()
    there.meet([loss])
    pipe.push(data(1))
    world.after(1_000, () => there.meet([]))
    world.after(1_100, () => pipe.push(data(2)))
    await settle(world)
    // Lost at 10 ms: sent again 200, 600 and 1,400 ms after that.
    assert.deepStrictEqual(shown(), ["1410 1", "1410 2"])
  })

  it("brings what was only held as soon as the way is free", async () => {
    const { pipe, shown, there, world } = makePipe()
    there.meet([stall])
    pipe.push(data(1))
    world.after(1_000, () => there.meet([]))
    await settle(world)
    assert.deepStrictEqual(shown(), ["1000 1"])
  })

  it("takes the time that its bandwidth asks for", async () => {
    const { pipe, shown, world } = makePipe({ bandwidth: 1_000 })
    for (const each of [1, 2, 3]) pipe.push(data(each))
    await settle(world)
    assert.deepStrictEqual(shown(), ["20 1", "30 2", "40 3"])
  })

  it("has no more on its way than the other end takes, and goes on once it knows that it has read", async () => {
    const { back, pipe, shown, world } = makePipe({ window: 20 }, false)
    for (const each of [1, 2, 3]) pipe.push(data(each))
    world.after(50, () => back.meet([loss]))
    world.after(60, () => pipe.read(10))
    world.after(100, () => back.meet([]))
    world.after(90, () => assert.strictEqual(pipe.buffered, 10))
    await settle(world)
    assert.deepStrictEqual(shown(), ["10 1", "10 2", "110 3"])
    assert.strictEqual(pipe.buffered, 0)
  })

  it("sends what is larger than that alone", async () => {
    const { pipe, shown, world } = makePipe({ window: 5 })
    for (const each of [1, 2]) pipe.push(data(each))
    await settle(world)
    assert.deepStrictEqual(shown(), ["10 1", "20 2"])
  })

  it("gives up in the end where all is lost, and not where it is held", async () => {
    for (const [obstacle, times] of [
      [loss, 1],
      [stall, 0]
    ] as const) {
      const { brokenOff, pipe, there, world } = makePipe()
      there.meet([obstacle])
      pipe.push(data(1))
      await settle(world)
      assert.strictEqual(brokenOff(), times)
    }
  })

  it("never sends a reset again, nor anything after it is closed", async () => {
    const { pipe, shown, there, world } = makePipe()
    there.meet([loss])
    pipe.push(data(1))
    pipe.push({ _tag: "Reset" })
    world.after(100, () => {
      there.meet([])
      pipe.push(data(2))
    })
    await settle(world)
    assert.deepStrictEqual(shown(), [])
  })
})
