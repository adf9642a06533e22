import { assert, describe, it } from "@effect/vitest"
import * as Report from "../../../src/cli/demo/Report.js"

const rows: ReadonlyArray<Report.Row> = [
  { what: "Set-up", measured: "9.00 ms", plan: "< 1 s", ok: true },
  { what: "Latency", measured: "2.0 s", plan: "< 100 ms", ok: false }
]

describe("Report", () => {
  it("gives the value in the middle", () => {
    assert.strictEqual(Report.median([9, 1, 5]), 5)
    assert.strictEqual(Report.median([4, 1, 3, 2]), 2.5)
    assert.strictEqual(Report.median([7]), 7)
    assert.isNaN(Report.median([]))
  })

  it("writes times with the digits that mean something", () => {
    assert.deepStrictEqual([0.416, 9.99, 17.3, 999, 2345].map(Report.time), [
      "0.42 ms",
      "9.99 ms",
      "17 ms",
      "999 ms",
      "2.3 s"
    ])
  })

  it("shows each row with its verdict, and the verdict on all", () => {
    assert.deepStrictEqual(
      Report.render(rows, false),
      [
        "WHAT     MEASURED  PLAN",
        "─────────────────────────────────",
        "Set-up   9.00 ms   < 1 s     OK",
        "Latency  2.0 s     < 100 ms  FAILED",
        "",
        "1 of 2 did not go as they should."
      ].map((line, index, lines) => (index === 1 ? "─".repeat(lines[3]?.length ?? 0) : line))
    )
    assert.strictEqual(Report.render(rows.slice(0, 1), false).at(-1), "All 1 went as they should.")
    const coloured = Report.render(rows, true)
    assert.isTrue(coloured[2]?.endsWith("\u001B[32mOK\u001B[39m"))
    assert.isTrue(coloured[3]?.endsWith("\u001B[31mFAILED\u001B[39m"))
  })

  it("is content only when every row is, and there is one", () => {
    assert.isTrue(Report.isOk(rows.slice(0, 1)))
    assert.isFalse(Report.isOk(rows))
    assert.isFalse(Report.isOk([]))
  })
})
