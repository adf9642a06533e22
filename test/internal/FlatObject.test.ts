import { assert, describe, it } from "@effect/vitest"
import { isDeepStrictEqual } from "node:util"
import * as fc from "fast-check"
import { FlatObjects } from "../../src/internal/FlatObject.js"

/** What is read of a text that lies `before` bytes into its memory, with other bytes around it. */
const readBy = (objects: FlatObjects, bytes: Uint8Array, before = 0): unknown => {
  const memory = new Uint8Array(before + bytes.length + 5).fill(0x22)
  memory.set(bytes, before)
  // The array begins where the memory does, or with the text.
  const whole = memory.subarray(before & ~1, before + bytes.length + 2)
  const from = before - (before & ~1)
  return objects.read(whole, new DataView(memory.buffer), from, from + bytes.length)
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

const read = (text: string, objects = new FlatObjects()): unknown => readBy(objects, bytesOf(text))

/** Whether it is the same as `JSON.parse` makes of the text, the order of its members included. */
const isParsed = (given: unknown, text: string): boolean => {
  const parsed: unknown = JSON.parse(text)
  return (
    isDeepStrictEqual(given, parsed) &&
    isDeepStrictEqual(Object.entries(given as object), Object.entries(parsed as object))
  )
}

const ascii = fc.string({ unit: "grapheme-ascii", maxLength: 40 })

/** Text that needs no escapes. */
const plain = ascii.map((text) => text.replace(/["\\]/g, "_"))

const flat = fc.dictionary(
  plain.filter((name) => name !== "__proto__"),
  fc.oneof(
    plain,
    fc.integer(),
    fc.integer({ min: -999_999_999_999_999, max: 999_999_999_999_999 }),
    fc.boolean(),
    fc.constant(null)
  ),
  { maxKeys: 12, noNullPrototype: true }
)

const any = fc.oneof(flat, fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue()), fc.jsonValue())

const pieces = fc.oneof(
  fc.constantFrom(
    `"`,
    `\\`,
    `,`,
    `:`,
    `{`,
    `}`,
    `"":`,
    `"a":1,`,
    `0`,
    `-`,
    `.5`,
    `e9`,
    ` `,
    `\n`,
    `\u007f`,
    `é`,
    `\u0000`,
    `tru`
  ),
  fc.string({ unit: "binary", maxLength: 2 })
)

describe("FlatObject", () => {
  it("reads strings, whole numbers, booleans and null", () => {
    const texts = [
      `{}`,
      `{"":""}`,
      `{"text":"hi"}`,
      `{"text":"${"x".repeat(1013)}"}`,
      `{"a":0,"b":1,"c":-1,"d":999999999999999,"e":-999999999999999}`,
      `{"yes":true,"no":false,"none":null,"text":"true"}`,
      `{"text":"{[:,]}'/\u007f","1":"one","0":"zero","b":1,"b":2}`,
      `{"constructor":"c","toString":1,"${"n".repeat(64)}":1}`
    ]
    for (const text of texts) assert.isTrue(isParsed(read(text), text), text)
  })

  it("reads names as they are, whatever they were before", () => {
    const objects = new FlatObjects()
    for (const text of [
      `{"a":1,"b":2}`,
      `{"a":1,"bc":2}`,
      `{"a":1,"b":3}`,
      `{"b":1}`,
      `{"ab":1}`,
      `{"":1}`,
      `{"a":1}`
    ]) {
      assert.isTrue(isParsed(read(text, objects), text), text)
    }
  })

  it("leaves all else to others", () => {
    const texts = [
      ``,
      `{`,
      `}`,
      `[]`,
      `"{}"`,
      ` {}`,
      `{} `,
      `{ }`,
      `{"a" :1}`,
      `{"a": 1}`,
      `{"a":1 }`,
      `{"a":1,}`,
      `{,}`,
      `{"a"}`,
      `{"a":}`,
      `{a:1}`,
      `{"a":1}}`,
      `{"a":1}{}`,
      `{"a":1"b":2}`,
      `{"a":01}`,
      `{"a":-0}`,
      `{"a":-}`,
      `{"a":+1}`,
      `{"a":-01}`,
      `{"a":1.5}`,
      `{"a":1e3}`,
      `{"a":1000000000000000}`,
      `{"a":tru}`,
      `{"a":truex}`,
      `{"a":[]}`,
      `{"a":{}}`,
      `{"a":"b\\n"}`,
      `{"a\\n":1}`,
      `{"a":"é"}`,
      `{"é":1}`,
      `{"a":"\n"}`,
      `{"a":"\u001f"}`,
      `{"a":"b}`,
      `{"a":"b`,
      `{"a`,
      `{"__proto__":1}`,
      `{"${"n".repeat(65)}":1}`,
      `{${Array.from({ length: 33 }, (_, i) => `"a${i}":1`).join(",")}}`
    ]
    for (const text of texts) assert.isUndefined(read(text), text)
    for (const byte of [0xff, 0x80, 0x1f, 0x00]) {
      for (let at = 0; at < 9; at++) {
        const bytes = bytesOf(`{"a":"123456789"}`)
        bytes[6 + at] = byte
        assert.isUndefined(readBy(new FlatObjects(), bytes), `${byte} at ${at}`)
      }
    }
  })

  it("tries those after one that is not flat again, later", () => {
    const objects = new FlatObjects()
    assert.isUndefined(read(`{"a":[]}`, objects))
    let tries = 1
    while (read(`{"a":1}`, objects) === undefined) tries++
    assert.isAbove(tries, 1)
    assert.isBelow(tries, 100)
    assert.isTrue(isParsed(read(`{"a":2}`, objects), `{"a":2}`), `{"a":2}`)
  })

  it("reads any flat object, wherever it lies", () => {
    const objects = new FlatObjects()
    fc.assert(
      fc.property(flat, fc.nat(9), (object, before) => {
        const text = JSON.stringify(object)
        const given = readBy(objects, bytesOf(text), before)
        assert.isTrue(isParsed(given, text), text)
      })
    )
  })

  it("gives of any bytes what JSON.parse gives, or nothing", () => {
    fc.assert(
      fc.property(any, fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(3), pieces, (value, where, over, piece) => {
        const whole = JSON.stringify(value)
        const at = Math.floor(where * whole.length)
        for (const text of [whole, whole.slice(0, at) + piece + whole.slice(at + over)]) {
          const given = read(text.toWellFormed())
          assert.isTrue(given === undefined || isParsed(given, text.toWellFormed()), text)
        }
      }),
      { numRuns: 2000 }
    )
  })
})
