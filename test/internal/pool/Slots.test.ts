import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as TcpTransport from "../../../src/node/TcpTransport.js"
import * as MemoryTransport from "../../../src/testing/MemoryTransport.js"
import { Transport } from "../../../src/Transport.js"
import type { TrafficNode } from "../../utils/trafficNodes.js"
import { makeTrafficNode } from "../../utils/trafficNodes.js"
import { settle } from "../../utils/pools.js"

const count = 3_000

interface World {
  readonly make: (id: string, at: string) => ReturnType<typeof makeTrafficNode>
  /** Waits until it is so. */
  readonly until: (what: string, condition: () => boolean) => Effect.Effect<void>
}

const inMemory = (capacity: number, seed: number): World => {
  const network = MemoryTransport.makeNetwork({ capacity, cut: MemoryTransport.seededCut(seed) })
  return {
    make: (id, at) => makeTrafficNode(id, network.transport(at), { host: at, port: 9470, outboundQueue: 64 }),
    until: (what, condition) =>
      Effect.gen(function* () {
        for (let turn = 0; turn < 500 && !condition(); turn++) yield* settle
        if (!condition()) return yield* Effect.dieMessage(`waited in vain for ${what}`)
      })
  }
}

const overTcp: Effect.Effect<World> = Effect.map(Effect.scoped(Layer.build(TcpTransport.layer)), (context) => ({
  make: (id) => makeTrafficNode(id, Context.get(context, Transport), { host: "127.0.0.1", port: 0, outboundQueue: 64 }),
  until: (what, condition) =>
    Effect.gen(function* () {
      for (let turn = 0; turn < 1_000 && !condition(); turn++) yield* Effect.sleep(5)
      if (!condition()) return yield* Effect.dieMessage(`waited in vain for ${what}`)
    })
}))

/** Sends numbers as fast as they are taken: those that were. */
const flood = (from: TrafficNode, to: TrafficNode, name: string) =>
  Effect.gen(function* () {
    const taken: Array<number> = []
    const failures: Array<string> = []
    const fiber = yield* Effect.forkScoped(
      Effect.gen(function* () {
        for (let n = 0; n < count; n++) {
          const sent = yield* Effect.either(from.send(to.id, n, name))
          if (Either.isRight(sent)) taken.push(n)
          else failures.push(sent.left._tag)
        }
      })
    )
    return { taken, failures, done: Fiber.join(fiber) }
  })

const numbers = (node: TrafficNode, name: string): ReadonlyArray<number> =>
  node.received.flatMap(({ from, n }) => (from === name ? [n] : []))

const assertRising = (found: ReadonlyArray<number>, what: string): void => {
  for (const [index, n] of found.entries()) {
    assert.isAbove(n, index === 0 ? -1 : (found[index - 1] ?? Infinity), `${what}: doubled or out of order`)
  }
}

/** Dials again while both send at full speed, as often as there are `dials`; each dial is due at a share of the way. */
const replaceWhile = (
  world: World,
  one: TrafficNode,
  other: TrafficNode,
  dials: ReadonlyArray<readonly [TrafficNode, TrafficNode]>
) =>
  Effect.gen(function* () {
    const there = yield* flood(one, other, "one")
    const back = yield* flood(other, one, "other")
    for (const [index, [from, to]] of dials.entries()) {
      const due = (count * (index + 1)) / (dials.length + 2)
      yield* world.until("traffic", () => Math.max(there.taken.length, back.taken.length) >= due)
      yield* from.pool.dial(to.address)
    }
    yield* there.done
    yield* back.done
    assert.deepStrictEqual([there.failures, back.failures], [[], []], "sends do not notice")
    // What is sent once it is settled which connection stays is not lost.
    const last = count
    yield* one.send(other.id, last, "one")
    yield* other.send(one.id, last, "other")
    yield* world.until("the last", () => numbers(other, "one").includes(last) && numbers(one, "other").includes(last))
    return { there, back }
  })

/** Both dialed at once: the connection that the smaller node dials takes the place of the other's. */
const crossing = (world: World) =>
  Effect.gen(function* () {
    const one = yield* world.make("a", "10.0.0.1")
    const other = yield* world.make("b", "10.0.0.2")
    yield* other.pool.dial(one.address)
    const pending = [yield* one.ask("b", 1), yield* other.ask("a", 2)]
    yield* world.until("the questions", () => one.asked.length + other.asked.length === 2)
    const { back, there } = yield* replaceWhile(world, one, other, [
      [one, other],
      [other, one]
    ])
    assert.deepStrictEqual(numbers(other, "one"), [...there.taken, count])
    assert.deepStrictEqual(numbers(one, "other"), [...back.taken, count])
    yield* one.answer
    yield* other.answer
    const answers = yield* Effect.forEach(pending, (fiber) => Fiber.join(fiber))
    assert.deepStrictEqual(
      answers.map((answer) => Either.getOrThrow(answer).n),
      [1, 2]
    )
    for (const node of [one, other]) {
      assert.deepStrictEqual(node.happened, ["Opened"])
      assert.strictEqual(node.stats.counts["lost"], 0)
    }
  })

/** The same node dials again: what was on its way over the older connection may be lost, and nothing else. */
const again = (world: World) =>
  Effect.gen(function* () {
    const one = yield* world.make("a", "10.0.0.1")
    const other = yield* world.make("b", "10.0.0.2")
    yield* one.pool.dial(other.address)
    const pending = [yield* one.ask("b", 1), yield* other.ask("a", 2)]
    yield* world.until("the questions", () => one.asked.length + other.asked.length === 2)
    yield* replaceWhile(world, one, other, [
      [one, other],
      [one, other],
      [one, other]
    ])
    assertRising(numbers(other, "one"), "there")
    assertRising(numbers(one, "other"), "back")
    yield* one.answer
    yield* other.answer
    const answers = yield* Effect.forEach(pending, (fiber) => Fiber.join(fiber))
    assert.deepStrictEqual(
      answers.map((answer) => Either.getOrThrow(answer).n),
      [1, 2]
    )
    for (const node of [one, other]) assert.deepStrictEqual(node.happened, ["Opened"])
    assert.strictEqual(one.pool.counts().inbound + other.pool.counts().outbound, 0)
  })

/** The peer comes back as another session while the connection of the old one still stands. */
const restart = (world: World, pass: Effect.Effect<void>) =>
  Effect.gen(function* () {
    const one = yield* world.make("a", "10.0.0.1")
    const before = yield* world.make("b", "10.0.0.2")
    const after = yield* world.make("b", "10.0.0.3")
    yield* before.pool.dial(one.address)
    const pending = yield* one.ask("b", 1)
    const theirs = yield* before.ask("a", 2)
    yield* world.until("the questions", () => one.asked.length + before.asked.length === 2)
    const there = yield* flood(one, before, "one")
    const old = yield* flood(before, one, "before")
    yield* world.until("traffic", () => there.taken.length >= count / 3 && old.taken.length >= count / 3)
    yield* after.pool.dial(one.address)
    const fresh = yield* flood(after, one, "after")
    yield* Effect.all([there.done, fresh.done])
    assert.deepStrictEqual([there.failures.filter((tag) => tag !== "PeerNotConnected"), fresh.failures], [[], []])
    yield* one.send("b", count, "one")
    yield* world.until("the last", () => numbers(after, "one").includes(count))
    yield* world.until("all of the new session", () => numbers(one, "after").length === count)
    assert.deepStrictEqual(numbers(one, "after"), fresh.taken)
    assertRising(numbers(one, "before"), "the old session")
    assertRising([...numbers(before, "one"), ...numbers(after, "one")], "to the old session, then to the new")
    const names = one.received.map(({ from }) => from)
    assert.isBelow(names.lastIndexOf("before"), names.indexOf("after"), "the old session's come first")
    assert.deepInclude(yield* Fiber.join(pending), { _tag: "Left" })
    assert.include(one.happened, "Restarted")
    // The one that was pushed out waits for a connection that does not come.
    yield* pass
    yield* world.until("the end of it", () => before.happened.includes("Ended"))
    const lost = yield* Fiber.join(theirs)
    assert.strictEqual(Either.isLeft(lost) ? lost.left._tag : "answered", "RequestLost")
    yield* old.done
  })

/** One side stops, politely, with both sending. */
const stop = (world: World) =>
  Effect.gen(function* () {
    const one = yield* world.make("a", "10.0.0.1")
    const other = yield* world.make("b", "10.0.0.2")
    yield* one.pool.dial(other.address)
    const pending = yield* other.ask("a", 1)
    yield* world.until("the question", () => one.asked.length === 1)
    const there = yield* flood(one, other, "one")
    yield* flood(other, one, "other")
    yield* world.until("traffic", () => there.taken.length >= count / 3)
    const stopping = yield* Effect.forkScoped(one.pool.shutdown)
    yield* one.answer
    yield* there.done
    yield* Fiber.join(stopping)
    assert.deepStrictEqual([...new Set(there.failures)], there.failures.length === 0 ? [] : ["PeerNotConnected"])
    yield* world.until("all that was taken", () => numbers(other, "one").length >= there.taken.length)
    assert.deepStrictEqual(numbers(other, "one"), there.taken)
    assertRising(numbers(one, "other"), "back")
    assert.strictEqual(one.stats.counts["lost"], 0)
    // Answered in time, or told that it will not be.
    const answer = yield* Fiber.join(pending)
    if (Either.isLeft(answer)) assert.strictEqual(answer.left._tag, "RequestLost")
  })

describe("a polite stop at full speed loses nothing that was taken, and refuses the rest", () => {
  for (const capacity of [700, 20_000]) {
    it.scoped(`in memory (${capacity} bytes on the way)`, () => Effect.suspend(() => stop(inMemory(capacity, 7))))
  }
  it.scopedLive("over TCP", () => Effect.flatMap(overTcp, stop), 30_000)
})

describe("a connection that is replaced while both sides send at full speed", () => {
  for (const [seed, capacity] of [
    [1, 700],
    [2, 20_000],
    [3, 200_000]
  ] as const) {
    it.scoped(`dialed at once: all arrives once and in order (${capacity} bytes on the way)`, () =>
      Effect.suspend(() => crossing(inMemory(capacity, seed)))
    )
    it.scoped(`dialed again: order is kept, nothing is doubled, the pending are answered (${capacity} bytes)`, () =>
      Effect.suspend(() => again(inMemory(capacity, seed)))
    )
    it.scoped(`another session: what came of the old one comes first, its requests fail (${capacity} bytes)`, () =>
      Effect.suspend(() => restart(inMemory(capacity, seed), TestClock.adjust("6 seconds")))
    )
  }

  it.scopedLive("dialed at once, over TCP", () => Effect.flatMap(overTcp, crossing), 30_000)
  it.scopedLive("dialed again, over TCP", () => Effect.flatMap(overTcp, again), 30_000)
  it.scopedLive(
    "another session, over TCP",
    () => Effect.flatMap(overTcp, (world) => restart(world, Effect.sleep("5500 millis"))),
    30_000
  )
})
