import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as MemoryTransport from "../../src/testing/MemoryTransport.js"
import * as Observe from "../../src/testing/Observe.js"
import * as TestNodes from "../../src/testing/TestNodes.js"
import { Chat, recordChats } from "../utils/network.js"

const inMemory = Effect.provide(MemoryTransport.layerNetwork)

describe("events", () => {
  it.scoped("are given in order, each once, from the moment they are observed", () =>
    Effect.gen(function* () {
      const [a, b, c] = yield* TestNodes.make(["a", "b", "c"], { topology: "none" })
      const events = yield* Observe.events(a)
      yield* TestNodes.join(a, b)
      yield* TestNodes.join(a, c)
      yield* b.stop
      yield* a.disconnect("c")
      const first = yield* events.next("PeerConnected")
      assert.strictEqual(first.peer.id, b.nodeId)
      yield* events.next("PeerConnected", { peer: c })
      yield* events.next("PeerDisconnected", { peer: "c", where: ({ error }) => error._tag === "Disconnected" })
      assert.deepStrictEqual(
        (yield* events.all).map(({ _tag }) => _tag),
        ["PeerConnected", "PeerConnected", "PeerLeft", "PeerDisconnected"]
      )
    }).pipe(inMemory)
  )

  it.scoped("that do not come are told with those that came instead", () =>
    Effect.gen(function* () {
      const [a, b] = yield* TestNodes.make(["a", "b"])
      const events = yield* Observe.events(a)
      yield* b.stop
      yield* events.next("PeerLeft")
      const nothing = yield* Effect.fork(Effect.flip(events.next("PeerLeft")))
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual((yield* Fiber.join(nothing)).message, "expected: PeerLeft at a\nactual:   nothing happened")
      const dead = yield* Effect.fork(
        Effect.flip(events.next("PeerDead", { peer: b, where: () => true, within: "10 seconds" }))
      )
      yield* Effect.ignore(a.connect("b:9470", { retryFor: 0 }))
      yield* a.stop
      yield* TestClock.adjust("10 seconds")
      const { message } = yield* Fiber.join(dead)
      assert.match(message, /^expected: PeerDead of b for which its condition holds at a\nactual: {3}event/)
      assert.match(message, /Stopped$/)
    }).pipe(inMemory)
  )

  it.scoped("may be waited for one by one", () =>
    Effect.gen(function* () {
      const [a, b] = yield* TestNodes.make(["a", "b"])
      const left = yield* Effect.fork(Observe.waitForEvent(a, "PeerLeft", { within: "1 minute" }))
      yield* Effect.yieldNow()
      yield* b.stop
      assert.strictEqual((yield* Fiber.join(left)).peer.id, b.nodeId)
      const lost = yield* Effect.fork(Effect.flip(Observe.waitForEvent(a, "MessagesLost", { peer: "b", within: 10 })))
      yield* TestClock.adjust(10)
      assert.strictEqual((yield* Fiber.join(lost)).expected, "MessagesLost of b at a")
    }).pipe(inMemory)
  )
})

describe("messages", () => {
  it.scoped("are kept for each node, beside its handlers, until the scope closes", () =>
    Effect.gen(function* () {
      const [a, b, c] = yield* TestNodes.make(["a", "b", "c"])
      const handled = yield* recordChats(b)
      const scope = yield* Scope.make()
      const chats = yield* Scope.extend(Observe.messages([b, c], Chat), scope)
      yield* a.sendMessages("b", Chat, [{ text: "1" }, { text: "2" }])
      yield* a.broadcast(Chat, { text: "3" })
      yield* Effect.repeatN(Effect.yieldNow(), 300)
      yield* Scope.close(scope, Exit.void)
      yield* a.broadcast(Chat, { text: "4" })
      yield* Effect.repeatN(Effect.yieldNow(), 300)
      const texts = (node: typeof b | string) => chats.at(node).map(({ payload }) => payload.text)
      assert.deepStrictEqual([texts(b), texts("c"), texts("nobody")], [["1", "2", "3"], ["3"], []])
      assert.deepStrictEqual(handled, ["1", "2", "3", "4"])
    }).pipe(inMemory)
  )
})
