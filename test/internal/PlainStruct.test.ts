import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { sameBothWays } from "../../src/internal/PlainStruct.js"

const names = ["a", "b", "toString", "0"]

const schemas = fc
  .dictionary(
    fc.constantFrom(...names),
    fc.constantFrom<Schema.Schema<string> | Schema.Schema<number> | Schema.Schema<boolean>>(
      Schema.String,
      Schema.Number,
      Schema.Boolean
    ),
    { minKeys: 1, noNullPrototype: true }
  )
  .map((fields) => Schema.Struct(fields))

const members = fc.dictionary(
  fc.constantFrom(...names, "more"),
  fc.oneof(fc.string(), fc.double(), fc.boolean(), fc.constantFrom(null, undefined)),
  { noNullPrototype: true }
)

/** Objects of several kinds that have the members, and what is none. */
const values = fc.oneof(
  members,
  members.map((own) => Object.assign(Object.create({ a: "inherited" }) as object, own)),
  members.map((own) => Object.assign(Object.create(null) as object, own)),
  members.map((own) => Object.assign([], own)),
  fc.constantFrom<unknown>(null, undefined, "a", 1)
)

describe("sameBothWays", () => {
  it("says so of nothing that the schema would not decode and encode to its equal", () => {
    fc.assert(
      fc.property(schemas, values, (schema, value) => {
        if (sameBothWays(schema.ast)?.(value) !== true) return
        for (const read of [Schema.decodeUnknownEither(schema), Schema.encodeUnknownEither(schema)]) {
          const result = read(value)
          assert(Either.isRight(result))
          assert.deepStrictEqual(result.right as unknown, value)
        }
      }),
      { numRuns: 1000 }
    )
  })

  it("says so of what has all members and no others", () => {
    const isSame = sameBothWays(Schema.Struct({ text: Schema.String, n: Schema.Number, ok: Schema.Boolean }).ast)
    assert.isTrue(isSame?.({ text: "a", n: Number.NaN, ok: false }))
    assert.isTrue(isSame?.({ n: 1, ok: true, text: "" }))
    for (const other of [
      { text: "a", n: 1 },
      { text: "a", n: "1", ok: true },
      { text: "a", n: 1, ok: true, more: 1 }
    ]) {
      assert.isFalse(isSame?.(other))
    }
    assert.isFalse(isSame?.(Object.assign(Object.create({}) as object, { text: "a", n: 1, ok: true })))
  })

  it("leaves every other schema to Schema", () => {
    const others: ReadonlyArray<Schema.Schema.All> = [
      Schema.Struct({}),
      Schema.Struct({ a: Schema.optional(Schema.String) }),
      Schema.Struct({ a: Schema.NonEmptyString }),
      Schema.Struct({ a: Schema.NumberFromString }),
      Schema.Struct({ a: Schema.String.annotations({ decodingFallback: () => Either.right("") }) }),
      Schema.Struct({ a: Schema.String }).annotations({ parseOptions: { onExcessProperty: "error" } }),
      Schema.mutable(Schema.Struct({ a: Schema.String })),
      Schema.Struct({ a: Schema.String }, { key: Schema.String, value: Schema.Number }),
      Schema.Struct({ a: Schema.String }).pipe(Schema.filter(() => true)),
      Schema.Record({ key: Schema.String, value: Schema.String }),
      Schema.Array(Schema.String),
      Schema.String,
      class Note extends Schema.Class<Note>("Note")({ a: Schema.String }) {}
    ]
    for (const { ast } of others) assert.isUndefined(sameBothWays(ast), String(ast))
  })
})
