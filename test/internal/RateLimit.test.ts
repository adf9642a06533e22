import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as fc from "fast-check"
import { RateLimit } from "../../src/internal/RateLimit.js"
import { joined, listening, settle } from "../utils/pools.js"

describe("RateLimit", () => {
  it("holds one second's worth, and fills at that rate", () => {
    const limit = new RateLimit(2, 0)
    assert.deepStrictEqual([limit.take(0), limit.take(0), limit.take(0)], ["taken", "taken", "answered"])
    assert.strictEqual(limit.take(499), "refused")
    assert.deepStrictEqual([limit.take(500), limit.take(1_000)], ["taken", "taken"])
    assert.deepStrictEqual([limit.take(60_000), limit.take(60_000)], ["taken", "taken"])
    assert.strictEqual(limit.take(60_000), "answered", "no more than one second's worth is saved up")
  })

  it("answers at most once a second", () => {
    const limit = new RateLimit(20, 0)
    for (let i = 0; i < 20; i++) limit.take(0)
    assert.deepStrictEqual([limit.take(0), limit.take(1), limit.take(49)], ["answered", "refused", "refused"])
    for (let i = 0; i < 20; i++) limit.take(1_100)
    assert.strictEqual(limit.take(1_100), "answered")
  })

  it("more than another second's worth refused within 10 seconds is a flood; spread out it is not", () => {
    const flood = new RateLimit(3, 0)
    const verdicts = Array.from({ length: 7 }, () => flood.take(0))
    assert.deepStrictEqual(verdicts.slice(3), ["answered", "refused", "refused", "flood"])
    const spread = new RateLimit(1, 0)
    for (let at = 0; at < 100_000; at += 10_000) {
      assert.deepStrictEqual([spread.take(at), spread.take(at)], ["taken", "answered"])
    }
  })

  it("never takes more than the rate and one second's worth, and refuses nothing below the rate", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 200 }),
        (perSecond, gaps) => {
          const limit = new RateLimit(perSecond, 0)
          let at = 0
          let taken = 0
          for (const gap of gaps) {
            at += gap
            if (limit.take(at) === "taken") taken++
            assert.isAtMost(taken, perSecond + (at * perSecond) / 1_000 + 1e-6)
          }
          const steady = new RateLimit(perSecond, 0)
          for (let i = 0; i < 100; i++) assert.strictEqual(steady.take(i * Math.ceil(1_000 / perSecond)), "taken")
        }
      )
    )
  })
})

describe("rateLimit", () => {
  it.scoped("what is above it is dropped and answered once a second; when it goes on the connection is closed", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening({ rateLimit: Option.some(5) })
      const peer = yield* joined(network, node)
      const sent = Array.from({ length: 8 }, (_, n) => peer.send("CHAT", { n }))
      yield* settle
      assert.deepStrictEqual(
        node.received.map(({ payload }) => payload["n"]),
        [0, 1, 2, 3, 4]
      )
      assert.deepStrictEqual(peer.said, ["HELLO", "RATE_LIMITED"])
      assert.deepInclude(peer.heard.at(-1)?.payload, { fatal: false })
      assert.strictEqual(peer.heard.at(-1)?.replyTo, sent[5]?.id)
      assert.strictEqual(node.stats.errors["RateLimited"], 3)
      yield* TestClock.adjust("1 second")
      for (let n = 8; n < 16; n++) peer.send("CHAT", { n })
      yield* settle
      assert.strictEqual(node.received.length, 10, "one second more, five more")
      assert.deepStrictEqual(peer.said, ["HELLO", "RATE_LIMITED", "RATE_LIMITED", "RATE_LIMITED"])
      assert.deepInclude(peer.heard.at(-1)?.payload, { fatal: true })
      assert.strictEqual(node.pool.peer(peer.id)?.status, "dead")
    })
  )

  it.scoped(
    "answers to what was sent are free, and heartbeats are taken; it is each peer's own; without it no limit",
    () =>
      Effect.gen(function* () {
        const { network, node } = yield* listening({ rateLimit: Option.some(10) })
        const beats: Array<unknown> = []
        node.pool.on("HEARTBEAT", (_, { payload }) => void beats.push(payload))
        const peer = yield* joined(network, node)
        const other = yield* joined(network, node, "c", "10.1.0.2")
        const connection = node.pool.unsafeLive().get(peer.id)
        for (let n = 0; n < 50; n++) connection?.sendControl(node.node.control("CHAT", { n }))
        yield* settle
        for (let n = 0; n < 25; n++) {
          peer.error("NO_ROUTE", false)
          peer.send("ASK", {}, { replyTo: "question" })
        }
        for (let n = 0; n < 10; n++) peer.send("CHAT", {})
        for (let n = 0; n < 5; n++) peer.send("HEARTBEAT", { kind: "ping", seq: n })
        for (let n = 0; n < 10; n++) other.send("CHAT", {})
        yield* settle
        assert.strictEqual(node.received.length, 50 + 10 + 10)
        assert.strictEqual(beats.length, 5, "though its second's worth is used up")
        assert.notInclude(peer.said, "RATE_LIMITED")

        const free = yield* listening()
        const eager = yield* joined(free.network, free.node)
        for (let n = 0; n < 500; n++) eager.send("CHAT", { n })
        yield* settle
        assert.strictEqual(free.node.received.length, 500)
      })
  )

  for (const [what, more] of [
    ["answers that nobody asked for", { type: "ASK", replyTo: "question" }],
    ["errors", { type: "ERROR", payload: { code: "NO_ROUTE", message: "", fatal: false } }],
    ["heartbeats", { type: "HEARTBEAT", payload: { kind: "ping", seq: 1 } }]
  ] as const) {
    it.scoped(`a flood of ${what} is one, too`, () =>
      Effect.gen(function* () {
        const { network, node } = yield* listening({ rateLimit: Option.some(5) })
        node.pool.on("HEARTBEAT", () => undefined)
        const peer = yield* joined(network, node)
        for (let n = 0; n < 30; n++) peer.send("CHAT", {}, more)
        yield* settle
        assert.deepStrictEqual(peer.said, ["HELLO", "RATE_LIMITED"])
        assert.deepInclude(peer.heard.at(-1)?.payload, { fatal: true })
      })
    )
  }
})
