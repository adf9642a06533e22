import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Expect from "../../src/testing/Expect.js"
import * as MemoryTransport from "../../src/testing/MemoryTransport.js"
import * as Observe from "../../src/testing/Observe.js"
import * as SimulatedNetwork from "../../src/testing/SimulatedNetwork.js"
import * as TestNodes from "../../src/testing/TestNodes.js"
import { Chat } from "../utils/network.js"

const inMemory = Effect.provide(MemoryTransport.layerNetwork)

const lines = ({ message }: Expect.ExpectationFailed): ReadonlyArray<string> => message.split("\n")

describe("peers and status", () => {
  it.scoped("hold at once, or as soon as what is under way has come to rest", () =>
    Effect.gen(function* () {
      const [a, b, c] = yield* TestNodes.make(["a", "b", "c"])
      assert.deepStrictEqual(
        (yield* Expect.peers(a, [c, "b"])).map(({ id }) => id),
        [b.nodeId, c.nodeId]
      )
      yield* Effect.fork(Effect.zipRight(Effect.repeatN(Effect.yieldNow(), 50), a.disconnect("b")))
      yield* Expect.peers(a, ["c"])
      yield* Expect.peers(a, ["b"], { status: "disconnected" })
      const peer = yield* Expect.status(b, a, "disconnected")
      assert.deepInclude(peer, { id: a.nodeId })
    }).pipe(inMemory)
  )

  it.scoped("say what they found instead", () =>
    Effect.gen(function* () {
      const [a] = yield* TestNodes.make(["a", "b", "c"], { topology: "line" })
      const peers = lines(yield* Effect.flip(Expect.peers(a, ["c", "b"])))
      assert.deepStrictEqual(peers.slice(0, 2), [
        "expected: a has as connected peers: b, c",
        "actual:   peer  status     since"
      ])
      assert.match(peers[2] ?? "", /^ {10}b {5}connected {2}1970-01-01T00:00:00/)
      const none = lines(yield* Effect.flip(Expect.peers(a, [], { status: "connected" })))
      assert.strictEqual(none[0], "expected: a has as connected peers: none")
      assert.deepStrictEqual(lines(yield* Effect.flip(Expect.status(a, "b", "dead"))), [
        "expected: b is dead at a",
        "actual:   connected"
      ])
      const unknown = lines(yield* Effect.flip(Expect.status(a, "z", "dead")))
      assert.match(unknown[1] ?? "", /^actual: {3}z is not known there: peer/)
      const [alone] = yield* TestNodes.make(["alone"])
      assert.include((yield* Effect.flip(Expect.status(alone, "z", "left"))).actual, "it knows no peer")
    }).pipe(inMemory)
  )

  it.scoped("wait for as long as is said, by the clock in use", () =>
    Effect.gen(function* () {
      const [a, b] = yield* TestNodes.make(["a", "b"])
      const soon = yield* Effect.fork(Expect.status(a, b, "left", { within: "10 seconds" }))
      const vain = yield* Effect.fork(Effect.flip(Expect.status(a, b, "dead", { within: "10 seconds" })))
      yield* Effect.fork(Effect.delay(b.stop, "9 seconds"))
      yield* TestClock.adjust("9 seconds")
      yield* Fiber.join(soon)
      assert.isNull(vain.unsafePoll())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(vain)).actual, "left")
    }).pipe(inMemory)
  )
})

describe("converged", () => {
  it.scoped("knows full, connected and sparse networks", () =>
    Effect.gen(function* () {
      const full = yield* TestNodes.make(4)
      yield* Expect.converged(full)
      yield* Expect.converged([])
      const ring = yield* TestNodes.make(["a", "b", "c", "d"], { topology: "ring" })
      yield* Expect.converged(ring, { atLeast: 2 })
      yield* Expect.converged(ring, "connected")
      yield* Effect.flip(Expect.converged(ring))
      yield* Effect.flip(Expect.converged(ring, { atLeast: 3 }))
      const error = yield* Effect.flip(Expect.converged([...full, ...ring], "connected"))
      assert.strictEqual(error.expected, "8 nodes are one connected network")
    }).pipe(inMemory)
  )

  it.scoped("shows who sees whom where it does not come about", () =>
    Effect.gen(function* () {
      const nodes = yield* TestNodes.make(3, { topology: "line" })
      yield* nodes[0].disconnect("node-2")
      const error = yield* Effect.flip(Expect.converged(nodes))
      assert.deepStrictEqual(lines(error), [
        "expected: each of 3 nodes is connected with all others",
        "actual:   node    connected with  others it knows",
        "          node-1  none            node-2 (disconnected)",
        "          node-2  node-3          node-1 (disconnected)",
        "          node-3  node-2"
      ])
      const sparse = yield* Effect.flip(Expect.converged(nodes, { atLeast: 2 }))
      assert.strictEqual(sparse.expected, "each of 3 nodes has at least 2 connected peers among the others")
    }).pipe(inMemory)
  )

  it.scoped("waits while nodes find one another", () =>
    Effect.gen(function* () {
      const nodes = yield* TestNodes.make(5, {
        topology: "none",
        config: (_, index) => ({
          targetPeers: 8,
          discoveryInterval: "5 seconds",
          bootstrap: index === 0 ? [] : ["node-1:9470"]
        })
      })
      const waiting = yield* Effect.fork(Expect.converged(nodes, "full", { within: "1 minute" }))
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(waiting)
      yield* Expect.converged(nodes)
    }).pipe(inMemory)
  )

  it.scoped("counts only links within, and shows no more rows than can be read", () =>
    Effect.gen(function* () {
      const nodes = yield* TestNodes.make(45 as number, { topology: "none" })
      yield* TestNodes.join(...(nodes.slice(0, 2) as [Expect.Node, Expect.Node]))
      yield* Expect.converged(nodes.slice(0, 2))
      const error = yield* Effect.flip(Expect.converged(nodes.slice(1), { atLeast: 1 }))
      assert.lengthOf(lines(error), 43)
      assert.match(error.message, /… and 4 more$/)
    }).pipe(inMemory)
  )
})

describe("delivered", () => {
  it.scoped("holds when it came to every node, or to those named, as often as is said", () =>
    Effect.gen(function* () {
      const nodes = yield* TestNodes.make(["a", "b", "c"])
      const [a, b, c] = nodes
      const chats = yield* Observe.messages([b, c], Chat)
      yield* a.broadcast(Chat, { text: "all" })
      yield* a.sendMessage("b", Chat, { text: "you" })
      const all = yield* Expect.delivered(chats, { text: "all" }, { times: 1 })
      assert.deepStrictEqual(
        all.map(({ isBroadcast, sender }) => [sender, isBroadcast]),
        [
          [a.nodeId, true],
          [a.nodeId, true]
        ]
      )
      yield* Expect.delivered(chats, ({ text }) => text === "you", { at: [b] })
      yield* Expect.delivered(chats, { text: "you" }, { at: ["c"], times: 0 })
      assert.deepStrictEqual(lines(yield* Effect.flip(Expect.delivered(chats, { text: "you" }))), [
        'expected: CHAT {"text":"you"} comes to b, c',
        "actual:   node  CHAT that came",
        '          b     {"text":"all"}, {"text":"you"}',
        '          c     {"text":"all"}'
      ])
      const twice = yield* Effect.flip(Expect.delivered(chats, () => false, { at: [c], times: 2 }))
      assert.strictEqual(twice.expected, "CHAT for which its condition holds comes to c, 2 times each")
      assert.include((yield* Effect.flip(Expect.delivered(chats, { text: "x" }, { at: ["z"] }))).actual, "none")
    }).pipe(inMemory)
  )

  it.scoped("waits for as long as is said", () =>
    Effect.gen(function* () {
      const [a, b] = yield* TestNodes.make(2)
      const chats = yield* Observe.messages([b], Chat)
      const waiting = yield* Effect.fork(Expect.delivered(chats, { text: "late" }, { within: "1 minute" }))
      yield* Effect.fork(Effect.delay(a.broadcast(Chat, { text: "late" }), "59 seconds"))
      yield* TestClock.adjust("59 seconds")
      yield* Fiber.join(waiting)
    }).pipe(inMemory)
  )
})

const simulated = <A, E>(program: Effect.Effect<A, E, SimulatedNetwork.SimulatedNetwork | Scope.Scope>) =>
  SimulatedNetwork.run({ limit: "1 hour" })(program)

describe("a simulated network", () => {
  it.effect("is held to the same expectations, by its own clock", () =>
    simulated(
      Effect.gen(function* () {
        const { begin, elapsed, node } = yield* SimulatedNetwork.SimulatedNetwork
        const nodes = yield* Effect.forEach(["a", "b", "c", "d"], (nodeId) =>
          Effect.map(node({ nodeId, bootstrap: ["a:9470"] }), ({ network }) => network)
        )
        const [a = assert.fail(), b = assert.fail()] = nodes
        yield* Expect.converged(nodes, "full", { within: "1 minute" })
        const events = yield* Observe.events(a)
        const chats = yield* Observe.messages(nodes.slice(1), Chat)
        yield* a.broadcast(Chat, { text: "hi" })
        yield* Expect.delivered(chats, { text: "hi" }, { times: 1, within: "1 second" })
        yield* begin({ _tag: "Crash", host: "b", keepState: true })
        const dead = yield* events.next("PeerDead", { within: "1 minute" })
        assert.strictEqual(dead.peer.id, b.nodeId)
        const before = yield* elapsed
        const late = yield* Effect.flip(Expect.peers(a, nodes.slice(1), { within: "30 seconds" }))
        assert.strictEqual((yield* elapsed) - before, 30_000)
        assert.match(late.actual, /b +dead/)
      })
    )
  )
})

describe("payloads", () => {
  it("fit where the same values stand in the same places", () => {
    assert.isTrue(Expect.fits({ a: [1, { b: new Date(1) }] }, { a: [1, { b: new Date(1) }] }))
    assert.isFalse(Expect.fits({ a: [1, { b: new Date(1) }] }, { a: [1, { b: new Date(2) }] }))
    assert.isFalse(Expect.fits<{ a: number; b?: number }>({ a: 1, b: 2 }, { a: 1 }))
    assert.isTrue(Expect.fits({ a: 1 }, ({ a }) => a === 1))
  })
})
