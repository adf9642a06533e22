/**
 * The tests of an application, room.ts: its node is real, the network outside is played by the test. No sockets, no
 * waiting.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, TestClock } from "effect"
import { NetworkError } from "synapse-p2p"
import { P2PNetworkTest } from "synapse-p2p/testing"
import { NobodyAnswers, Room, Said, Topic } from "./room.js"

const inTest = Effect.provide(Room.layer.pipe(Layer.provideMerge(P2PNetworkTest.layer())))

describe("a room", () => {
  it.effect("notes what is said, and who is lost", () =>
    Effect.gen(function* () {
      const outside = yield* P2PNetworkTest
      const room = yield* Room
      const alice = yield* outside.join("alice")
      const bob = yield* outside.join("bob")
      yield* alice.send(Said, { text: "hello" })
      yield* bob.broadcast(Said, { text: "hello all" })
      yield* alice.leave
      yield* bob.vanish
      assert.deepStrictEqual(yield* room.lines, ["alice: hello", "bob: hello all", "(bob is lost)"])
    }).pipe(inTest)
  )

  it.effect("tells everybody", () =>
    Effect.gen(function* () {
      const outside = yield* P2PNetworkTest
      yield* Effect.all([outside.join("alice"), outside.join("bob")])
      yield* (yield* Room).say("good morning")
      const { kind, to } = yield* outside.expectSent(Said, { text: "good morning" })
      assert.deepStrictEqual([kind, ...to], ["broadcast", "alice", "bob"])
    }).pipe(inTest)
  )

  it.effect("says so when it could not", () =>
    Effect.gen(function* () {
      const outside = yield* P2PNetworkTest
      const room = yield* Room
      yield* outside.failNext("broadcast", new NetworkError.NetworkNotRunning())
      yield* room.say("anybody?")
      yield* outside.expectNothingSent()
      assert.deepStrictEqual(yield* room.lines, ["(not sent: the network is not running: start it first)"])
    }).pipe(inTest)
  )

  it.effect("asks the next member where one does not answer", () =>
    Effect.gen(function* () {
      const outside = yield* P2PNetworkTest
      const room = yield* Room
      const alice = yield* outside.join("alice")
      const bob = yield* outside.join("bob")
      yield* alice.handle(Topic, () => Effect.never)
      yield* bob.handle(Topic, () => Effect.succeed({ topic: "tea" }))
      const asking = yield* Effect.fork(room.topic)
      yield* alice.nextSent(Topic)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(asking), "tea")
    }).pipe(inTest)
  )

  it.effect("has no topic where nobody is", () =>
    Effect.gen(function* () {
      const room = yield* Room
      assert.deepStrictEqual(yield* Effect.flip(room.topic), new NobodyAnswers())
    }).pipe(inTest)
  )
})
