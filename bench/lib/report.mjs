/** Tables of what was measured: in Markdown, which reads well on a terminal too. */
import { median, shown, spread } from "./stats.mjs"

/** Beyond this spread of its first metric a row was disturbed. */
const disturbed = 0.25

const isLower = ({ better }) => better === "lower"

/** The values of the rounds over those of raw in the same round. */
const ratios = (row, reference, { key }) =>
  row.rounds.flatMap((values, round) => {
    const other = reference?.rounds[round]?.[key]
    return other === undefined ? [] : [values[key] / other]
  })

const referenceOf = (row, rows) =>
  rows.find(({ node, point, system }) => system.name === "raw" && node === row.node && point === row.point)

/** What a row says about a metric. */
const summary = (row, rows, metric) => {
  const values = row.rounds.map((round) => round[metric.key]).filter((value) => value !== undefined)
  const reference = referenceOf(row, rows)
  const ratio = metric.absolute === true || reference === row ? Number.NaN : median(ratios(row, reference, metric))
  const bar = row.bars ? metric.bars?.[row.system.name] : undefined
  const value = median(values)
  const met =
    bar === undefined
      ? undefined
      : isLower(metric)
        ? "ratio" in bar
          ? ratio <= bar.ratio
          : value <= bar.value
        : "ratio" in bar
          ? ratio >= bar.ratio
          : value >= bar.value
  return { values, value, ratio, bar, met, spread: values.length > 1 ? spread(values) : 0 }
}

const barShown = (metric, { bar, met }) =>
  bar === undefined
    ? ""
    : `${isLower(metric) ? "≤" : "≥"} ${"ratio" in bar ? `${bar.ratio}×` : shown(bar.value)}: ${met ? "met" : "**missed**"}`

/** Lines of a table whose columns are as wide as they need to be. */
const table = (head, body) => {
  const widths = head.map((cell, column) => Math.max(cell.length, ...body.map((row) => row[column].length), 3))
  const line = (cells) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join(" | ")} |`
  return [
    line(head),
    `| ${widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`,
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
  const nodes = new Set(rows.map(({ node }) => node))
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
    const name = nodes.size > 1 ? `${row.system.name}, Node ${row.node}` : row.system.name
    const cells = [name]
    if (workload.points !== undefined) cells.push(shown(row.point))
    const where = row.point === undefined ? name : `${name}, ${shown(row.point)} ${workload.pointTitle}`
    if (row.failure !== undefined) foot.push(`${where}: failed: ${row.failure}`)
    for (const [i, metric] of metrics.entries()) {
      const said = summary(row, rows, metric)
      const failed = row.failure !== undefined
      const noisy = i === 0 && !failed && said.spread > disturbed
      cells.push(failed ? (i === 0 ? "failed" : "–") : `${shown(said.value)}${noisy ? " ~" : ""}`)
      if (i === 0) {
        cells.push(
          said.values.length === 0 || failed
            ? "–"
            : `${shown(Math.min(...said.values))} to ${shown(Math.max(...said.values))}`
        )
      }
      if (metric.absolute !== true) cells.push(shown(failed ? Number.NaN : said.ratio))
      if (metric.bars !== undefined) cells.push(failed ? "" : barShown(metric, said))
      if (noisy)
        foot.push(`~ disturbed: the rounds of ${where} lie ${Math.round(said.spread * 100)} % of the median apart`)
    }
    return cells
  })
  const verdict = workload.verdict?.(rows)
  return [
    `## ${workload.title} (\`${workload.name}\`)`,
    "",
    workload.about,
    "",
    ...table(head, body),
    ...(verdict === undefined || verdict.length === 0 ? [] : ["", ...verdict]),
    ...(foot.length === 0 ? [] : ["", ...foot.map((line) => `- ${line}`)]),
    ""
  ].join("\n")
}
