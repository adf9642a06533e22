import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Handler from "../../src/Handler.js"
import * as Expect from "../../src/testing/Expect.js"
import * as MemoryTransport from "../../src/testing/MemoryTransport.js"
import * as TestNodes from "../../src/testing/TestNodes.js"
import { Ask } from "../utils/network.js"

const inMemory = Effect.provide(MemoryTransport.layerNetwork)

const linksOf = (nodes: ReadonlyArray<Expect.Node>) =>
  Effect.map(
    Effect.forEach(nodes, (node) => Effect.map(node.peers(), (peers) => peers.map(({ id }) => id).sort())),
    (all) => all.map((ids) => ids.join(""))
  )

describe("nodes", () => {
  for (const [topology, links] of [
    ["full", ["bcd", "acd", "abd", "abc"]],
    ["line", ["b", "ac", "bd", "c"]],
    ["ring", ["bd", "ac", "bd", "ac"]],
    ["star", ["bcd", "a", "a", "a"]],
    ["none", ["", "", "", ""]]
  ] as const) {
    it.scoped(`stand in a ${topology} topology, and keep it`, () =>
      Effect.gen(function* () {
        const nodes = yield* TestNodes.make(["a", "b", "c", "d"], { topology })
        assert.deepStrictEqual(yield* linksOf(nodes), [...links])
      }).pipe(inMemory)
    )
  }

  it.scoped("make a ring of two that is one link, and of one that is none", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* linksOf(yield* TestNodes.make(["a", "b"], { topology: "ring" })), ["b", "a"])
      assert.deepStrictEqual(yield* linksOf(yield* TestNodes.make(["c"], { topology: "ring" })), [""])
      assert.deepStrictEqual(yield* TestNodes.make(0), [])
    }).pipe(inMemory)
  )

  it.scoped("have the settings, handlers and names given, by node", () =>
    Effect.gen(function* () {
      const [one, two, three] = yield* TestNodes.make(3, {
        config: (id, index) => ({
          tags: { place: String(index) },
          handlers: [Handler.make(Ask, () => Effect.succeed({ answer: id }))]
        })
      })
      assert.deepStrictEqual(
        [one, two, three].map(({ nodeId }) => String(nodeId)),
        ["node-1", "node-2", "node-3"]
      )
      assert.deepStrictEqual(yield* one.request("node-3", Ask, { question: "?" }), { answer: "node-3" })
      yield* Expect.peers(three, [one, two])
      assert.deepStrictEqual(
        (yield* one.peers({ tags: { place: "1" } })).map(({ id }) => id),
        [two.nodeId]
      )
    }).pipe(inMemory)
  )

  it.scoped("are joined wherever they listen, and only with the one that is meant", () =>
    Effect.gen(function* () {
      const [a, b] = yield* TestNodes.make(["a", "b"], { topology: "none", config: { port: 0 } })
      assert.deepInclude(yield* TestNodes.join(a, b), { id: b.nodeId, status: "connected" })
      yield* b.stop
      const error = yield* Effect.flip(TestNodes.join(a, b))
      assert.strictEqual(error._tag, "NetworkNotRunning")
    }).pipe(inMemory)
  )
})
