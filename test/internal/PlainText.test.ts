import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { endOfPlain } from "../../src/internal/PlainText.js"

const end = (bytes: Uint8Array, from: number, to: number): number =>
  endOfPlain(bytes, new DataView(bytes.buffer), from, to)

describe("PlainText", () => {
  it("tells each byte that stands for itself within a JSON string, wherever it is", () => {
    for (let byte = 0; byte < 256; byte++) {
      const text = String.fromCharCode(byte)
      const isPlain = byte < 128 && JSON.stringify(text) === `"${text}"`
      for (let at = 0; at < 9; at++) {
        const bytes = new Uint8Array(16).fill(0x78)
        bytes[at + 3] = byte
        assert.strictEqual(end(bytes.subarray(3), 0, 9), isPlain ? 9 : at, `${byte} at ${at}`)
      }
    }
  })

  it("finds the first that does not, and looks at nothing beyond", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(9), fc.nat(40), fc.nat(40), (some, offset, a, b) => {
        const memory = new Uint8Array(offset + some.length)
        memory.set(some, offset)
        const bytes = memory.subarray(offset)
        const [from = 0, to = 0] = [a, b].map((at) => Math.min(at, some.length)).sort((x, y) => x - y)
        const first = bytes
          .subarray(from, to)
          .findIndex((byte) => byte < 0x20 || byte > 0x7f || byte === 0x22 || byte === 0x5c)
        assert.strictEqual(end(bytes, from, to), first < 0 ? to : from + first)
      }),
      { numRuns: 2000 }
    )
  })

  it("does so in long texts, wherever in the memory they begin", () => {
    const long = fc.record({ offset: fc.nat(9), from: fc.nat(2_100), length: fc.nat(5_000), at: fc.nat(5_000) })
    fc.assert(
      fc.property(long, ({ at, from, length, offset }) => {
        const bytes = new Uint8Array(offset + from + length + 8).fill(0x78).subarray(offset)
        bytes[from + at] = 0x22
        assert.strictEqual(end(bytes, from, from + length), from + Math.min(at, length))
      }),
      { numRuns: 2000 }
    )
    for (const length of [1_020, 1_023, 1_024, 1_025, 1_028, 2_048, 65_536]) {
      assert.strictEqual(end(new Uint8Array(length + 8).fill(0x78), 0, length), length)
    }
  })
})
