import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { conflictPause, Conflicts } from "../../src/internal/Conflicts.js"
import * as NodeId from "../../src/NodeId.js"
import * as MemoryTransport from "../../src/testing/MemoryTransport.js"
import { addressOf, dialByHand, HandPlayed, listening, makeNode, settle } from "../utils/pools.js"

const x = NodeId.make("x")

describe("Conflicts", () => {
  it("three changes of session within a minute are one conflict", () => {
    const conflicts = new Conflicts(15_000)
    assert.deepStrictEqual(
      [0, 30_000, 59_999, 60_000, 61_000].map((at) => conflicts.changed(x, at)),
      [false, false, true, false, false]
    )
    assert.strictEqual(conflicts.pauseOf(x, 59_999), conflictPause)
    assert.strictEqual(conflicts.pauseOf(x, 90_000), 0)
    const slow = new Conflicts(15_000)
    for (let at = 0; at < 600_000; at += 30_000) assert.isFalse(slow.changed(x, at))
  })

  it("three connections running that are pushed out are one; a lasting one, or another end, begins anew", () => {
    const conflicts = new Conflicts(15_000)
    assert.isFalse(conflicts.pushedOut(x, 900_000, 0))
    assert.isFalse(conflicts.pushedOut(x, 5_000, 1))
    assert.isTrue(conflicts.pushedOut(x, 14_999, 2))
    assert.isFalse(conflicts.pushedOut(x, 0, 3))
    assert.isFalse(conflicts.pushedOut(x, 0, 4))
    assert.isFalse(conflicts.pushedOut(x, 15_000, 5))
    assert.isFalse(conflicts.pushedOut(x, 0, 6))
    conflicts.endedOtherwise(x)
    assert.isFalse(conflicts.pushedOut(x, 0, 7))
    assert.isFalse(conflicts.pushedOut(x, 0, 8))
    assert.isTrue(conflicts.pushedOut(x, 0, 9))
  })

  it("forgets those quiet for longest", () => {
    const conflicts = new Conflicts(15_000)
    conflicts.changed(x, 0)
    conflicts.changed(x, 0)
    for (let n = 0; n < 4_096; n++) conflicts.changed(NodeId.make(`other-${n}`), 1)
    assert.isFalse(conflicts.changed(x, 2))
    conflicts.endedOtherwise(NodeId.make("stranger"))
    assert.strictEqual(conflicts.pauseOf(NodeId.make("stranger"), 2), 0)
  })
})

describe("two nodes, one NodeId", () => {
  it.scoped("push each other out at a third: it reports them, and so does one of them, which then waits for 30 s", () =>
    Effect.gen(function* () {
      const network = MemoryTransport.makeNetwork()
      const third = yield* makeNode("n", network.transport("10.0.0.110"))
      yield* third.listen
      const [one, other] = yield* Effect.forEach(["1", "2"], (name) =>
        makeNode(name, network.transport(`10.0.0.${name.charCodeAt(0)}`), { nodeId: "x" })
      )
      if (one === undefined || other === undefined) return assert.fail("two nodes")
      yield* one.listen
      yield* other.listen
      const pushes: Array<number> = []
      const conflicts: Array<string> = []
      const begun = third.node.deadlines.now()
      // Each dials as soon as its address may be dialed, as discovery does.
      for (let second = 0; second < 60; second++) {
        for (const [name, node] of [
          ["one", one],
          ["other", other]
        ] as const) {
          const now = node.node.deadlines.now()
          const record = Option.getOrUndefined(HashMap.get(node.book.get().addresses, addressOf("n").toString()))
          const peer = Option.getOrUndefined(HashMap.get(node.book.get().peers, third.id))
          const dueAt = Math.max(record?.nextAt ?? 0, peer?.avoidUntil ?? 0)
          if (!node.pool.unsafeLive().has(third.id) && dueAt <= now) {
            pushes.push(Math.round((now - begun) / 1_000))
            yield* node.pool.dial(addressOf("n"))
            yield* settle
          }
          for (const event of yield* node.events) if (event._tag === "Conflict") conflicts.push(`${name}: ${event.id}`)
        }
        for (const event of yield* third.events) if (event._tag === "Conflict") conflicts.push(`third: ${event.id}`)
        yield* TestClock.adjust("1 second")
        yield* settle
      }
      assert.include(conflicts, "third: x")
      // Whoever notices first leaves the other in peace.
      assert.isTrue(conflicts.includes("one: n") || conflicts.includes("other: n"), conflicts.join(", "))
      assert.isAbove(third.stats.errors["IdConflict"] ?? 0, 0)
      assert.isAbove((one.stats.errors["IdConflict"] ?? 0) + (other.stats.errors["IdConflict"] ?? 0), 0)
      assert.isBelow(pushes.length, 12)
      const gaps = pushes.slice(1).map((at, index) => at - (pushes[index] ?? 0))
      assert.isAtLeast(Math.max(...gaps), 25, `they slow down: ${pushes.join(" ")}`)
    })
  )

  it.scoped("the third does not dial a node in conflict for 30 s after it is gone", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening()
      const listen = [{ host: "0.0.0.0", port: 9470 }]
      for (const session of ["s1", "s2", "s3", "s4"]) {
        const peer = yield* dialByHand(network, node, "x")
        peer.hello({ session, listen })
        yield* settle
        if (session === "s4") peer.link.destroy()
      }
      yield* settle
      const conflict = (yield* node.events).find(({ _tag }) => _tag === "Conflict")
      assert.strictEqual(conflict?._tag === "Conflict" ? conflict.id : undefined, x)
      const peer = Option.getOrThrow(HashMap.get(node.book.get().peers, x))
      assert.strictEqual(peer.status, "dead")
      assert.isAtLeast(peer.avoidUntil - node.node.deadlines.now(), 29_000)
    })
  )

  it.scoped("one that is started again twice within a minute is none, nor is one that says goodbye each time", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening()
      const listen = [{ host: "0.0.0.0", port: 9470 }]
      for (const session of ["s1", "s2", "s3"]) {
        const peer = yield* dialByHand(network, node, "x")
        peer.hello({ session, listen })
        yield* settle
        peer.link.destroy()
        yield* settle
      }
      for (const session of ["t1", "t2", "t3", "t4", "t5"]) {
        const peer = yield* dialByHand(network, node, "y")
        peer.hello({ session, listen })
        yield* settle
        peer.error("SHUTTING_DOWN")
        peer.link.end()
        yield* settle
      }
      assert.notInclude(
        (yield* node.events).map(({ _tag }) => _tag),
        "Conflict"
      )
      assert.strictEqual(node.stats.errors["IdConflict"], undefined)
    })
  )

  it.scoped("a dial refused as a duplicate three times, with no other connection, is one", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening()
      const seen = yield* Effect.forEach([1, 2, 3], () =>
        Effect.gen(function* () {
          const links = yield* Effect.scoped(
            Effect.gen(function* () {
              const mine: Array<{ readonly refuse: () => void }> = []
              yield* network.transport(addressOf("b").host).listen(addressOf("b"), (link) => {
                const hand = new HandPlayed(link, "b")
                mine.push({ refuse: () => hand.error("DUPLICATE_CONNECTION") })
              })
              const fiber = yield* Effect.fork(Effect.flip(node.pool.dial(addressOf("b"))))
              yield* settle
              for (const { refuse } of mine) refuse()
              yield* settle
              yield* TestClock.adjust("6 seconds")
              yield* settle
              return yield* Fiber.join(fiber)
            })
          )
          return links._tag
        })
      )
      assert.deepStrictEqual(seen, ["DuplicateConnection", "DuplicateConnection", "DuplicateConnection"])
      assert.strictEqual(node.stats.errors["IdConflict"], 1)
    })
  )
})
