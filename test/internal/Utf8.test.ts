import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import {
  asciiText,
  asciiTextAnywhere,
  utf8Length,
  utf8LengthAnywhere,
  utf8Text,
  utf8TextAnywhere,
  writeUtf8,
  writeUtf8Anywhere
} from "../../src/internal/Utf8.js"

/** Bytes of which many are nearly UTF-8. */
const nearly = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary" }).map((text) => Array.from(new TextEncoder().encode(text))),
      fc.constantFrom(
        [0xef, 0xbf, 0xbd],
        [0xef, 0xbb, 0xbf],
        [0xed, 0xa0, 0x80],
        [0xc0, 0x80],
        [0xf4, 0x90, 0x80, 0x80]
      ),
      fc.array(fc.nat(255), { maxLength: 3 })
    ),
    { maxLength: 6 }
  )
  .map((parts) => Uint8Array.from(parts.flat()))

describe("utf8Text", () => {
  it("gives the text of a part, with its byte order mark, and of what is not UTF-8 nothing", () => {
    for (const read of [utf8Text, utf8TextAnywhere]) {
      assert.strictEqual(read(new TextEncoder().encode("a\ufeffé\u{1f600}\ufffdb"), 1, 13), "\ufeffé\u{1f600}\ufffd")
      assert.strictEqual(read(Uint8Array.of(0x61, 0xc3), 0, 1), "a")
      assert.isUndefined(read(Uint8Array.of(0x61, 0xc3), 0, 2))
      assert.isUndefined(read(Uint8Array.of(0xed, 0xa0, 0x80), 0, 3))
    }
  })

  it("reads any bytes as the fatal decoder does, however it reads them", () => {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
    fc.assert(
      fc.property(nearly, fc.nat(20), fc.nat(20), (bytes, skipped, cut) => {
        const to = Math.max(0, bytes.length - cut)
        const from = Math.min(skipped, to)
        let expected: string | undefined
        try {
          expected = decoder.decode(bytes.subarray(from, to))
        } catch {
          expected = undefined
        }
        assert.strictEqual(utf8Text(bytes, from, to), expected)
        assert.strictEqual(utf8TextAnywhere(bytes, from, to), expected)
      }),
      { numRuns: 1000 }
    )
  })
})

describe("asciiText", () => {
  it("gives the text of a part, however it reads it", () => {
    const text = Array.from({ length: 128 }, (_, unit) => String.fromCharCode(unit)).join("")
    const bytes = new TextEncoder().encode(`é${text}é`)
    for (const read of [asciiText, asciiTextAnywhere]) {
      assert.strictEqual(read(bytes, 2, 130), text)
      assert.strictEqual(read(bytes, 5, 5), "")
    }
  })
})

/** Texts with lone surrogates among them. */
const texts = fc
  .array(fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("\ud800", "\udfff", "a", "é", "€", "\u{1f600}")))
  .map((parts) => parts.join(""))

describe("utf8Length and writeUtf8", () => {
  it("measure and write any text as the platform's encoder does, however they do it", () => {
    fc.assert(
      fc.property(texts, fc.nat(5), (text, at) => {
        const encoded = new TextEncoder().encode(text)
        for (const length of [utf8Length, utf8LengthAnywhere]) assert.strictEqual(length(text), encoded.length)
        for (const write of [writeUtf8, writeUtf8Anywhere]) {
          const bytes = new Uint8Array(at + encoded.length + 1)
          assert.strictEqual(write(bytes, at, text), encoded.length)
          assert.deepStrictEqual(bytes, Uint8Array.of(...new Uint8Array(at), ...encoded, 0))
        }
      }),
      { numRuns: 500 }
    )
  })
})
