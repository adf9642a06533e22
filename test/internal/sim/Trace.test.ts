import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Trace } from "../../../src/internal/sim/Trace.js"

type Entry = readonly [at: number, what: string]

const traceOf = (entries: ReadonlyArray<Entry>, keep = 0): Trace => {
  const trace = new Trace(keep)
  for (const [at, what] of entries) trace.note(at, what)
  return trace
}

const entries = fc.array(fc.tuple(fc.nat(1_000_000), fc.string({ maxLength: 12 })), { maxLength: 20 })

describe("Trace", () => {
  it("has one hash for one course, and another for any other", () =>
    fc.assert(
      fc.property(entries, entries, (one, other) => {
        assert.strictEqual(traceOf(one).hash, traceOf(one, 5).hash)
        const isSame = JSON.stringify(one) === JSON.stringify(other)
        assert.strictEqual(traceOf(one).hash === traceOf(other).hash, isSame)
      })
    ))

  it("tells apart what differs in time by a microsecond, in order, or in a single byte", () => {
    const traces = [
      traceOf([[1, "a"]]),
      traceOf([[1.001, "a"]]),
      traceOf([
        [1, "a"],
        [1, "b"]
      ]),
      traceOf([
        [1, "b"],
        [1, "a"]
      ]),
      ...[[], [0], [1], [0, 0], [0, 1], [1, 0]].map((bytes) => {
        const trace = traceOf([[1, "a"]])
        trace.noteBytes(Uint8Array.from(bytes))
        return trace
      })
    ]
    assert.strictEqual(new Set(traces.map(({ hash }) => hash)).size, traces.length)
    for (const { hash } of traces) assert.match(hash, /^[0-9a-f]{16}$/)
  })

  it("does not tell apart what differs by less than a microsecond: rounding", () => {
    assert.strictEqual(traceOf([[0.1 + 0.2, "a"]]).hash, traceOf([[0.3, "a"]]).hash)
  })

  it("keeps the last lines in words, as many as it was told to", () => {
    for (const count of [0, 1, 2, 3, 4, 5, 6, 7, 20]) {
      const all = Array.from({ length: count }, (_, index): Entry => [index, `thing ${index}`])
      const trace = traceOf(all, 3)
      assert.deepStrictEqual(
        trace.lines,
        all.slice(-3).map(([at, what]) => `${at}.000 ${what}`)
      )
      assert.strictEqual(trace.length, count)
      assert.deepStrictEqual(traceOf(all).lines, [])
    }
  })
})
