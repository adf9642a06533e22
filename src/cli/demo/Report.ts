/**
 * What the demonstration found, as a table for people.
 *
 * @since 0.1.0
 */
import * as TextTable from "../TextTable.js"

/**
 * One thing that was tried: what came of it, beside what the plan asked for.
 *
 * @since 0.1.0
 * @category models
 */
export interface Row {
  readonly what: string
  readonly measured: string
  /** What was promised; empty where nothing was. */
  readonly plan: string
  readonly ok: boolean
}

/**
 * The value in the middle, the mean of the two where there are two; not a number of none.
 *
 * @since 0.1.0
 * @category statistics
 */
export const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN
  return (lower + upper) / 2
}

/**
 * A time in milliseconds, with as many digits as mean something: `0.42 ms`, `17 ms`, `2.3 s`.
 *
 * @since 0.1.0
 * @category formatting
 */
export const time = (millis: number): string => {
  if (millis >= 1000) return `${(millis / 1000).toFixed(1)} s`
  return `${millis < 10 ? millis.toFixed(2) : millis.toFixed(0)} ms`
}

/**
 * @since 0.1.0
 * @category guards
 */
export const isOk = (rows: ReadonlyArray<Row>): boolean => rows.length > 0 && rows.every(({ ok }) => ok)

const green = (text: string): string => `\u001B[32m${text}\u001B[39m`
const red = (text: string): string => `\u001B[31m${text}\u001B[39m`

/**
 * The rows as lines, the verdict last in each, and under them the verdict on all.
 *
 * @since 0.1.0
 * @category formatting
 */
export const render = (rows: ReadonlyArray<Row>, colours: boolean): ReadonlyArray<string> => {
  const paint = (text: string, ok: boolean): string => (colours ? (ok ? green(text) : red(text)) : text)
  const [titles = "", ...lines] = TextTable.render(
    [{ title: "WHAT" }, { title: "MEASURED" }, { title: "PLAN" }, { title: "" }],
    rows.map(({ measured, ok, plan, what }) => [what, measured, plan, ok ? "OK" : "FAILED"])
  )
  const width = Math.max(titles.length, ...lines.map((line) => line.length))
  const painted = lines.map((line, index) => {
    const ok = rows[index]?.ok === true
    return line.replace(/(?:OK|FAILED)$/, (verdict) => paint(verdict, ok))
  })
  const failed = rows.filter(({ ok }) => !ok).length
  const verdict =
    failed === 0 ? `All ${rows.length} went as they should.` : `${failed} of ${rows.length} did not go as they should.`
  return [titles, "─".repeat(width), ...painted, "", paint(verdict, isOk(rows))]
}
