import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import * as NodeId from "../src/NodeId.js"

const character = fc.constantFrom(..."ABCXYZabcxyz0189._:-")
const valid = fc.string({ unit: character, minLength: 1, maxLength: 128 })

describe("NodeId", () => {
  it("takes every string of 1 to 128 allowed characters, unchanged", () => {
    fc.assert(
      fc.property(valid, (text) => {
        assert.isTrue(NodeId.is(text))
        assert.strictEqual(NodeId.make(text), text)
        assert.deepStrictEqual(Schema.decodeUnknownEither(NodeId.NodeId)(text), Either.right(NodeId.make(text)))
      })
    )
  })

  it("refuses a string with any other character, wherever it stands", () => {
    fc.assert(
      fc.property(fc.string({ unit: character, maxLength: 10 }), fc.string({ unit: "binary" }), (before, after) => {
        const text = `${before}${after}`
        assert.strictEqual(NodeId.is(text), /^[A-Za-z0-9._:-]{1,128}$/.test(text) && !text.includes("\n"))
      })
    )
    for (const text of ["", "a b", "a\n", "\na", "a/b", "a@b", "ä", "a".repeat(129), "[a]"]) {
      assert.isFalse(NodeId.is(text), JSON.stringify(text))
      assert.throws(() => NodeId.make(text), /a node id is 1 to 128 characters/)
    }
    for (const value of [undefined, null, 1, {}, ["a"]]) assert.isFalse(NodeId.is(value))
  })

  it.effect("makes random ids that are valid, and the same again from the same seed", () =>
    Effect.gen(function* () {
      const seeded = Effect.withRandom(Effect.all([NodeId.random, NodeId.random]), Random.make("seed"))
      const [first, second] = yield* seeded
      assert.match(first, /^[0-9a-f]{32}$/)
      assert.isTrue(NodeId.is(first))
      assert.notStrictEqual(first, second)
      assert.deepStrictEqual(
        yield* Effect.withRandom(Effect.all([NodeId.random, NodeId.random]), Random.make("seed")),
        [first, second]
      )
    })
  )

  it("orders ids by their bytes", () => {
    fc.assert(
      fc.property(valid, valid, (one, other) => {
        const bytewise = Buffer.compare(Buffer.from(one), Buffer.from(other)) < 0
        assert.strictEqual(NodeId.isSmaller(NodeId.make(one), NodeId.make(other)), bytewise)
      })
    )
    assert.isTrue(NodeId.isSmaller(NodeId.make("Z"), NodeId.make("a")), "capitals come first")
    assert.isTrue(NodeId.isSmaller(NodeId.make("node-10"), NodeId.make("node-9")))
    assert.isFalse(NodeId.isSmaller(NodeId.make("a"), NodeId.make("a")))
  })
})
