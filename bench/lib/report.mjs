/** Tables of what was measured: in Markdown, which reads well on a terminal too. */
import { disturbance, nameOf, ratio, rowOf, summary, verdictsOf } from "./judgement.mjs"
import { shown } from "./stats.mjs"

const percent = (part) => `${Math.round(part * 100)} %`

const said = (met) => (met ? "met" : "**missed**")

/** Lines of a table whose columns are as wide as they need to be; the first `left` of them are words. */
const table = (head, body, left = 1) => {
  const widths = head.map((cell, column) => Math.max(cell.length, ...body.map((row) => row[column].length), 3))
  const isLeft = (column) => column < left
  const line = (cells) =>
    `| ${cells.map((cell, column) => (isLeft(column) ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join(" | ")} |`
  return [
    line(head),
    `| ${widths.map((width, column) => (isLeft(column) ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`,
    ...body.map(line)
  ]
}

/**
 * The section of a workload.
 *
 * @param {import("./types.js").Workload} workload
 */
export const section = (workload, rows, notes) => {
  const metrics = workload.metrics
  const foot = [...notes]
  const head = ["system"]
  if (workload.points !== undefined) head.push(workload.pointTitle)
  for (const [i, metric] of metrics.entries()) {
    head.push(metric.title)
    if (i === 0) head.push("min to max")
    if (metric.absolute !== true) head.push("× raw")
    if (metric.bars !== undefined) head.push("bar")
  }
  const body = rows.map((row) => {
    const { name, where } = nameOf(row, rows, workload)
    const cells = [name]
    if (workload.points !== undefined) cells.push(shown(row.point))
    if (row.failure !== undefined) foot.push(`${where}: failed: ${row.failure}`)
    const failed = row.failure !== undefined
    const apart = disturbance(row, metrics)
    if (apart !== undefined) foot.push(`~ disturbed: the rounds of ${where} lie ${percent(apart)} of the median apart`)
    for (const [i, metric] of metrics.entries()) {
      const { judged, ratio: times, value, values } = summary(row, rows, metric)
      const isNoisy = i === 0 && apart !== undefined
      cells.push(failed ? (i === 0 ? "failed" : "–") : `${shown(value)}${isNoisy ? " ~" : ""}`)
      if (i === 0) {
        cells.push(
          values.length === 0 || failed ? "–" : `${shown(Math.min(...values))} to ${shown(Math.max(...values))}`
        )
      }
      if (metric.absolute !== true) cells.push(shown(failed ? Number.NaN : times))
      if (metric.bars !== undefined)
        cells.push(failed || judged === undefined ? "" : `${judged.bar}: ${said(judged.met)}`)
    }
    return cells
  })
  const verdicts = (workload.verdicts?.(rows) ?? []).map(
    ({ bar, met, row, title, value }) => `- ${row}, ${title}: ${value}; ${bar}: ${said(met)}`
  )
  return [
    `## ${workload.title} (\`${workload.name}\`)`,
    "",
    workload.about,
    "",
    ...table(head, body),
    ...(verdicts.length === 0 ? [] : ["", ...verdicts]),
    ...(foot.length === 0 ? [] : ["", ...foot.map((line) => `- ${line}`)]),
    ""
  ].join("\n")
}

/** What was disturbed or failed, a line each. */
export const troubles = (measured) =>
  measured.flatMap(({ rows, workload }) =>
    rows.flatMap((row) => {
      const { where } = nameOf(row, rows, workload)
      if (row.failure !== undefined) return [`- \`${workload.name}\`, ${where}: failed`]
      const apart = disturbance(row, workload.metrics)
      return apart === undefined ? [] : [`- \`${workload.name}\`, ${where}: ${percent(apart)}`]
    })
  )

/** All bars that were set. */
export const bars = (measured) => {
  const body = measured.flatMap(({ rows, workload }) =>
    verdictsOf(workload, rows)
      // Raw is what others are held against.
      .filter(({ row }) => row !== "raw")
      .map(({ bar, met, row, title, value }) => [workload.name, row, title, value, bar, said(met)])
  )
  if (body.length === 0) return []
  return ["## All bars", "", ...table(["workload", "system", "what", "measured", "bar", ""], body, 3), ""]
}

/** What one system has over what others have, in each workload in which they stood side by side on the same Node. */
export const comparison = (measured, name, others) => {
  const body = measured.flatMap(({ rows, workload }) =>
    rows
      .filter(({ failure, system }) => system.name === name && failure === undefined)
      .flatMap((row) => {
        const found = others.map((other) => rowOf(other, row, rows))
        if (found.every((other) => other === undefined)) return []
        return workload.metrics
          .filter(({ absolute }) => absolute !== true)
          .map((metric) => {
            const times = found.map((other) => shown(other === undefined ? Number.NaN : ratio(row, other, metric)))
            return [workload.name, metric.title, metric.better].concat(times)
          })
      })
  )
  if (body.length === 0) return []
  return [
    `## ${name} against ${others.join(" and ")}`,
    "",
    `What ${name} has over what the other has: the median of the ratios in the same round, on the same Node; 2 is twice as much.`,
    "",
    ...table(["workload", "what", "better", ...others.map((other) => `: ${other}`)], body, 3),
    ""
  ]
}
