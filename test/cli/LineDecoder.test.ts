import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Line } from "../../src/cli/LineDecoder.js"
import * as LineDecoder from "../../src/cli/LineDecoder.js"

const encoder = new TextEncoder()

const feed = (decoder: LineDecoder.LineDecoder, chunks: ReadonlyArray<Uint8Array>): ReadonlyArray<Line> => [
  ...chunks.flatMap((chunk) => decoder.push(chunk)),
  ...decoder.end()
]

const cut = (bytes: Uint8Array, sizes: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const chunks: Array<Uint8Array> = []
  let at = 0
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1
    chunks.push(bytes.subarray(at, at + size))
    at += size
  }
  return chunks
}

const text = (text: string): Line => ({ _tag: "Text", text })

describe("LineDecoder", () => {
  it("gives the same lines in whatever pieces they come", () => {
    const line = fc.string({ unit: "grapheme", maxLength: 40 }).map((text) => text.replaceAll("\n", " "))
    const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(fc.array(line, { maxLength: 20 }), sizes, (lines, sizes) => {
        const bytes = encoder.encode(lines.map((line) => `${line}\n`).join(""))
        assert.deepStrictEqual(feed(LineDecoder.make(10_000), cut(bytes, sizes)), lines.map(text))
      })
    )
  })

  it("finds the same lines too long in whatever pieces they come, and tells each once", () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 8 })
    const lengths = fc.array(fc.integer({ min: 0, max: 25 }), { maxLength: 20 })
    fc.assert(
      fc.property(lengths, sizes, (lengths, sizes) => {
        const bytes = encoder.encode(lengths.map((length) => `${"x".repeat(length)}\n`).join(""))
        assert.deepStrictEqual(
          feed(LineDecoder.make(10), cut(bytes, sizes)),
          lengths.map((length) => (length > 10 ? { _tag: "TooLong" } : text("x".repeat(length))))
        )
      })
    )
  })

  it("tells that a line is too long before its newline comes, and takes the next one", () => {
    const decoder = LineDecoder.make(4)
    assert.deepStrictEqual(decoder.push(encoder.encode("12345")), [{ _tag: "TooLong" }])
    assert.deepStrictEqual(decoder.push(encoder.encode("6789")), [])
    assert.deepStrictEqual(decoder.push(encoder.encode("0\n1234\n")), [text("1234")])
  })

  it("tells of bytes that are not UTF-8 and goes on", () => {
    const decoder = LineDecoder.make(100)
    assert.deepStrictEqual(decoder.push(new Uint8Array([0xc3, 0x28, 0x0a, 0x41, 0x0a])), [
      { _tag: "NotUtf8" },
      text("A")
    ])
  })

  it("gives a last line without newline at the end, but no empty one", () => {
    assert.deepStrictEqual(feed(LineDecoder.make(100), [encoder.encode("a\nb")]), [text("a"), text("b")])
    assert.deepStrictEqual(feed(LineDecoder.make(100), [encoder.encode("a\n")]), [text("a")])
    assert.deepStrictEqual(feed(LineDecoder.make(1), [encoder.encode("abc")]), [{ _tag: "TooLong" }])
  })

  it("leaves the bytes it was given as they were, and needs them no longer", () => {
    const decoder = LineDecoder.make(100)
    const chunk = encoder.encode("ab")
    decoder.push(chunk)
    chunk.fill(0)
    assert.deepStrictEqual(decoder.push(encoder.encode("c\n")), [text("abc")])
  })
})
