import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { isProtocolType, typePattern } from "../src/Message.js"
import * as MessageType from "../src/MessageType.js"

const Dated = Schema.Struct({ at: Schema.DateFromString, note: Schema.optional(Schema.String) })
const Meet = MessageType.make("MEET", Dated)
const Ask = MessageType.request(
  "ASK",
  Schema.Struct({ question: Schema.String }),
  Schema.Struct({ answer: Schema.NumberFromString }),
  Schema.Struct({ until: Schema.DateFromString })
)
const date = new Date(0)

const left = <A>(either: Either.Either<A, string>): string => Either.getOrThrow(Either.flip(either))

describe("the name of a type", () => {
  it("is taken just if it fits the pattern and is not the protocol's", () => {
    const name = fc.oneof(
      fc.string(),
      fc.stringMatching(/^[A-Z][A-Z0-9_]{0,70}$/),
      fc.constantFrom("HELLO", "HEARTBEAT", "PEER_LIST", "DATA_SYNC", "ERROR", "SYNAPSE_X", "chat", "1A", "")
    )
    fc.assert(
      fc.property(name, (text) => {
        const isFree = typePattern.test(text) && (!isProtocolType(text) || text === "DATA_SYNC")
        for (const make of [
          () => MessageType.make(text, Dated),
          () => MessageType.request(text, Dated, Dated),
          () => MessageType.json(text),
          () => MessageType.jsonRequest(text)
        ]) {
          if (isFree) assert.strictEqual(make().name, text)
          else assert.throws(make, TypeError)
        }
      }),
      { numRuns: 200 }
    )
  })
})

describe("a type with a schema", () => {
  it("gives the payload's JSON form and takes it back", () => {
    const encoded = Either.getOrThrow(Meet.encode({ at: date }))
    assert.deepStrictEqual(encoded, { at: "1970-01-01T00:00:00.000Z" })
    assert.deepStrictEqual(Either.getOrThrow(Meet.decode(encoded)), { at: date })
  })

  it("refuses what does not fit, and says where", () => {
    assert.include(left(Meet.encode({ at: "now" as unknown as Date })), "at")
    assert.include(left(Meet.decode({ at: 5 })), "at")
    assert.include(left(Ask.encodeReply({ answer: "1" as unknown as number })), "answer")
    assert.include(left(Ask.decodeReply({})), "answer")
    assert.include(left(Ask.encodeFailure({ until: 1 as unknown as Date })), "until")
    assert.include(left(Ask.decodeFailure({ until: 1 })), "until")
  })

  it("refuses what its schema lets through but JSON cannot carry", () => {
    const Loose = MessageType.make("LOOSE", Schema.Struct({ value: Schema.Unknown }))
    for (const value of [NaN, Infinity, 1n, date, new Map(), () => 1, [undefined], "\ud800"]) {
      assert.include(left(Loose.encode({ value })), "value")
    }
    const LooseRequest = MessageType.request("LOOSE", Dated, Schema.Struct({ v: Schema.Unknown }), Schema.Unknown)
    assert.include(left(LooseRequest.encodeReply({ v: 1n })), "v: a bigint")
    assert.include(left(LooseRequest.encodeFailure(date)), "not a plain object")
    assert.deepStrictEqual(LooseRequest.encodeFailure("why"), Either.right("why"))
  })

  it("carries answers and failures in their JSON form", () => {
    assert.deepStrictEqual(Ask.encodeReply({ answer: 42 }), Either.right({ answer: "42" }))
    assert.deepStrictEqual(Ask.decodeReply({ answer: "42" }), Either.right({ answer: 42 }))
    assert.deepStrictEqual(Ask.encodeFailure({ until: date }), Either.right({ until: date.toISOString() }))
    assert.deepStrictEqual(Ask.decodeFailure({ until: date.toISOString() }), Either.right({ until: date }))
  })

  it("has no failures unless it names them", () => {
    const Sure = MessageType.request("SURE", Dated, Dated)
    assert.isTrue(Either.isLeft(Sure.decodeFailure({ any: 1 })))
    assert.isTrue(Either.isLeft(Sure.encodeFailure("any" as never)))
  })
})

describe("a type without a schema", () => {
  it("carries any JSON object as it is, and nothing else", () => {
    const Any = MessageType.jsonRequest("ANY")
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue({ maxDepth: 3 })), (value) => {
        const payload = JSON.parse(JSON.stringify(value)) as Parameters<typeof Any.encode>[0]
        assert.strictEqual(Either.getOrThrow(Any.encode(payload)), payload)
        assert.strictEqual(Either.getOrThrow(Any.decode(payload)), payload)
        assert.strictEqual(Either.getOrThrow(Any.encodeReply(payload)), payload)
        assert.strictEqual(Either.getOrThrow(Any.decodeReply(payload)), payload)
        assert.strictEqual(Either.getOrThrow(Any.encodeFailure(payload)), payload)
        assert.strictEqual(Either.getOrThrow(Any.decodeFailure(payload)), payload)
      }),
      { numRuns: 100 }
    )
    assert.include(left(Any.encode({ n: NaN })), "n: NaN")
    assert.include(left(Any.encode([] as never)), "not an object")
    assert.include(left(Any.encodeFailure(1n)), "a bigint")
    assert.isTrue(Schema.is(Any.payload)({ a: 1 }))
    assert.isFalse(Schema.is(Any.payload)([1]))
    assert.isFalse(Schema.is(Any.payload)(null))
  })
})
